package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
)

func definitionCases() []testCase {
	return []testCase{{
		id:    "unknown-action",
		title: "an action that it does not have is an error of the definition",
		why:   "the person who wrote the flow must read that the action does not exist, not that the plugin broke",
		fix:   "answer an unknown action with the fault E-CONFIG of blame definition",
		run:   unknownAction,
	}, {
		id:    "bad-config",
		title: "a wrong value in a config is an error of the definition that names the key",
		why:   "people find the mistake by the key that the message names; without it they search the whole step",
		fix:   "check the config before anything else, and answer with the fault E-CONFIG of blame definition, the key in field",
		run:   badConfig,
	}, {
		id:    "unknown-key",
		title: "a key that no config has is refused, and nothing is done",
		why:   "a misspelt key that is ignored is a test that checks something else than it says",
		fix:   "refuse unknown keys when you decode the config, with the key in field",
		run:   unknownKey,
	}, {
		id:    "unknown-function",
		title: "a function that it does not have is an error of the definition",
		why:   "the person who wrote the expression must read that the function does not exist",
		fix:   "answer a Call of an unknown function with a fault of blame definition",
		run:   unknownFunction,
	}, {
		id:    "broken-requests",
		title: "requests that no host sends end in a fault, and the other calls do not notice",
		why:   "one process serves all runs of a machine: what breaks it breaks the tests of everybody",
		fix:   "treat the config as bytes from a stranger, and give a panic as the fault of its own call",
		run:   brokenRequests,
	}}
}

// anyCall is some step of the manifest that ends by itself.
func (k *kit) anyCall() (step, error) {
	c := k.config.Conformance
	payload := map[string]json.RawMessage{"payload": json.RawMessage(`"payload"`)}
	switch {
	case c.Echo != nil:
		return k.step(c.Echo.Call, payload)
	case c.JSON != nil:
		return k.step(c.JSON.Call, payload)
	case c.Observe != nil:
		return k.step(c.Observe.Call, payload)
	case c.Binary != nil:
		return k.step(c.Binary.Call, map[string]json.RawMessage{"payload": json.RawMessage(`"cGF5bG9hZA=="`)})
	case c.Idempotent != nil:
		return k.step(c.Idempotent.Call, payload)
	}
	return step{}, missing(`add conformance.echo: {action, config, result}, a step that brings "${payload}" back, and where`)
}

func unknownAction(ctx context.Context, k *kit) error {
	return k.with(ctx, func(s *subject, in *session) error {
		d, err := s.describe(ctx)
		if err != nil {
			return err
		}
		for _, action := range []string{d.GetName() + ".no_such_action", "", "no_such_plugin.action", d.GetName()} {
			if _, err := in.refuse(ctx, step{action: action, config: json.RawMessage(`{}`)}); err != nil {
				return fmt.Errorf("the action %q: %w", action, err)
			}
		}
		return nil
	})
}

func badConfig(ctx context.Context, k *kit) error {
	bad := k.config.Conformance.Bad
	if bad == nil {
		return missing("add conformance.bad: {action, config, field}, a step with one wrong value and the key that the fault must name")
	}
	st, err := k.step(bad.Call, nil)
	if err != nil {
		return err
	}
	return k.with(ctx, func(_ *subject, in *session) error {
		f, err := in.refuse(ctx, st)
		if err != nil {
			return err
		}
		if f.GetField() != bad.Field {
			return fmt.Errorf("the fault names the key %q, want %q: %s", f.GetField(), bad.Field, faultText(f))
		}
		return nil
	})
}

func unknownKey(ctx context.Context, k *kit) error {
	st, err := k.anyCall()
	if err != nil {
		return err
	}
	const key = "no_such_key_of_any_plugin"
	rest := bytes.TrimSpace(st.config)
	if !bytes.HasPrefix(rest, []byte("{")) {
		return fmt.Errorf("the manifest's config of %s is not an object", st.action)
	}
	comma := ","
	if bytes.Equal(bytes.TrimSpace(rest[1:]), []byte("}")) {
		comma = ""
	}
	st.config = slices.Concat([]byte(`{"`+key+`":1`+comma), rest[1:])
	return k.with(ctx, func(_ *subject, in *session) error {
		f, err := in.refuse(ctx, st)
		if err != nil {
			return fmt.Errorf("with the key %s: %w", key, err)
		}
		if !strings.Contains(f.GetField()+" "+f.GetMessage(), key) {
			return fmt.Errorf("the fault does not name the key %s: %s", key, faultText(f))
		}
		return nil
	})
}

func unknownFunction(ctx context.Context, k *kit) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"no_such_function", ""} {
		_, f, err := s.call(ctx, name, json.RawMessage(`[]`))
		if status.Code(errors.Unwrap(err)) == codes.Unimplemented && len(d.GetFunctions()) == 0 {
			continue // a plugin without functions need not serve Call
		}
		if err != nil {
			return err
		}
		if f == nil {
			return fmt.Errorf("the function %q gave a result", name)
		}
		if err := ofDefinition(f); err != nil {
			return fmt.Errorf("the function %q: %w", name, err)
		}
	}
	return nil
}

// call runs a function. It gives its result or its fault; the error is a *lost.
func (s *subject) call(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, *pluginv1.Fault, error) {
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	res, err := s.api.Call(ctx, &pluginv1.CallRequest{Function: name, ArgsJson: args, RunId: "run"})
	if err != nil {
		return nil, nil, &lost{err}
	}
	return res.GetResultJson(), res.GetFault(), nil
}

// deepNesting is far deeper than a host lets a config be.
const deepNesting = 100_000

// brokenRequests sends what breaks careless code while good calls are under way.
func brokenRequests(ctx context.Context, k *kit) error {
	good, err := k.anyCall()
	if err != nil {
		return err
	}
	broken, err := k.brokenSteps(good)
	if err != nil {
		return err
	}
	return k.with(ctx, func(s *subject, in *session) error {
		ctx, end := context.WithTimeout(ctx, stepTimeout)
		defer end()
		others := make(chan error, 1)
		stop := make(chan struct{})
		go func() { others <- in.keepCalling(ctx, good, stop) }()
		var wrong []error
		for _, b := range broken {
			if err := in.survives(ctx, b.step); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", b.name, err))
				break // what comes after a crash shows nothing new
			}
		}
		if err := s.survivesNoSession(ctx, good); err != nil {
			wrong = append(wrong, err)
		}
		close(stop)
		if err := <-others; err != nil {
			wrong = append(wrong, fmt.Errorf("another call: %w", err))
		}
		return errors.Join(wrong...)
	})
}

type brokenStep struct {
	name string
	step step
}

// brokenSteps are what the schema of the action would have kept from a plugin.
func (k *kit) brokenSteps(good step) ([]brokenStep, error) {
	var all []brokenStep
	for _, b := range []struct {
		name   string
		config json.RawMessage
	}{
		{"no config", nil},
		{"half a config", json.RawMessage(`{"a":`)},
		{"a config that is a list", json.RawMessage(`[]`)},
		{"a config that is null", json.RawMessage(`null`)},
		{"a config that is a text", json.RawMessage(`"x"`)},
		{"bytes that are no text", json.RawMessage("{\"a\":\"\xff\xfe\"}")},
		{"a bottomless config", json.RawMessage(`{"a":` + strings.Repeat("[", deepNesting))},
		{"every key a list", wrongKinds(good.config, `[[]]`)},
		{"every key an object", wrongKinds(good.config, `{"":{}}`)},
		{"every key null", wrongKinds(good.config, `null`)},
		{"every key a huge number", wrongKinds(good.config, `-1e999`)},
	} {
		all = append(all, brokenStep{b.name, step{action: good.action, config: b.config, timeout: grace}})
	}
	if k.config.Conformance.Panic != nil {
		panics, err := k.step(*k.config.Conformance.Panic, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, brokenStep{"a step that panics", panics})
	}
	return all, nil
}

// wrongKinds gives every key of a config the same value.
func wrongKinds(config json.RawMessage, value string) json.RawMessage {
	var keys map[string]json.RawMessage
	if json.Unmarshal(config, &keys) != nil {
		return json.RawMessage(value)
	}
	for key := range keys {
		keys[key] = json.RawMessage(value)
	}
	text, err := printJSON(keys)
	if err != nil {
		return json.RawMessage(value)
	}
	return text
}

// survives sends a broken request: any end will do but that of the process.
func (in *session) survives(ctx context.Context, st step) error {
	ctx, end := context.WithTimeout(ctx, answerTimeout)
	defer end()
	_, err := in.do(ctx, st)
	var l *lost
	if !errors.As(err, &l) {
		return err
	}
	switch status.Code(l.err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return err
	default:
		return nil // gRPC's own word for a bad request
	}
}

// survivesNoSession executes in sessions that do not exist.
func (s *subject) survivesNoSession(ctx context.Context, good step) error {
	for _, id := range []string{"", "no-such-session"} {
		stranger := &session{subject: s, id: id}
		if err := stranger.survives(ctx, good); err != nil {
			return fmt.Errorf("in the session %q, which is not open: %w", id, err)
		}
		if _, err := s.api.CloseSession(ctx, &pluginv1.CloseSessionRequest{SessionId: id}); err != nil {
			return fmt.Errorf("closing the session %q, which is closed already: %w", id, err)
		}
	}
	if _, err := s.api.Cancel(ctx, &pluginv1.CancelRequest{CallId: "no-such-call", Reason: "it has ended"}); err != nil {
		return fmt.Errorf("cancelling a call that has ended: %w", err)
	}
	return nil
}

// keepCalling executes a good step until stop.
func (in *session) keepCalling(ctx context.Context, good step, stop <-chan struct{}) error {
	const between = 5 * time.Millisecond
	for {
		if _, err := in.succeed(ctx, good); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-time.After(between):
		}
	}
}
