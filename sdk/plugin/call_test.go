package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorder is a Stream that keeps what it is told.
type recorder struct {
	lines     []string
	exchanges []Exchange
	artifacts []string
}

func (r *recorder) Log(level, message string) { r.lines = append(r.lines, level+": "+message) }
func (r *recorder) Exchange(x Exchange)       { r.exchanges = append(r.exchanges, x) }
func (r *recorder) Artifact(name, mediaType string, data []byte) {
	r.artifacts = append(r.artifacts, fmt.Sprintf("%s %s %s", name, mediaType, data))
}

// single is a plugin of one action, demo.go.
func single[In, Out any](run func(context.Context, *Call, In) (Out, error)) Plugin {
	return New(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, Action("go", "Go.", run))
}

type login struct {
	User     string     `json:"user"`
	Password SecretText `json:"password"`
}

type granted struct {
	Token SecretText `json:"token"`
}

func TestACallReportsAndHidesItsSecrets(t *testing.T) {
	var late *Call
	p := single(func(_ context.Context, call *Call, in login) (granted, error) {
		late = call
		call.Log("%s logs in with %v and %s", in.User, in, string(in.Password))
		call.Warn("URL ?p=%s", "pass%20w%22ord")
		call.Progress("basic %s", "cGFzcyB3Im9yZA==")
		if !call.WantsExchange() {
			t.Error("nobody wants the exchange")
		}
		call.Exchange(Exchange{Summary: "POST pass w\"ord", Curl: "-d 'pass w\"ord'", Request: json.RawMessage(`{"p":"pass w\"ord"}`), Response: json.RawMessage(`{}`)})
		call.Artifact("a.txt", "text/plain", []byte("x"))
		call.Limited("reply over 1 KiB")
		call.RetryAfter(3 * time.Second)
		call.AddSecret("session", "s3ss10n")
		call.AddSecret("short", "abc")
		return granted{"t0ken"}, nil
	})
	out := &recorder{}
	req := &Request{
		Action: "demo.go", Config: json.RawMessage(`{"user":"ada","password":"pass w\"ord"}`),
		RunID: "r", StepID: "s", Try: 2, TraceParent: "00-1", Dir: "flows/shop", WantExchange: true,
	}
	res, err := p.Execute(context.Background(), req, out)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"info: ada logs in with {ada ‹secret›} and ‹secret:password›",
		"warn: URL ?p=‹secret:password›",
		"debug: basic ‹secret:password›",
	}
	if got := strings.Join(out.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got lines\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if x := out.exchanges[0]; x.Summary != "POST ‹secret:password›" || x.Curl != "-d '‹secret:password›'" || string(x.Request) != `{"p":"‹secret:password›"}` {
		t.Errorf("got exchange %+v", x)
	}
	if len(out.artifacts) != 1 || out.artifacts[0] != "a.txt text/plain x" {
		t.Errorf("got artifacts %q", out.artifacts)
	}
	if string(res.Result) != `{"token":"t0ken"}` || res.Limited != "reply over 1 KiB" || res.RetryAfter != 3*time.Second {
		t.Errorf("got %s, %q, %s", res.Result, res.Limited, res.RetryAfter)
	}
	if got := fmt.Sprint(res.Secrets); got != `[{password pass w"ord} {session s3ss10n} {token t0ken}]` {
		t.Errorf("got secrets %s", got)
	}
	if late.Action() != "demo.go" || late.RunID() != "r" || late.StepID() != "s" || late.Try() != 2 || late.TraceParent() != "00-1" || late.Dir() != "flows/shop" {
		t.Errorf("got %s, %s, %s, %d, %s, %s", late.Action(), late.RunID(), late.StepID(), late.Try(), late.TraceParent(), late.Dir())
	}
	late.Log("after its end")
	late.Exchange(Exchange{})
	late.Artifact("", "", nil)
	if len(out.lines) != 3 || len(out.exchanges) != 1 || len(out.artifacts) != 1 {
		t.Error("a call that had ended was heard")
	}
}

// talker has a place for progress, as the wire has.
type talker struct{ recorder }

func (r *talker) Progress(message string) { r.lines = append(r.lines, "progress: "+message) }

func TestProgressGoesWhereItHasAPlace(t *testing.T) {
	p := single(func(_ context.Context, call *Call, _ nothing) (nothing, error) {
		call.Progress("%d of 2", 1)
		return nothing{}, nil
	})
	out := &talker{}
	if _, err := p.Execute(context.Background(), &Request{Action: "demo.go"}, out); err != nil || len(out.lines) != 1 || out.lines[0] != "progress: 1 of 2" {
		t.Errorf("got %q, %v", out.lines, err)
	}
}

func TestASecretIsHiddenForTheRestOfItsRun(t *testing.T) {
	type step struct {
		Learn string `json:"learn,omitempty"`
		Say   string `json:"say"`
		Fail  bool   `json:"fail,omitempty"`
	}
	p := single(func(_ context.Context, call *Call, in step) (nothing, error) {
		call.AddSecret("token", in.Learn)
		call.Log("%s", in.Say)
		call.RetryAfter(time.Second)
		if in.Fail {
			return nothing{}, Failf("no")
		}
		return nothing{}, nil
	})
	for i, test := range []struct{ run, config, line, secrets string }{
		{"1", `{"learn":"t0ken","say":"t0ken","fail":true}`, "‹secret:token›", "[{token t0ken}]"},
		{"1", `{"say":"t0ken again"}`, "‹secret:token› again", "[]"},
		{"1", `{"learn":"t0ken","say":"told once"}`, "told once", "[]"},
		{"2", `{"say":"t0ken of another run"}`, "t0ken of another run", "[]"},
	} {
		out := &recorder{}
		res, err := p.Execute(context.Background(), &Request{Action: "demo.go", RunID: test.run, Config: json.RawMessage(test.config)}, out)
		var known *Error
		switch {
		case out.lines[0] != "info: "+test.line:
			t.Errorf("%d: got %q, want %q", i, out.lines[0], test.line)
		case errors.As(err, &known):
			if fmt.Sprint(known.Secrets) != test.secrets || known.RetryAfter != time.Second {
				t.Errorf("%d: got %+v", i, known)
			}
		case fmt.Sprint(res.Secrets) != test.secrets:
			t.Errorf("%d: got secrets %v, want %s", i, res.Secrets, test.secrets)
		}
	}
}

func TestTheLongerSecretIsHiddenWhole(t *testing.T) {
	var s secrets
	s.add(Secret{"pin", "1234"}, Secret{"card", "12345678"})
	if got := s.mask("12345678 and 1234"); got != "‹secret:card› and ‹secret:pin›" {
		t.Errorf("got %s", got)
	}
}

func TestTheSecretsOfARunAreBounded(t *testing.T) {
	var s secrets
	for i := range maxSecrets + 10 {
		s.add(Secret{"n", fmt.Sprintf("secret-%05d", i)})
		if i == 4 && len(s.untold()) != 5 {
			t.Error("the first five were not to be told")
		}
	}
	if got := s.untold(); len(got) != maxSecrets || got[0].Value != "secret-00010" {
		t.Errorf("got %d, the first %v", len(got), got[0])
	}
	if got := s.mask("secret-00009 secret-00010 secret-01009"); got != "secret-00009 ‹secret:n› ‹secret:n›" {
		t.Errorf("got %s", got)
	}
	s.add(Secret{"n", "secret-00009"})
	if got := s.mask("secret-00009 secret-00010"); got != "‹secret:n› secret-00010" {
		t.Errorf("known again: got %s", got)
	}
}

func TestASecretIsNotPrinted(t *testing.T) {
	in := login{"ada", "password"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(format, in); strings.Contains(got, "password") || strings.Contains(got, "70617373") {
			t.Errorf("%s shows %s", format, got)
		}
	}
	if string(in.Password) != "password" {
		t.Error("its value is gone")
	}
}

func TestFilesOfAConfigAreThoseOfTheProject(t *testing.T) {
	type in struct {
		Source File `json:"source"`
	}
	type out struct {
		Text string `json:"text"`
	}
	p := single(func(_ context.Context, call *Call, in in) (out, error) {
		data, err := call.ReadFile(in.Source, 10)
		if err != nil {
			return out{}, err
		}
		f, err := call.Open(in.Source)
		if err != nil {
			return out{}, err
		}
		return out{string(data)}, f.Close()
	})
	root := project(t)
	tests := map[string]struct{ root, source, want, message string }{
		"beside the flow": {root, "data.txt", `{"text":"data"}`, ""},
		"that is missing": {root, "none.txt", "", "there is no file none.txt"},
		"outside of it":   {root, "../../outside/secret.txt", "", "file ../../outside/secret.txt: path escapes from parent"},
		"too large":       {root, "large.txt", "", "over its limit"},
		"without a root":  {"", "data.txt", "", "this step may not read files"},
	}
	if err := os.WriteFile(filepath.Join(root, "flows", "large.txt"), make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := json.Marshal(in{File(test.source)})
			if err != nil {
				t.Fatal(err)
			}
			res, err := p.Execute(context.Background(), &Request{Action: "demo.go", Config: config, Root: test.root, Dir: "flows"}, nil)
			if test.message == "" {
				if err != nil || string(res.Result) != test.want {
					t.Errorf("got %v, %v", res, err)
				}
				return
			}
			var known *Error
			if !errors.As(err, &known) || known.Code != CodeConfig || known.Blame != BlameDefinition || !strings.Contains(known.Message, test.message) {
				t.Errorf("got %#v, want E-CONFIG of the definition with %q", err, test.message)
			}
		})
	}
}

func TestResultsThatJSONHasNotAreTheAuthorsFault(t *testing.T) {
	type out struct {
		Ratio float64     `json:"ratio"`
		Exact json.Number `json:"exact"`
		Any   any         `json:"any"`
	}
	circle := map[string]any{}
	circle["again"] = circle
	tests := map[string]struct {
		out  out
		want string // of the message; or the result
	}{
		"no number":       {out{Ratio: math.NaN()}, "ratio is NaN"},
		"an infinity":     {out{Ratio: math.Inf(1)}, "ratio is +Inf"},
		"a false number":  {out{Exact: "1.0x"}, `exact holds the json.Number "1.0x"`},
		"a circle":        {out{Any: circle}, "is nested deeper than 500"},
		"a channel":       {out{Any: make(chan int)}, "any: a chan int is no value of JSON"},
		"broken JSON":     {out{Any: json.RawMessage("{")}, "any is not JSON"},
		"one that fails":  {out{Any: failing{}}, "any: "},
		"zeros":           {out{}, `{"ratio":0,"exact":0,"any":null}`},
		"a typed nil":     {out{Any: (*int)(nil)}, `{"ratio":0,"exact":0,"any":null}`},
		"exact numbers":   {out{Exact: "1.50", Any: []any{json.Number("0.10"), uint64(math.MaxUint64)}}, `{"ratio":0,"exact":1.50,"any":[0.10,18446744073709551615]}`},
		"structs in any":  {out{Any: []any{granted{"x"}, map[string]int{"b": 2, "a": 1}, []string(nil), time.Second, []byte{1}}}, `{"ratio":0,"exact":0,"any":[{"token":"x"},{"a":1,"b":2},[],"1s","AQ=="]}`},
		"what it prints":  {out{Any: json.RawMessage(` {"a" : 1.0} `)}, `{"ratio":0,"exact":0,"any":{"a":1.0}}`},
		"no HTML escapes": {out{Any: "<&>"}, `{"ratio":0,"exact":0,"any":"<&>"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := single(func(context.Context, *Call, nothing) (out, error) { return test.out, nil })
			res, err := execute(t, p, "demo.go", "{}")
			if strings.HasPrefix(test.want, "{") {
				if err != nil || string(res.Result) != test.want {
					t.Errorf("got %s, %v, want %s", res.Result, err, test.want)
				}
				return
			}
			var known *Error
			if !errors.As(err, &known) || known.Code != CodePlugin || known.Blame != BlamePlugin || !strings.Contains(known.Message, test.want) {
				t.Errorf("got %v, want E-PLUGIN of the plugin with %q", err, test.want)
			}
		})
	}
}

// failing cannot be printed.
type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }
func (*failing) UnmarshalJSON([]byte) error  { return errors.New("no") }

func TestNilListsAndMapsAreEmptyOnes(t *testing.T) {
	type out struct {
		List []string       `json:"list"`
		Map  map[string]any `json:"map"`
		Data []byte         `json:"data"`
		None *int           `json:"none"`
	}
	p := single(func(context.Context, *Call, nothing) (out, error) { return out{}, nil })
	res, err := execute(t, p, "demo.go", "")
	if err != nil || string(res.Result) != `{"list":[],"map":{},"data":"","none":null}` {
		t.Errorf("got %s, %v", res.Result, err)
	}
}

func TestAnOpenMapIsAConfigAndAResult(t *testing.T) {
	p := single(func(_ context.Context, _ *Call, in map[string]any) (map[string]any, error) { return in, nil })
	if got := p.Describe().GetActions()[0].GetConfigSchema(); got != `{"type": "object"}` {
		t.Errorf("got schema %s", got)
	}
	res, err := execute(t, p, "demo.go", `{"b":1.0,"a":[null]}`)
	if err != nil || string(res.Result) != `{"a":[null],"b":1.0}` {
		t.Errorf("got %s, %v", res.Result, err)
	}
}

func TestAnUnknownActionIsTheDefinitionsFault(t *testing.T) {
	_, err := execute(t, echo(), "demo.none", "{}")
	var known *Error
	if !errors.As(err, &known) || known.Code != CodeConfig || known.Message != "there is no action demo.none" {
		t.Errorf("got %v", err)
	}
}

func TestHooksAreCalled(t *testing.T) {
	var told []string
	bad := errors.New("bad")
	p := New(Info{Name: "demo", Version: "1.0.0", Summary: "S."},
		Action("go", "Go.", func(_ context.Context, call *Call, _ nothing) (nothing, error) {
			told = append(told, "go with "+call.Host().Version)
			return nothing{}, nil
		}),
		OnConfigure(func(_ context.Context, host Host) error {
			told = append(told, "configure "+host.AgentName)
			return nil
		}),
		OnHealth(func(context.Context) error { return bad }),
		OnClose(func() error { told = append(told, "close"); return bad }))
	if err := p.(Configurer).Configure(context.Background(), Host{Version: "1.2.3", AgentName: "here"}); err != nil {
		t.Error(err)
	}
	if _, err := execute(t, p, "demo.go", "{}"); err != nil {
		t.Error(err)
	}
	if err := p.(Checker).Health(context.Background()); !errors.Is(err, bad) {
		t.Errorf("health: got %v", err)
	}
	if err := p.Close(); !errors.Is(err, bad) {
		t.Errorf("close: got %v", err)
	}
	if got := strings.Join(told, ", "); got != "configure here, go with 1.2.3, close" {
		t.Errorf("got %s", got)
	}
	refusing := New(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, typed[nothing](), OnConfigure(func(context.Context, Host) error { return bad }))
	if err := refusing.(Configurer).Configure(context.Background(), Host{}); !errors.Is(err, bad) {
		t.Errorf("configure: got %v", err)
	}
}
