package plugintest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// victim is the plugin that the kit is tried on. Without a fault it keeps every
// promise; each fault breaks one.
type victim struct {
	fault string

	one      sync.Mutex // held by every call of the fault "one-at-a-time"
	mu       sync.Mutex
	runs     map[string]string // what each run keeps
	things   map[string]string // the system under test
	leaked   [][]byte
	files    []*os.File
	slot     string
	poisoned atomic.Bool
	counter  atomic.Int64
	waiting  atomic.Int64
	told     atomic.Bool // Configure was called
}

func newVictim(fault string) *victim {
	return &victim{fault: fault, runs: map[string]string{}, things: map[string]string{}}
}

const anyObject = `{"type": "object", "additionalProperties": true, "properties": {%s}}`

func action(name, config, result string, effect testmeshv1.Effect) *testmeshv1.Action {
	return &testmeshv1.Action{
		Name: "kit." + name, Summary: "Does " + name + ".", Description: "Passes when it is done.",
		ConfigSchema: fmt.Sprintf(anyObject, config), ResultSchema: fmt.Sprintf(anyObject, result),
		Effects: []*testmeshv1.EffectRule{{Effect: effect}}, Example: "- action: kit." + name,
	}
}

func (v *victim) Describe() *testmeshv1.Descriptor {
	const value = `"value": {}`
	d := &testmeshv1.Descriptor{
		Name: "kit", Version: "1.2.3-rc.1+build", Summary: "A plugin for the kit.",
		Actions: []*testmeshv1.Action{
			action("echo", value, value, testmeshv1.Effect_EFFECT_OBSERVE),
			action("bytes", value, value, testmeshv1.Effect_EFFECT_OBSERVE),
			action("wait", "", "", testmeshv1.Effect_EFFECT_OBSERVE),
			action("login", `"password": {}`, "", testmeshv1.Effect_EFFECT_ONCE),
			action("remember", value, "", testmeshv1.Effect_EFFECT_IDEMPOTENT),
			action("recall", "", value, testmeshv1.Effect_EFFECT_OBSERVE),
			action("read", `"file": {"x-testmesh-file": true}`, value, testmeshv1.Effect_EFFECT_OBSERVE),
			action("put", value, "", testmeshv1.Effect_EFFECT_IDEMPOTENT),
			action("get", "", value, testmeshv1.Effect_EFFECT_OBSERVE),
			action("panic", "", "", testmeshv1.Effect_EFFECT_ONCE),
		},
		Functions: []*testmeshv1.Function{{Name: "double", Summary: "Twice a text.", Parameters: []string{"text"}}},
	}
	first := d.GetActions()[0]
	switch v.fault {
	case "no-example":
		first.Example = ""
	case "no-summary":
		d.Summary = ""
	case "bad-name":
		first.Name = "other.echo"
	case "bad-version":
		d.Version = "1.2"
	case "bad-schema":
		first.ConfigSchema = `[]`
	case "conditional-effects":
		first.Effects[0].When = "true"
	case "twice-the-same-action":
		d.Actions = append(d.Actions, first)
	case "changing-descriptor":
		d.Version = fmt.Sprintf("1.0.%d", v.counter.Add(1))
	case "configured-descriptor":
		if v.told.Load() {
			d.Version = "2.0.0"
		}
	case "undeclared-effect":
		for _, a := range d.GetActions() {
			a.Effects[0].Effect = testmeshv1.Effect_EFFECT_ONCE
		}
	}
	return d
}

func (v *victim) Configure(context.Context, plugin.Host) error {
	v.told.Store(true)
	return nil
}

func (v *victim) Health(ctx context.Context) error {
	switch {
	case v.fault == "busy-health" && v.waiting.Load() > 0:
		<-ctx.Done()
	case v.fault == "not-ready" && v.waiting.Load() > 0:
		return errors.New("too much to do")
	}
	return nil
}

func (v *victim) EndRun(run string) {
	if v.fault == "keeps-ended-runs" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.runs, run)
}

func (v *victim) Close() error {
	if v.fault == "exit-code" {
		syscall.Exit(7)
	}
	return nil
}

// settings is the config of every action.
type settings struct {
	Value    json.RawMessage `json:"value"`
	Password string          `json:"password"`
	File     string          `json:"file"`
	Count    int             `json:"count"`
}

func definition(field, format string, args ...any) error {
	return &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Field: field, Message: fmt.Sprintf(format, args...)}
}

func (v *victim) settings(text json.RawMessage) (*settings, error) {
	c := &settings{}
	dec := json.NewDecoder(bytes.NewReader(text))
	if v.fault != "ignores-unknown-keys" {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(c)
	if v.fault == "crashes-on-garbage" && err != nil {
		syscall.Exit(1)
	}
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && v.fault == "no-field":
		return nil, definition("", "it does not fit")
	case errors.As(err, &kind) && v.fault == "blames-itself":
		return nil, errors.New("it does not fit")
	case errors.As(err, &kind):
		return nil, definition(kind.Field, "%s does not fit", kind.Value)
	case err != nil:
		return nil, definition("", "%s", err)
	}
	return c, nil
}

func (v *victim) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if v.fault == "one-at-a-time" {
		v.one.Lock()
		defer v.one.Unlock()
	}
	name, _ := strings.CutPrefix(req.Action, "kit.")
	do, ok := map[string]func(context.Context, *plugin.Request, *settings, plugin.Stream) (any, error){
		"echo": v.echo, "bytes": v.bytes, "wait": v.wait, "login": v.login, "remember": v.remember,
		"recall": v.recall, "read": v.read, "put": v.put, "get": v.get, "panic": v.panic,
	}[name]
	if !ok || name == req.Action {
		if v.fault == "no-such-action-is-a-bug" {
			return nil, fmt.Errorf("no handler for %s", req.Action)
		}
		return nil, definition("", "kit has no action %q", req.Action)
	}
	c, err := v.settings(req.Config)
	if err != nil {
		return nil, err
	}
	value, err := do(ctx, req, c, out)
	if err != nil {
		return nil, err
	}
	result := map[string]any{}
	if value != nil {
		result["value"] = value
	}
	switch v.fault {
	case "undeclared-key":
		result["surprise"] = true
	case "uninvited-exchange":
		out.Exchange(plugin.Exchange{Summary: "nobody asked"})
	case "unknown-level":
		out.Log("verbose", "hello")
	case "result-is-a-list":
		return &plugin.Response{Result: json.RawMessage(`[1]`)}, nil
	}
	text, err := printJSON(result)
	return &plugin.Response{Result: text}, err
}

func (v *victim) echo(_ context.Context, _ *plugin.Request, c *settings, _ plugin.Stream) (any, error) {
	if v.poisoned.Load() {
		return nil, errors.New("the pool is broken")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch v.fault {
	case "leaks-memory":
		v.leaked = append(v.leaked, bytes.Clone(c.Value))
	case "leaks-files":
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		v.files = append(v.files, f)
	case "prints":
		_, _ = os.NewFile(1, "stdout").WriteString("handling echo\n")
	case "shared-slot":
		v.slot = string(c.Value)
		v.mu.Unlock()
		<-time.After(20 * time.Millisecond)
		v.mu.Lock()
		return json.RawMessage(v.slot), nil
	case "refuses-long":
		if len(c.Value) > 1002 { // with its quotes
			return nil, definition("value", "this is too long")
		}
	case "counts":
		return v.counter.Add(1), nil
	case "floats", "forgets-null", "trims", "loses-surrogates", "shallow", "small":
		return v.mangle(c.Value)
	}
	return c.Value, nil
}

// mangle breaks values as careless code does.
func (v *victim) mangle(text json.RawMessage) (any, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return json.RawMessage(`0`), nil
	}
	s, isText := value.(string)
	switch {
	case v.fault == "forgets-null":
		if m, ok := value.(map[string]any); ok && m["a"] == nil {
			delete(m, "a")
		}
	case v.fault == "trims" && isText:
		return strings.TrimSpace(s), nil
	case v.fault == "loses-surrogates" && isText:
		before, _, _ := strings.Cut(s, "\ufffd")
		return before, nil
	case v.fault == "shallow" && len(text) > 10_000:
		syscall.Exit(2)
	case v.fault == "small" && len(text) > 1000:
		return s[:1000], nil
	case v.fault != "floats":
		return text, nil
	}
	return value, nil
}

func (v *victim) bytes(_ context.Context, _ *plugin.Request, c *settings, _ plugin.Stream) (any, error) {
	var data []byte
	if err := json.Unmarshal(c.Value, &data); err != nil {
		return nil, definition("value", "this is not base64")
	}
	if v.fault == "bytes-as-text" {
		data = []byte(strings.ToValidUTF8(string(data), "?"))
	}
	return data, nil
}

func (v *victim) wait(ctx context.Context, _ *plugin.Request, _ *settings, _ plugin.Stream) (any, error) {
	v.waiting.Add(1)
	defer v.waiting.Add(-1)
	const deafFor = 4 * time.Second
	switch v.fault {
	case "deaf":
		<-time.After(deafFor)
		return nil, errors.New("at last")
	case "quick":
		return nil, errors.New("no patience")
	}
	<-ctx.Done()
	e := &plugin.Error{Code: plugin.CodeTimeout, Blame: plugin.BlameSystem, Message: "nothing came", Cause: context.Cause(ctx)}
	switch v.fault {
	case "poisoned-by-cancel":
		v.poisoned.Store(true)
	case "cancelled-is-failed":
		e.Failed = true
	case "cancelled-is-done":
		return "done", nil
	}
	return nil, e
}

func (v *victim) login(_ context.Context, req *plugin.Request, c *settings, out plugin.Stream) (any, error) {
	switch v.fault {
	case "prints-secret":
		fmt.Fprintln(os.Stderr, "login with", c.Password)
	case "prints-packed-secret":
		fmt.Fprintf(os.Stderr, "login with %x\n", c.Password)
	case "half-a-secret":
		out.Log("debug", "the password begins with "+c.Password[:len(c.Password)/2])
	case "secret-in-fault":
		return nil, &plugin.Error{Code: plugin.CodeAuth, Message: "wrong password " + strings.ToUpper(c.Password)}
	}
	if req.WantExchange {
		token := base64.StdEncoding.EncodeToString([]byte("me:" + c.Password))
		request, err := printJSON(map[string]string{"authorization": "Basic " + token})
		if err != nil {
			return nil, err
		}
		out.Exchange(plugin.Exchange{Summary: "login", Request: request})
	}
	out.Log("info", "logged in with "+c.Password)
	return nil, nil
}

func (v *victim) remember(_ context.Context, req *plugin.Request, c *settings, _ plugin.Stream) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == "one-memory-for-all" {
		req.RunID = ""
	}
	v.runs[req.RunID] = string(c.Value)
	return nil, nil
}

func (v *victim) recall(_ context.Context, req *plugin.Request, _ *settings, _ plugin.Stream) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == "one-memory-for-all" {
		req.RunID = ""
	}
	if v.runs[req.RunID] == "" {
		return nil, nil
	}
	return json.RawMessage(v.runs[req.RunID]), nil
}

func (v *victim) read(_ context.Context, req *plugin.Request, c *settings, out plugin.Stream) (any, error) {
	const limit = 1 << 20
	data, err := req.ReadFile(c.File, limit)
	switch v.fault {
	case "reads-any-file":
		data, err = os.ReadFile(filepath.Join(req.Root, req.Dir, c.File))
	case "shows-any-file":
		if stolen, err := os.ReadFile(filepath.Join(req.Root, req.Dir, c.File)); err == nil {
			out.Log("info", "read "+string(stolen))
		}
	case "file-faults-are-bugs":
		if err != nil {
			return nil, errors.New("open failed")
		}
	}
	if err != nil {
		return nil, definition("file", "%s", err)
	}
	return string(data), nil
}

func (v *victim) put(_ context.Context, _ *plugin.Request, c *settings, _ plugin.Stream) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == "appends" {
		v.things["it"] += string(c.Value)
		return nil, nil
	}
	v.things["it"] = string(c.Value)
	return nil, nil
}

func (v *victim) get(context.Context, *plugin.Request, *settings, plugin.Stream) (any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.things["it"], nil
}

func (v *victim) panic(context.Context, *plugin.Request, *settings, plugin.Stream) (any, error) {
	if v.fault == "panic-is-fatal" {
		syscall.Exit(2)
	}
	panic("as the manifest says")
}

func (v *victim) Call(_ context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	if req.Function != "double" {
		if v.fault == "no-such-function-is-null" {
			return json.RawMessage(`null`), nil
		}
		return nil, definition("", "kit has no function %q", req.Function)
	}
	var args []string
	if err := json.Unmarshal(req.Args, &args); err != nil || len(args) != 1 {
		switch v.fault {
		case "careless-function":
			return json.RawMessage(`""`), nil
		case "panicking-function":
			return nil, errors.New(args[0])
		}
		return nil, definition("", "double takes one text")
	}
	if v.fault == "random-function" && v.counter.Add(1) > 1 {
		return printJSON(args[0])
	}
	return printJSON(args[0] + args[0])
}
