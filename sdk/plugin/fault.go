package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Failf says that the system answered, and that its answer is wrong: what the
// step waited for did not come in its time. The step failed. Any other judgement
// belongs to the flow: give the result, and what must hold of it by Expect.
func Failf(format string, args ...any) *Error {
	e := worded(format, args)
	e.Code, e.Blame, e.Failed = CodeWait, BlameSystem, true
	return e
}

// Errorf says that nothing could be judged, by the fault of the system or the
// network: the step errored. code is one of the codes of this package; %w in the
// format keeps a cause.
func Errorf(code, format string, args ...any) *Error {
	e := worded(format, args)
	e.Code, e.Blame = code, BlameSystem
	return e
}

// Definitionf says that a config value is wrong: field is its key, with dots
// and [i] where it is nested. The step errored, and the flow is to blame.
func Definitionf(field, format string, args ...any) *Error {
	e := worded(format, args)
	e.Code, e.Blame, e.Field = CodeConfig, BlameDefinition, field
	return e
}

// Agentf says that the machine that runs the flow lacks something: a program, a
// permission, space. The step errored.
func Agentf(format string, args ...any) *Error {
	e := worded(format, args)
	e.Code, e.Blame = CodePlugin, BlameAgent
	return e
}

// WithHint says what to do about it.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithDetails adds lines that are shown below the message.
func (e *Error) WithDetails(lines ...string) *Error {
	e.Details = append(e.Details, lines...)
	return e
}

// worded is an error with the words of a format; %w in it is the cause.
func worded(format string, args []any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Message: err.Error(), Cause: errors.Unwrap(err)}
}

// NetError gives the fault of a network operation with target ("db:5432") its
// words: a name that does not resolve, a refused, reset or timed-out connection,
// a certificate. Err is kept as the cause. An err that is a *Error already stays
// as it is; nil stays nil.
func NetError(err error, target string) error {
	var known *Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	if found := network(err, target); found != nil {
		return found
	}
	return &Error{Code: CodeConn, Blame: BlameSystem, Cause: err, Message: fmt.Sprintf("%s: %s", target, innermost(err))}
}

// network describes err where it is of the network; nil: it is not.
func network(err error, target string) *Error {
	var dns *net.DNSError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	cause := innermost(err)
	e := &Error{Code: CodeConn, Blame: BlameSystem, Cause: err, Message: cause}
	switch {
	case errors.As(err, &dns):
		e.Code = CodeDNS
		e.Message = fmt.Sprintf("the name %q does not resolve", dns.Name)
		e.Hint = "check the host, and that this machine can resolve it"
		e.Details = []string{dns.Err}
		return e
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		e.Code = CodeTimeout
		e.Message = "no answer in time"
		e.Hint = "raise the step's timeout, or find out why the service is slow"
	case strings.HasPrefix(cause, "tls: "), strings.HasPrefix(cause, "x509: "), strings.Contains(err.Error(), "x509: "):
		e.Code = CodeTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "is the service started, and may this machine reach it?"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Hint = "look into the service's log: it closed the connection"
	case errors.As(err, &op):
	default:
		return nil
	}
	if target == "" && errors.As(err, &op) && op.Addr != nil {
		target = op.Addr.String()
	}
	if target != "" {
		e.Message += ": " + target
	}
	return e
}

// innermost is the text of the error that began a chain.
func innermost(err error) string {
	for {
		if tries, ok := err.(interface{ Unwrap() []error }); ok {
			return oneCause(err, tries.Unwrap())
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// oneCause says once why all tries ended, where it was for one reason.
func oneCause(err error, tries []error) string {
	cause := ""
	for i, one := range tries {
		text := innermost(one)
		if i > 0 && text != cause {
			return err.Error()
		}
		cause = text
	}
	return cause
}

// fault is what a host is told of an error that an author's function gave.
func (c *Call) fault(ctx context.Context, err error, began time.Time) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		copied := *known
		c.mu.Lock()
		copied.RetryAfter = max(copied.RetryAfter, c.retryAfter)
		c.mu.Unlock()
		return c.masked(&copied)
	case ctx.Err() != nil: // whatever it says, that is why
		return c.masked(c.overdue(ctx, err, began))
	}
	if found := network(err, ""); found != nil {
		return c.masked(found)
	}
	return c.masked(&Error{
		Code: CodePlugin, Blame: BlamePlugin, Cause: err, Message: err.Error(),
		Hint: "report this to the author of the plugin",
	})
}

// overdue is a call that its context ended: its own time, or the run's end.
func (c *Call) overdue(ctx context.Context, err error, began time.Time) *Error {
	e := &Error{
		Code: CodeTimeout, Blame: BlameSystem, Cause: err,
		Message: fmt.Sprintf("%s was ended early: %s", c.req.Action, context.Cause(ctx)),
	}
	// The host may say so before our own clock does.
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < clockSkew {
		e.Message = fmt.Sprintf("%s did not end within %s", c.req.Action, rounded(deadline.Sub(began)))
		e.Hint = "raise the step's timeout, or find out why the system is slow"
	}
	return e
}

// clockSkew is how long before its deadline a call may be told that it is over.
const clockSkew = 100 * time.Millisecond

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// masked hides the call's secrets in all that people read.
func (c *Call) masked(e *Error) *Error {
	e.Message, e.Hint = c.mask(e.Message), c.mask(e.Hint)
	details := make([]string, len(e.Details))
	for i, line := range e.Details {
		details[i] = c.mask(line)
	}
	e.Details = details
	// A host shows the cause too.
	if e.Cause != nil {
		if text := e.Cause.Error(); c.mask(text) != text {
			e.Cause = errors.New(c.mask(text))
		}
	}
	// The host shows values of the flow beside a fault: it must know them by then.
	e.Secrets = append(e.Secrets, c.run.secrets.untold()...)
	return e
}

// fileFault gives the fault of a file that a config names its words.
func fileFault(err error, name File) error {
	var known *Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Code: CodeConfig, Blame: BlameDefinition, Cause: err, Message: fmt.Sprintf("there is no file %s", name), Hint: "a path is relative to the flow file"}
	}
	return &Error{Code: CodeConfig, Blame: BlameDefinition, Cause: err, Message: fmt.Sprintf("file %s: %s", name, innermost(err))}
}
