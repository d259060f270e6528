package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// File is a config key that names a file, relative to the flow file and within
// the project. Call.Open and Call.ReadFile read it.
type File string

// Call is one try of one step, for the function that executes it. It may be used
// by several goroutines, and no longer than until that function returns.
type Call struct {
	req  *Request
	out  Stream
	run  *runState
	host Host

	mu         sync.Mutex
	ended      bool
	limited    string
	retryAfter time.Duration
}

// Action is the full name of the action: "tcp.exchange".
func (c *Call) Action() string { return c.req.Action }

// RunID names the run, and StepID and Try the step and which try of it this is,
// from 1 on: for messages and traces.
func (c *Call) RunID() string { return c.req.RunID }

// StepID names the step.
func (c *Call) StepID() string { return c.req.StepID }

// Try counts the tries of the step from 1 on.
func (c *Call) Try() int { return c.req.Try }

// TraceParent is a W3C traceparent for the step, to be sent along where the
// protocol can, or empty.
func (c *Call) TraceParent() string { return c.req.TraceParent }

// Dir is the folder of the flow file below the project's root, slash-separated:
// what a File is relative to. What is kept of a file is kept under both.
func (c *Call) Dir() string { return c.req.Dir }

// Host is who runs the plugin; its TempDir may be written to.
func (c *Call) Host() Host { return c.host }

// Open opens a file that the config names. A file that is not there, or outside
// of the project, is an error of the definition.
func (c *Call) Open(name File) (*os.File, error) {
	f, err := c.req.Open(string(name))
	return f, fileFault(err, name)
}

// ReadFile reads a file that the config names, up to limit bytes.
func (c *Call) ReadFile(name File, limit int64) ([]byte, error) {
	data, err := c.req.ReadFile(string(name), limit)
	return data, fileFault(err, name)
}

// Path is where a file that the config names is, for what can only be opened by
// its name, as a database. The file need not be there; it is within the project.
func (c *Call) Path(name File) (string, error) {
	full, err := c.req.Path(string(name))
	return full, fileFault(err, name)
}

// stream is where to report, or nil where nobody listens any more.
func (c *Call) stream() Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	return c.out
}

func (c *Call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// Log adds a line to the step's log.
func (c *Call) Log(format string, args ...any) { c.log("info", format, args) }

// Warn adds a warning to the step's log: the call goes on.
func (c *Call) Warn(format string, args ...any) { c.log("warn", format, args) }

// Progress says that a long call is alive and what it waits for; it becomes a
// debug line of the step's log.
func (c *Call) Progress(format string, args ...any) {
	type progress interface{ Progress(message string) }
	if out, ok := c.stream().(progress); ok {
		out.Progress(c.mask(fmt.Sprintf(format, args...)))
		return
	}
	c.log("debug", format, args)
}

func (c *Call) log(level, format string, args []any) {
	if out := c.stream(); out != nil {
		out.Log(level, c.mask(fmt.Sprintf(format, args...)))
	}
}

// WantsExchange tells whether anybody reads exchanges; where nobody does there
// is no need to put one together.
func (c *Call) WantsExchange() bool { return c.req.WantExchange && c.stream() != nil }

// Exchange records one request and what came back, as people debug it.
func (c *Call) Exchange(x Exchange) {
	out := c.stream()
	if !c.req.WantExchange || out == nil {
		return
	}
	x.Summary, x.Curl = c.mask(x.Summary), c.mask(x.Curl)
	x.Request, x.Response = c.maskJSON(x.Request), c.maskJSON(x.Response)
	out.Exchange(x)
}

// Artifact stores a file of the run, at most 64 MiB. It is stored as it is: what
// it holds is not masked.
func (c *Call) Artifact(name, mediaType string, data []byte) {
	if out := c.stream(); out != nil {
		out.Artifact(name, mediaType, data)
	}
}

// Limited says that an answer was cut at a limit, and which: "reply over 10
// MiB". An assertion that reads what was cut is errored, never judged.
func (c *Call) Limited(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limited = what
}

// RetryAfter says how long the system asked to wait before the next try.
func (c *Call) RetryAfter(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retryAfter = d
}

// AddSecret hides a value that the call came to know, a token: name is shown in
// its place, for the rest of the run. A value under four characters cannot be
// told from ordinary text and is not hidden.
func (c *Call) AddSecret(name, value string) { c.run.secrets.add(Secret{Name: name, Value: value}) }

func (c *Call) mask(text string) string { return c.run.secrets.mask(text) }

// maskJSON hides secrets in a JSON text, whose forms hold no quote.
func (c *Call) maskJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return raw
	}
	return json.RawMessage(c.mask(string(raw)))
}

// response is the result with what the call was told beside it.
func (c *Call) response(result json.RawMessage) *Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Response{Result: result, Secrets: c.run.secrets.untold(), Limited: c.limited, RetryAfter: c.retryAfter}
}

// mayWait ends early where the call's context has.
func mayWait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
