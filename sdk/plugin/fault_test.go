package plugin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestErrorsOfAnAuthorAreReportedByTheirKind(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: syscall.ECONNREFUSED}
	tests := map[string]struct {
		err           error
		code, message string
		blame         Blame
		failed        bool
	}{
		"a wrong answer":            {Failf("nothing in %d tries", 3), CodeWait, "nothing in 3 tries", BlameSystem, true},
		"wrapped":                   {fmt.Errorf("try: %w", Failf("nothing")), CodeWait, "nothing", BlameSystem, true},
		"of the system":             {Errorf(CodeAuth, "refused: %w", io.EOF), CodeAuth, "refused: EOF", BlameSystem, false},
		"of the definition":         {Definitionf("port", "is taken"), CodeConfig, "is taken", BlameDefinition, false},
		"of the machine":            {Agentf("there is no %s here", "psql"), CodePlugin, "there is no psql here", BlameAgent, false},
		"any other":                 {errors.New("oops"), CodePlugin, "oops", BlamePlugin, false},
		"the end of a file":         {io.EOF, CodePlugin, "EOF", BlamePlugin, false},
		"a refused connection":      {refused, CodeConn, "connection refused: 127.0.0.1:1", BlameSystem, false},
		"a reset connection":        {syscall.ECONNRESET, CodeConn, "connection reset by peer", BlameSystem, false},
		"a name":                    {&net.DNSError{Name: "nowhere", Err: "no such host"}, CodeDNS, `the name "nowhere" does not resolve`, BlameSystem, false},
		"a time limit of its own":   {context.DeadlineExceeded, CodeTimeout, "no answer in time", BlameSystem, false},
		"a certificate":             {fmt.Errorf("dial: %w", x509.UnknownAuthorityError{}), CodeTLS, "x509: ", BlameSystem, false},
		"a host that was asked for": {NetError(io.ErrUnexpectedEOF, "db:1"), CodeConn, "db:1: unexpected EOF", BlameSystem, false},
		"no route, to a target":     {NetError(refused, "db:1"), CodeConn, "connection refused: db:1", BlameSystem, false},
		"refused at each try":       {NetError(errors.Join(fmt.Errorf("first: %w", refused), refused), "db:1"), CodeConn, "connection refused: db:1", BlameSystem, false},
		"one that has words":        {NetError(Definitionf("a", "is wrong"), "db:1"), CodeConfig, "is wrong", BlameDefinition, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := single(func(context.Context, *Call, nothing) (nothing, error) { return nothing{}, test.err })
			_, err := execute(t, p, "demo.go", "{}")
			var known *Error
			if !errors.As(err, &known) {
				t.Fatalf("got %v, want a *Error", err)
			}
			if known.Code != test.code || !strings.HasPrefix(known.Message, test.message) || known.Failed != test.failed {
				t.Errorf("got %s %q, failed %v, want %s %q, %v", known.Code, known.Message, known.Failed, test.code, test.message, test.failed)
			}
			if known.Blame != test.blame {
				t.Errorf("got the blame of %q, want %q", known.Blame, test.blame)
			}
		})
	}
}

func TestNetErrorLeavesAloneWhatItDoesNotDescribe(t *testing.T) {
	if err := NetError(nil, "db:1"); err != nil {
		t.Errorf("nil became %v", err)
	}
	cancelled := fmt.Errorf("dial: %w", context.Canceled)
	if err := NetError(cancelled, "db:1"); err != cancelled { //nolint:errorlint // the very one
		t.Errorf("a cancelled call became %v", err)
	}
	if err := Errorf(CodeConn, "x: %w", io.EOF); !errors.Is(err, io.EOF) {
		t.Error("Errorf lost the cause")
	}
}

func TestErrorsSayMore(t *testing.T) {
	err := Failf("late").WithHint("wait %s", "longer").WithDetails("a", "b")
	if err.Hint != "wait longer" || len(err.Details) != 2 || !err.Failed {
		t.Errorf("got %+v", err)
	}
}

func TestACallThatItsContextEnded(t *testing.T) {
	waiting := single(func(ctx context.Context, _ *Call, _ nothing) (nothing, error) {
		<-ctx.Done()
		return nothing{}, fmt.Errorf("read: %w", ctx.Err())
	})
	tests := map[string]struct {
		context       func() (context.Context, context.CancelFunc)
		message, hint string
	}{
		"by its deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 3*time.Second)
		}, "demo.go did not end within 3s", "raise the step's timeout"},
		"by its host, on its deadline": {func() (context.Context, context.CancelFunc) {
			ctx, release := context.WithTimeout(context.Background(), 3*time.Second)
			ctx, end := context.WithCancelCause(ctx)
			time.AfterFunc(3*time.Second-time.Millisecond, func() { end(errors.New("deadline exceeded")) })
			return ctx, release
		}, "demo.go did not end within 3s", "raise the step's timeout"},
		"by the run's end": {func() (context.Context, context.CancelFunc) {
			ctx, end := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Second, func() { end(errors.New("the run was cancelled")) })
			return ctx, func() { end(nil) }
		}, "demo.go was ended early: the run was cancelled", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := test.context()
				defer end()
				_, err := waiting.Execute(ctx, &Request{Action: "demo.go"}, nil)
				var known *Error
				if !errors.As(err, &known) || known.Code != CodeTimeout || known.Blame != BlameSystem || known.Message != test.message || !strings.HasPrefix(known.Hint, test.hint) {
					t.Errorf("got %#v, want E-TIMEOUT of the system: %s (%s)", err, test.message, test.hint)
				}
			})
		})
	}
}

func TestAnErrorDoesNotShowTheSecretsOfItsCall(t *testing.T) {
	p := single(func(_ context.Context, _ *Call, in login) (nothing, error) {
		secret := string(in.Password)
		return nothing{}, Errorf(CodeAuth, "%s is wrong: %w", secret, errors.New("no "+secret)).WithHint("not %s", secret).WithDetails(secret)
	})
	_, err := execute(t, p, "demo.go", `{"user":"ada","password":"pa55word"}`)
	var known *Error
	if !errors.As(err, &known) {
		t.Fatal(err)
	}
	if text := fmt.Sprint(known.Message, known.Hint, known.Details, known.Cause); strings.Contains(text, "pa55word") || strings.Count(text, "‹secret:password›") != 5 {
		t.Errorf("got %s", text)
	}
}

// A step that errors first thing must not show its password beside the fault.
func TestAFaultBringsTheSecretsThatTheCallKnew(t *testing.T) {
	type in struct {
		Password SecretText `json:"password"`
	}
	p := New(Info{Name: "x", Version: "1.0.0", Summary: "X."}, Action("fail", "Fail.", func(context.Context, *Call, in) (struct{}, error) {
		return struct{}{}, Errorf(CodeConn, "no connection")
	}))
	_, err := p.Execute(t.Context(), &Request{Action: "x.fail", RunID: "r", Config: []byte(`{"password": "hush-hush"}`)}, nil)
	var known *Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v", err)
	}
	if len(known.Secrets) != 1 || known.Secrets[0].Value != "hush-hush" {
		t.Errorf("got secrets %v, want the password", known.Secrets)
	}
}
