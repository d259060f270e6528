package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Refusal is a command that the state refused.
type Refusal struct{ Fault *clusterv1.Fault }

func (r *Refusal) Error() string { return r.Fault.GetMessage() }

// Kind is what sort of no an error is, for whoever is told of it.
type Kind int

// The kinds.
const (
	Internal    Kind = iota // nobody's business but the log's
	NotFound                // what was asked for is not there
	Invalid                 // the request is wrong
	Unavailable             // not at the moment: try again
	Denied                  // not for this caller
	Conflict                // it does not fit what there is
)

// Error is an error with words for the caller.
type Error struct {
	Kind    Kind
	Message string
	Field   string
	Cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the cause, for the log.
func (e *Error) Unwrap() error { return e.Cause }

func invalid(field, format string, args ...any) error {
	return &Error{Kind: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

func missing(field, what, id string) error {
	return &Error{Kind: NotFound, Field: field, Message: fmt.Sprintf("there is no %s %s", what, id)}
}

// of says which thing of a request is not there, where that is what an error is about.
func of(err error, field, what, id string) error {
	var said *Error
	if errors.As(err, &said) && said.Kind == NotFound && said.Field == "" {
		return missing(field, what, id)
	}
	var refusal *Refusal
	if errors.As(err, &refusal) && connect.Code(refusal.Fault.GetCode()) == connect.CodeNotFound && refusal.Fault.GetField() == "" {
		refusal.Fault.Field = field
	}
	return err
}

// faults is the one place where errors become answers.
type faults struct{ log *slog.Logger }

func (f faults) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		return res, f.answer(ctx, req.Spec().Procedure, err)
	}
}

func (f faults) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (f faults) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return f.answer(ctx, conn.Spec().Procedure, next(ctx, conn))
	}
}

// answer is the one switch from kinds of errors to codes.
func (f faults) answer(ctx context.Context, procedure string, err error) error {
	var known *connect.Error
	var refusal *Refusal
	var said *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return fielded(known)
	case errors.As(err, &refusal):
		return coded(connect.Code(refusal.Fault.GetCode()), refusal.Fault.GetMessage(), refusal.Fault.GetField(), refusal.Fault.GetReason())
	case errors.As(err, &said) && said.Kind != Internal:
		codes := map[Kind]connect.Code{
			NotFound: connect.CodeNotFound, Invalid: connect.CodeInvalidArgument, Unavailable: connect.CodeUnavailable,
			Denied: connect.CodePermissionDenied, Conflict: connect.CodeFailedPrecondition,
		}
		return coded(codes[said.Kind], said.Message, said.Field, "")
	case ctx.Err() != nil:
		return connect.NewError(connect.CodeCanceled, context.Cause(ctx))
	}
	id := requestID(ctx)
	f.log.Error("a request failed", "procedure", procedure, "request", id, "error", err)
	return connect.NewError(connect.CodeInternal, fmt.Errorf("internal error (request %s)", id))
}

// fielded gives what protovalidate says the form that every other error has: a sentence
// for each field that is wrong.
func fielded(err *connect.Error) error {
	for _, d := range err.Details() {
		value, bad := d.Value()
		violations, ok := value.(*validatepb.Violations)
		if bad != nil || !ok {
			continue
		}
		said := &errdetails.BadRequest{}
		var lines []string
		for _, v := range violations.GetViolations() {
			field := protovalidate.FieldPathString(v.GetField())
			said.FieldViolations = append(said.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: field, Description: v.GetMessage()})
			lines = append(lines, field+": "+v.GetMessage())
		}
		out := connect.NewError(err.Code(), errors.New(strings.Join(lines, "\n")))
		if d, bad := connect.NewErrorDetail(said); bad == nil {
			out.AddDetail(d)
		}
		return out
	}
	return err
}

// fencedCode is that of a lease which is not one any more.
const fencedCode = connect.CodeAborted

// coded is an error with the field and the word for programs as details.
func coded(code connect.Code, message, field, reason string) error {
	e := connect.NewError(code, errors.New(message))
	if field != "" {
		if d, err := connect.NewErrorDetail(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: message}}}); err == nil {
			e.AddDetail(d)
		}
	}
	if reason != "" {
		if d, err := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: reason, Domain: "testmesh"}); err == nil {
			e.AddDetail(d)
		}
	}
	return e
}
