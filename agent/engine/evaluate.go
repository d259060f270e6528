package engine

import (
	"errors"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/sdk/redact"
)

// evaluationError says what an expression that could not be evaluated does to
// its step. judged is true in assertions and output, where a value of the wrong
// kind is the answer's fault; elsewhere nobody can tell.
func evaluationError(err error, where, file string, judged bool) (event.Status, *event.Error) {
	out := &event.Error{Message: where + ": " + err.Error(), Blame: "definition", Code: string(source.CodeValue)}
	var at *expr.Located
	if errors.As(err, &at) && at.Pos.File == file {
		out.Line, out.Column, out.Width = at.Pos.Line, at.Pos.Column, at.Width
	}
	var (
		missing *expr.MissingError
		wrong   *expr.ValueError
		cut     *expr.CutError
		limit   *expr.LimitError
		called  *functionError
		secret  *secretError
		refusal *redact.Refusal
	)
	switch {
	case errors.As(err, &missing):
		out.Code, out.Blame = string(source.CodePath), "system"
		return event.Failed, out
	case errors.As(err, &wrong):
		if judged {
			out.Blame = "system"
			return event.Failed, out
		}
	case errors.As(err, &cut):
		out.Code, out.Blame = string(source.CodeBody), "system"
		out.Hint = "raise the limit of the action, or judge only what was read"
	case errors.As(err, &limit):
		out.Code = string(source.CodeLimit)
	case errors.As(err, &called):
		called.blame(out)
	case errors.As(err, &secret), errors.As(err, &refusal):
		out.Code = string(source.CodeSecret)
	}
	return event.Errored, out
}

// stackLines are the frames of a stack that tell where a bug is.
func stackLines(stack []byte) []string {
	var out []string
	for line := range strings.Lines(string(stack)) {
		line = strings.TrimRight(line, "\n")
		if strings.Contains(line, "testmesh/") || strings.HasPrefix(line, "panic(") {
			out = append(out, strings.TrimSpace(line))
		}
		if len(out) == 30 {
			break
		}
	}
	return out
}
