// Package plugin is what a TestMesh plugin implements. It knows the wire's
// records and nothing of the flow language, so that a plugin does not link it.
package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Plugin executes the actions of one protocol. All methods are called
// concurrently; Close is called once, after the last Execute returned.
type Plugin interface {
	// Describe returns the same descriptor every time.
	Describe() *testmeshv1.Descriptor
	// Execute runs one try of an action. It returns a *Error for whatever the
	// person who wrote the flow should read; any other error is reported as the
	// plugin's own fault. A cancelled ctx ends it within two seconds.
	Execute(ctx context.Context, req *Request, out Stream) (*Response, error)
	// EndRun drops what the plugin kept for a run: cookies, tokens, pools.
	EndRun(runID string)
	// Close releases everything.
	Close() error
}

// Configurer is a Plugin that is told about its host, once, before its first
// Execute or Call.
type Configurer interface {
	Configure(ctx context.Context, host Host) error
}

// Host is who runs a plugin.
type Host struct {
	// Version of TestMesh, as in semver.org 2.0.
	Version string
	// AgentName names the machine for messages.
	AgentName string
	// TempDir is a directory of the plugin alone, removed after its end; empty
	// for a plugin in the process of its host.
	TempDir string
	// Egress says which hosts may be reached; connections are made with its Dial. Nil
	// lets everything through.
	Egress *Egress
}

// Caller is a Plugin with functions for expressions. A function changes nothing
// outside and keeps nothing of the run that asks. It is called concurrently.
type Caller interface {
	// Call gives any JSON value, numbers verbatim. An argument of the wrong kind is
	// a *Error of BlameDefinition.
	Call(ctx context.Context, req *FunctionRequest) (json.RawMessage, error)
}

// FunctionRequest is one call of a function.
type FunctionRequest struct {
	// Function is the name without the plugin: "valid" of luhn.valid(x).
	Function string
	// Args is a JSON array, numbers verbatim.
	Args json.RawMessage
	// RunID names the run that asks, for messages.
	RunID string
	// Root, Dir and Mask are those of Request.
	Root, Dir string
	Mask      func(text string) string
}

// Checker is a Plugin that can tell whether it still works. Health returns
// within a second; one that gives an error is replaced by a new process.
type Checker interface {
	Health(ctx context.Context) error
}

// Request is one try of one step.
type Request struct {
	// Action is the full name: "http.request".
	Action string
	// Config is the expanded config as JSON with numbers verbatim.
	Config json.RawMessage
	// RunID scopes what lives longer than a step: cookie jar, tokens, pools.
	RunID string
	// Attempt is the lease attempt of the run, 1 for the first.
	Attempt int
	// Lease is "run/attempt/fence" where the run was leased from a control plane, for a
	// system under test that refuses what an older attempt sends; else empty. It does not
	// cross a wire.
	Lease string
	// StepID and Try name the step for messages and traces; tries count from 1.
	StepID string
	Try    int
	// TraceParent is a W3C traceparent for the step, or empty.
	TraceParent string
	// Root is the absolute path of the project, or empty where the step may not
	// read files; Dir is the flow file's folder below it, slash-separated.
	Root string
	Dir  string
	// WantExchange asks for Stream.Exchange; nobody reads it otherwise.
	WantExchange bool
	// Effect is what the step does to the system under test, by the plugin's rule or
	// the author's word: "observe", "once". It is for hosts, and does not cross a wire.
	Effect string
	// Mask hides the run's secrets in a text, for what a host reports of a plugin
	// (its last words); nil: nothing to hide. It does not cross a wire.
	Mask func(text string) string
}

// Open opens a file that the config names, relative to the flow file. A path,
// or a symbolic link, that leaves the project is an error.
func (r *Request) Open(name string) (*os.File, error) {
	if r.Root == "" {
		return nil, &Error{Code: CodeConfig, Message: "this step may not read files", Blame: BlameDefinition}
	}
	root, err := os.OpenRoot(r.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if !path.IsAbs(name) { // which os.Root refuses with the reason
		name = path.Join(r.Dir, name)
	}
	// Opening a named pipe would wait for its other end, past every time limit.
	if info, err := root.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, &Error{Code: CodeConfig, Message: name + " is not a file", Blame: BlameDefinition}
	}
	return root.Open(name)
}

// ReadFile reads a file that the config names, up to limit bytes.
func (r *Request) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, &Error{Code: CodeConfig, Message: "file " + name + " is over its limit", Blame: BlameDefinition}
	}
	return data, err
}

// Path is where a file that the config names is, for what can only be opened by
// its name, as a database: an absolute path within the project. The file need
// not be there yet; its folder must be.
func (r *Request) Path(name string) (string, error) {
	if r.Root == "" {
		return "", &Error{Code: CodeConfig, Message: "this step may not use files", Blame: BlameDefinition}
	}
	root, err := os.OpenRoot(r.Root)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if !path.IsAbs(name) {
		name = path.Join(r.Dir, name)
	}
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := root.Stat(path.Dir(name)); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", &Error{Code: CodeConfig, Message: name + " is not a file", Blame: BlameDefinition}
	}
	return filepath.Join(r.Root, filepath.FromSlash(name)), nil
}

// Response is what a try brought back.
type Response struct {
	// Result is a JSON object with numbers verbatim.
	Result json.RawMessage
	// Members is the result in place of Result, from a plugin in the process of
	// its host: what nobody reads of it is never made.
	Members Members
	// Secrets are values obtained on the way (tokens) that must never be shown.
	Secrets []Secret
	// Limited says that an answer was cut at a limit, and which: "body over
	// 10 MiB". An assertion that reads the cut part is errored, never judged.
	Limited string
	// RetryAfter is how long the system asked to wait with this answer, as a 429
	// or 503 does; 0 if it did not. A retry honours it up to its max_delay.
	RetryAfter time.Duration
}

// Members are those of a result, each made when the host reads it: nil, bool,
// string, int64, float64, []any and map[string]any, and json.RawMessage for JSON
// as it came. What was made is the host's, which reads from it what JSON gives.
// They are read one at a time, some of them long after Execute has returned.
type Members interface {
	// Names are those of all members.
	Names() []string
	// Member makes one; ok is false where the result has none of that name.
	Member(name string) (v any, ok bool)
	// Size is about how many bytes all of it prints as.
	Size() int
}

// JSON is the result as it crosses a wire; nil where there is none.
func (r *Response) JSON() (json.RawMessage, error) {
	if r.Members == nil {
		return r.Result, nil
	}
	all := map[string]any{}
	for _, name := range r.Members.Names() {
		all[name], _ = r.Members.Member(name)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(all); err != nil {
		return nil, fmt.Errorf("print result: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Secret is a value to mask, with the name to show instead.
type Secret struct{ Name, Value string }

// Stream takes what a try reports while it runs.
type Stream interface {
	// Log adds a line to the step's log; level is debug, info, warn or error.
	Log(level, message string)
	// Exchange records one request and its response.
	Exchange(Exchange)
	// Artifact stores a file of the run.
	Artifact(name, mediaType string, data []byte)
}

// Exchange is one request and what came back, as people debug it.
type Exchange struct {
	Protocol string          `json:"protocol"`           // "HTTP/1.1"
	Summary  string          `json:"summary"`            // "POST http://127.0.0.1:7071/orders → 201"
	Request  json.RawMessage `json:"request,omitempty"`  // protocol's own shape
	Response json.RawMessage `json:"response,omitempty"` // absent where none came
	// Timings in milliseconds, by phase: dns, connect, tls, first_byte, total.
	Timings map[string]float64 `json:"timings,omitempty"`
	Started time.Time          `json:"started"`
	// Curl is a command line that repeats the request, secrets masked.
	Curl string `json:"curl,omitempty"`
}

// Error is a fault with words for the person who wrote the flow.
type Error struct {
	Code    string // one of the codes below
	Message string // one sentence without a full stop
	Hint    string // what to do, may be empty
	Blame   Blame  // zero: system
	Field   string // the config key that is wrong, where one is
	Details []string
	Cause   error
	// Failed marks a wrong answer (a wait that ended empty); otherwise the try
	// is errored.
	Failed bool
	// RetryAfter is how long the system asked to wait, 0 if it did not.
	RetryAfter time.Duration
	// Secrets are values that the call came to know before it failed, as a password in
	// an address, which must never be shown. The author's API adds them by itself.
	Secrets []Secret
}

// Error is the message and its cause.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// maxLastWords bounds the stack that a panic reports.
const maxLastWords = 2000

// Panicked is the error of a panic that was recovered, with the stack of
// debug.Stack as its details, from where the plugin panicked.
func Panicked(recovered any, stack []byte) *Error {
	if i := bytes.Index(stack, []byte("\npanic(")); i >= 0 {
		stack = stack[i+1:]
	}
	words := strings.TrimSpace(string(stack[:min(len(stack), maxLastWords)]))
	return &Error{
		Code: CodePlugin, Blame: BlamePlugin,
		Message: fmt.Sprintf("the plugin panicked: %v", recovered),
		Hint:    "report it to the author of the plugin",
		Details: strings.Split(words, "\n"),
	}
}

// Blame says whose fault an error is.
type Blame string

// Who can be to blame.
const (
	BlameSystem     Blame = "system"     // the system under test or the network
	BlamePlugin     Blame = "plugin"     // a bug of the plugin
	BlameAgent      Blame = "agent"      // the machine that runs the flow
	BlameDefinition Blame = "definition" // the flow file or its values
	BlameTestMesh   Blame = "testmesh"   // our bug
)

// Codes of plugin errors; `testmesh explain CODE` has a page for each.
const (
	CodeConn     = "E-CONN"
	CodeDNS      = "E-DNS"
	CodeTLS      = "E-TLS"
	CodeTimeout  = "E-TIMEOUT"
	CodeProtocol = "E-PROTOCOL"
	CodeReply    = "E-REPLY"
	CodeBody     = "E-BODY"
	CodeAuth     = "E-AUTH"
	CodeConfig   = "E-CONFIG"
	CodeWait     = "E-WAIT"
	CodePlugin   = "E-PLUGIN"
	CodeEgress   = "E-EGRESS"
)
