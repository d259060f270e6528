package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// functionTime bounds one call of a function of a plugin: it computes, it does
// not wait for a system.
const functionTime = 10 * time.Second

// Functions runs functions of plugins for expressions. It is called
// concurrently. A *plugin.Error of BlameDefinition is an argument of the wrong
// kind; anything else could not be computed.
type Functions interface {
	Call(ctx context.Context, plugin string, req *plugin.FunctionRequest) (json.RawMessage, error)
}

// functionError is a call that gave no value.
type functionError struct {
	name  string
	fault *plugin.Error
}

func (e *functionError) Error() string { return e.name + ": " + e.fault.Message }

func (e *functionError) Unwrap() error { return e.fault }

// blame says whose fault it is in an error of the step.
func (e *functionError) blame(out *event.Error) {
	out.Code, out.Blame, out.Hint = e.fault.Code, string(e.fault.Blame), e.fault.Hint
	out.Details = append(out.Details, e.fault.Details...)
}

// callFunction runs <plugin>.<function>. An argument of the wrong kind is what it
// is for the language's own functions: in an assertion the answer is to blame. The
// call goes on when the run is cancelled,
// since teardown asserts too, but never longer than functionTime.
func (x *run) callFunction(dir, full string, args []any) (any, error) {
	of, name, _ := strings.Cut(full, ".")
	if args == nil {
		args = []any{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), functionTime)
	defer cancel()
	text, err := x.e.cfg.Functions.Call(ctx, of, &plugin.FunctionRequest{
		Function: name, Args: value.Append(nil, args), RunID: x.r.RunID, Root: x.e.cfg.Root, Dir: dir, Mask: x.masked,
	})
	if err != nil {
		fault := functionFault(ctx, err)
		if fault.Blame == plugin.BlameDefinition {
			return nil, &expr.ValueError{Message: strings.Join(slices.DeleteFunc([]string{fault.Message, fault.Hint}, func(s string) bool { return s == "" }), "; ")}
		}
		return nil, &functionError{name: full, fault: fault}
	}
	v, err := value.Decode(text)
	if err != nil {
		return nil, &functionError{name: full, fault: &plugin.Error{
			Code: plugin.CodePlugin, Blame: plugin.BlamePlugin, Message: fmt.Sprintf("the plugin gave no JSON value: %v", err),
			Hint: "report it to the author of the plugin",
		}}
	}
	return v, nil
}

func functionFault(ctx context.Context, err error) *plugin.Error {
	var fault *plugin.Error
	switch {
	case errors.As(err, &fault):
	case ctx.Err() != nil:
		fault = &plugin.Error{Message: fmt.Sprintf("the plugin gave no value within %v", functionTime)}
	default:
		fault = &plugin.Error{Message: err.Error()}
	}
	if fault.Code == "" || fault.Blame == "" {
		known := *fault
		known.Code, known.Blame = plugin.CodePlugin, plugin.BlamePlugin
		fault = &known
	}
	return fault
}
