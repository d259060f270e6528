package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// sysDescriptor describes the plugin of the tests: a scripted system. Its
// config says what it answers:
//
//	status, body, headers   the result
//	script: [{…}, {…}]      the n-th call with the same key (the step's id) takes
//	                        the n-th entry over the rest; the last one stays
//	delay: 1s               before it answers; ends early when cancelled
//	error: E-CONN           a fault instead of an answer, with message and hint
//	failed: true            the fault is a wrong answer (a wait that ended)
//	hang: true              ignores its context for an hour
//	panic, bare, nothing    a crash, an error that is none of ours, neither result nor error
//	raw: text               the result's JSON as it is
//	size: n                 a body of n bytes
//	limited: text           the body was cut
//	secret: text            a value that the plugin obtained and nobody may see
//	log, exchange, artifact what it reports meanwhile
var sysDescriptor = &testmeshv1.Descriptor{
	Name: "sys", Version: "1.0.0",
	Actions: []*testmeshv1.Action{{
		Name:         "sys.call",
		ConfigSchema: `{"type":"object","properties":{"status":{"type":"integer"},"method":{"type":"string"},"headers":{"type":"object"},"delay":{"type":"string"},"error":{"type":"string"},"size":{"type":"integer"},"script":{"type":"array"},"hang":{"type":"boolean"}}}`,
		ResultSchema: `{"type":"object","properties":{"status":{"type":"integer"},"body":{},"headers":{"type":"object"},"calls":{"type":"integer"},"absent":{}}}`,
		Expectation:  "status < 400", BodyKey: "body",
		Effects: []*testmeshv1.EffectRule{
			{When: `method == "GET"`, Effect: testmeshv1.Effect_EFFECT_OBSERVE},
			{When: `method == "PUT"`, Effect: testmeshv1.Effect_EFFECT_IDEMPOTENT},
			{Effect: testmeshv1.Effect_EFFECT_ONCE},
		},
		Aliases: []string{"sys_call"},
	}, {
		Name: "sys.wait", ConfigSchema: `{"type":"object"}`, ResultSchema: `{"type":"object","properties":{"messages":{"type":"array"}}}`,
		Effects: []*testmeshv1.EffectRule{{Effect: testmeshv1.Effect_EFFECT_OBSERVE}},
	}},
	Functions: []*testmeshv1.Function{{Name: "echo"}, {Name: "picky"}, {Name: "gone"}, {Name: "bare"}, {Name: "garbage"}, {Name: "slow"}},
}

// system is the scripted system: a Stepper that answers as its config says.
type system struct {
	mu    sync.Mutex
	calls map[string]int
	seen  []*plugin.Request
	ended []string
	now   int // executing
	most  int // at once
}

func newSystem() *system { return &system{calls: map[string]int{}} }

func (s *system) EndRun(runID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, runID)
}

// enter counts a call and gives the config that applies to it.
func (s *system) enter(req *plugin.Request) (config map[string]any, n int, err error) {
	v, err := value.Decode(req.Config)
	if err != nil {
		return nil, 0, err
	}
	config = v.(map[string]any)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, req)
	s.now++
	s.most = max(s.most, s.now)
	key, ok := config["key"].(string)
	if !ok {
		key = req.StepID
	}
	key = req.RunID + "/" + key
	s.calls[key]++
	n = s.calls[key]
	if script, ok := config["script"].([]any); ok && len(script) > 0 {
		for k, e := range script[min(n, len(script))-1].(map[string]any) {
			config[k] = e
		}
	}
	return config, n, nil
}

func (s *system) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

func (s *system) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	config, n, err := s.enter(req)
	if err != nil {
		return nil, err
	}
	defer s.leave()
	text := func(key string) string { t, _ := config[key].(string); return t }
	if message := text("log"); message != "" {
		out.Log("info", message)
	}
	if text("exchange") != "" && req.WantExchange {
		out.Exchange(plugin.Exchange{Protocol: "SYS", Summary: text("exchange"), Request: req.Config, Response: json.RawMessage(`{"secret":"` + text("secret") + `"}`)})
	}
	if data := text("artifact"); data != "" {
		out.Artifact("file.txt", "text/plain", []byte(data))
	}
	if config["hang"] == true {
		<-time.After(time.Hour)
	}
	if err := wait(ctx, text("delay")); err != nil {
		return nil, err
	}
	resp := &plugin.Response{Limited: text("limited")}
	if secret := text("secret"); secret != "" {
		resp.Secrets = []plugin.Secret{{Name: "token", Value: secret}}
	}
	switch {
	case config["panic"] == true:
		panic("the wheels came off")
	case config["bare"] == true:
		return nil, errors.New("something else")
	case config["nothing"] == true:
		return nil, nil
	case text("raw") != "":
		resp.Result = json.RawMessage(text("raw"))
		return resp, nil
	case text("error") != "":
		return nil, fault(config)
	}
	resp.Result = answer(req, config, n)
	if text("retry_after") != "" {
		resp.RetryAfter, err = time.ParseDuration(text("retry_after"))
	}
	return resp, err
}

// wait ends early with the context's error.
func wait(ctx context.Context, delay string) error {
	if delay == "" {
		return nil
	}
	d, err := time.ParseDuration(delay)
	if err != nil {
		return &plugin.Error{Code: plugin.CodeConfig, Message: "delay is no duration", Blame: plugin.BlameDefinition, Field: "delay"}
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func fault(config map[string]any) error {
	e := &plugin.Error{Code: config["error"].(string), Message: "the system is not there", Failed: config["failed"] == true}
	if m, ok := config["message"].(string); ok {
		e.Message = m
	}
	if text, ok := config["retry_after"].(string); ok {
		e.RetryAfter, _ = time.ParseDuration(text)
	}
	return e
}

func answer(req *plugin.Request, config map[string]any, n int) []byte {
	if strings.HasSuffix(req.Action, ".wait") {
		return []byte(`{"messages":[]}`)
	}
	result := map[string]any{"status": int64(200), "calls": int64(n)}
	for _, key := range [...]string{"status", "body", "headers"} {
		if v, ok := config[key]; ok {
			result[key] = v
		}
	}
	if size, ok := config["size"].(int64); ok {
		result["body"] = strings.Repeat("x", int(size))
	}
	if config["echo"] == true {
		result["body"] = map[string]any{"config": config, "run": req.RunID, "step": req.StepID, "try": int64(req.Try), "dir": req.Dir}
	}
	return value.Append(nil, result)
}

// prober says that something answers from the n-th question on; the URL's path
// is n. It may not ask the host denied.
type prober struct {
	mu    sync.Mutex
	asked map[string]int
}

func (p *prober) Probe(_ context.Context, url string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[string]int{}
	}
	p.asked[url]++
	if strings.HasPrefix(url, "http://denied/") {
		return fmt.Errorf("ask %s: %w", url, &plugin.Error{Code: plugin.CodeEgress, Blame: plugin.BlameAgent, Message: "the agent does not let anything to denied"})
	}
	var n int
	if _, err := fmt.Sscanf(url[strings.LastIndexByte(url, '/')+1:], "%d", &n); err != nil {
		return errors.New("nobody is there")
	}
	if p.asked[url] < n {
		return fmt.Errorf("nobody is there yet")
	}
	return nil
}
