package agent

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"connectrpc.com/connect"
)

// Only a refusal ends the tries: an answer that was cut says nothing about the run.
func TestWhichErrorsAreFinal(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"fenced":               {connect.NewError(connect.CodeAborted, errors.New("fenced")), true},
		"a refusal, wrapped":   {fmt.Errorf("tell: %w", connect.NewError(connect.CodeNotFound, errors.New("no run"))), true},
		"a revoked agent":      {connect.NewError(connect.CodeUnauthenticated, errors.New("revoked")), true},
		"out of reach":         {connect.NewError(connect.CodeUnavailable, errors.New("refused")), false},
		"an answer in half":    {connect.NewError(connect.CodeUnknown, io.ErrUnexpectedEOF), false},
		"a panic of a handler": {connect.NewError(connect.CodeInternal, errors.New("internal error")), false},
		"no code at all":       {io.ErrUnexpectedEOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := final(test.err); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
