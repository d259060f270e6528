package plugintest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// largePayload is what must cross the wire both ways at least.
const largePayload = 10_000_000

func dataCases() []testCase {
	return []testCase{{
		id:    "result",
		title: "a result is a JSON object whose keys the descriptor declares, and exchanges come only where they are wanted",
		why:   "expressions are checked against the declared keys; a key that nobody declared can never be read, and exchanges that nobody reads cost every run",
		fix:   "declare every key of the result in the result's schema; look at want_exchange before you build one",
		run:   resultShape,
	}, {
		id:    "text",
		title: "text comes back as it was sent: every script, composed or not, empty, with line ends and control characters",
		why:   "a test that changes the text it sends finds faults that are not there, and misses those that are",
		fix:   "treat text as text, not as bytes of some locale; do not trim, normalize or escape it",
		run:   textKept,
	}, {
		id:    "surrogates",
		title: "half of a surrogate pair is refused, kept or replaced, and nothing around it changes",
		why:   "JSON can escape what is no character; a plugin must not lose the text around it, or crash",
		fix:   "use a JSON library that knows escapes of surrogates",
		run:   surrogatesKept,
	}, {
		id:    "binary",
		title: "bytes come back as they were sent, all 256 of them",
		why:   "files, images and packed messages are bytes; one that is taken for text is damaged",
		fix:   "take bytes as base64 in the config, give them as base64 in the result, and never make a text of them on the way",
		run:   bytesKept,
	}, {
		id:    "numbers",
		title: "numbers come back as they are written",
		why:   "0.1, 1e400 and ids of twenty digits do not fit a float; a plugin that rounds them makes tests of money pass that should fail",
		fix:   "decode numbers as their text (json.Number in Go, JSON.rawJSON and the reviver's source in JavaScript), not as floats",
		run:   numbersKept,
	}, {
		id:    "null",
		title: "null, absent, empty and false are four different things",
		why:   "APIs tell them apart, so tests must",
		fix:   "decode into values that know null, and do not omit what is empty",
		run:   nullKept,
	}, {
		id:    "nesting",
		title: "values of a hundred levels come back, and five thousand crash nothing",
		why:   "a recursive decoder that runs out of stack takes the process with it, and all runs of the machine",
		fix:   "bound the depth of what you decode, with a fault above it; a hundred levels must pass",
		run:   nestingKept,
	}, {
		id:    "large",
		title: "ten megabytes go both ways",
		why:   "gRPC libraries refuse messages over four megabytes unless told otherwise; real answers are larger",
		fix:   "set the server's limits for received and sent messages to 256 MiB; where the protocol carries less, say so in conformance.echo.limit and refuse more with a fault",
		run:   largeKept,
	}}
}

// textEcho is the step that carries a text.
func (k *kit) textEcho() (*Echo, error) {
	switch c := k.config.Conformance; {
	case c.Echo != nil:
		return c.Echo, nil
	case c.JSON != nil:
		return c.JSON, nil
	}
	return nil, missing(`add conformance.echo: {action, config, result}, a step that brings "${payload}" back, and where`)
}

// jsonEcho is the step that carries any JSON value.
func (k *kit) jsonEcho() (*Echo, error) {
	if k.config.Conformance.JSON == nil {
		return nil, missing(`add conformance.json: {action, config, result}, a step that brings "${payload}", any JSON value, back, and where`)
	}
	return k.config.Conformance.JSON, nil
}

// sent makes the step that carries a payload.
func (k *kit) sent(echo *Echo, payload json.RawMessage) (step, error) {
	return k.step(echo.Call, map[string]json.RawMessage{"payload": payload})
}

// back gives what the step brought back.
func (in *session) back(ctx context.Context, st step, at string) (json.RawMessage, error) {
	out, err := in.succeed(ctx, st)
	if err != nil {
		return nil, err
	}
	return lookup(out.result, at)
}

// comesBack sends a payload and compares what came back.
func (k *kit) comesBack(ctx context.Context, in *session, echo *Echo, payload json.RawMessage) error {
	st, err := k.sent(echo, payload)
	if err != nil {
		return err
	}
	got, err := in.back(ctx, st, echo.Result)
	if err != nil {
		return err
	}
	return sameJSON(got, payload)
}

// eachComesBack tries payloads by name, those of a text within its limit.
func (k *kit) eachComesBack(ctx context.Context, echo *Echo, payloads map[string]json.RawMessage) error {
	return k.with(ctx, func(_ *subject, in *session) error {
		var wrong []error
		for _, name := range slices.Sorted(maps.Keys(payloads)) {
			payload := payloads[name]
			if echo.Limit > 0 && len(payload) > echo.Limit {
				continue
			}
			if err := k.comesBack(ctx, in, echo, payload); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(wrong...)
	})
}

func textKept(ctx context.Context, k *kit) error {
	echo, err := k.textEcho()
	if err != nil {
		return err
	}
	payloads := map[string]json.RawMessage{}
	for name, text := range map[string]string{
		"nothing":                  "",
		"blanks":                   "  \t two before, one behind ",
		"composed":                 "caf\u00e9",
		"decomposed":               "cafe\u0301",
		"beyond the basic plane":   "\U0001F9EA \U0001F469\u200d\U0001F52C \U0001D11E",
		"right to left":            "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eabc\u202c",
		"east Asian":               "\u7ed3\u679c \u30c6\u30b9\u30c8 \ud55c\uad6d\uc5b4",
		"line ends":                "a\nb\r\nc\rd\u0085e\u2028f\u2029g",
		"a mark of byte order":     "\ufeffx",
		"control characters":       "\u0001\u0008\u000b\u001f\u007f",
		"zero":                     "a\u0000b",
		"quotes and escapes":       `"'\/<>&` + "`${x}{{y}}",
		"what looks like a number": "007",
		"what looks like null":     "null",
	} {
		if payloads[name], err = printJSON(text); err != nil {
			return err
		}
	}
	return k.eachComesBack(ctx, echo, payloads)
}

func surrogatesKept(ctx context.Context, k *kit) error {
	echo, err := k.textEcho()
	if err != nil {
		return err
	}
	return k.with(ctx, func(_ *subject, in *session) error {
		for _, half := range []string{`\ud800`, `\udc00`} {
			payload := json.RawMessage(`"before ` + half + ` after"`)
			st, err := k.sent(echo, payload)
			if err != nil {
				return err
			}
			out, err := in.do(ctx, st)
			if err != nil {
				return err
			}
			if out.fault != nil {
				continue // refused
			}
			got, err := lookup(out.result, echo.Result)
			if err != nil {
				return err
			}
			// Go reads half a pair as the replacement character, whoever wrote which.
			if err := sameJSON(got, payload); err != nil {
				return fmt.Errorf("half a pair: %w", err)
			}
		}
		return nil
	})
}

func bytesKept(ctx context.Context, k *kit) error {
	echo := k.config.Conformance.Binary
	if echo == nil {
		return missing(`add conformance.binary: {action, config, result}, a step that brings the bytes of "${payload}", which is base64, back, and where`)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return k.with(ctx, func(_ *subject, in *session) error {
		for _, sent := range []struct {
			name string
			want []byte
		}{
			{"every byte", all}, {"every byte backwards", reversed(all)}, {"one byte", []byte{0xff}}, {"broken UTF-8", []byte("a\xc3(\xa0\xa1")},
		} {
			name, want := sent.name, sent.want
			payload, err := printJSON(base64.StdEncoding.EncodeToString(want))
			if err != nil {
				return err
			}
			st, err := k.sent(echo, payload)
			if err != nil {
				return err
			}
			text, err := in.back(ctx, st, echo.Result)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			var got []byte
			if err := json.Unmarshal(text, &got); err != nil {
				return fmt.Errorf("%s: what came back is not base64: %w", name, err)
			}
			if !bytes.Equal(got, want) {
				return fmt.Errorf("%s: got % x, want % x", name, clip(got), clip(want))
			}
		}
		return nil
	})
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

func clip(b []byte) []byte { return b[:min(len(b), 32)] }

func numbersKept(ctx context.Context, k *kit) error {
	echo, err := k.jsonEcho()
	if err != nil {
		return err
	}
	payloads := map[string]json.RawMessage{}
	for _, number := range []string{
		"0", "-0", "1", "0.1", "0.10", "0.30000000000000004", "1.50", "-1.5e-7", "1E+2", "1e400", "-1e-400",
		"9007199254740993", "12345678901234567890", "-12345678901234567890.123456789012345678901",
	} {
		payloads[number] = json.RawMessage(`{"n":` + number + `,"list":[` + number + `]}`)
	}
	return k.eachComesBack(ctx, echo, payloads)
}

func nullKept(ctx context.Context, k *kit) error {
	echo, err := k.jsonEcho()
	if err != nil {
		return err
	}
	return k.eachComesBack(ctx, echo, map[string]json.RawMessage{
		"null in an object": json.RawMessage(`{"a":null,"b":"","c":0,"d":false,"e":[],"f":{}}`),
		"absent":            json.RawMessage(`{"b":1}`),
		"null in a list":    json.RawMessage(`[null,[null],{"a":null}]`),
		"an empty object":   json.RawMessage(`{}`),
		"an empty list":     json.RawMessage(`[]`),
		"an empty key":      json.RawMessage(`{"":"empty"," ":"blank"}`),
		"keys with dots":    json.RawMessage(`{"a.b":1,"a":{"b":2}}`),
		"names of objects":  json.RawMessage(`{"__proto__":1,"constructor":2,"toString":3}`),
	})
}

func nestingKept(ctx context.Context, k *kit) error {
	echo, err := k.jsonEcho()
	if err != nil {
		return err
	}
	nested := func(depth int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`{"a":[`, depth/2) + "1" + strings.Repeat(`]}`, depth/2))
	}
	const must, may = 100, 5000
	return k.with(ctx, func(_ *subject, in *session) error {
		if err := k.comesBack(ctx, in, echo, nested(must)); err != nil {
			return fmt.Errorf("%d levels: %w", must, err)
		}
		st, err := k.sent(echo, nested(may))
		if err != nil {
			return err
		}
		if _, err := in.do(ctx, st); err != nil { // a fault will do, and any result
			return fmt.Errorf("%d levels: %w", may, err)
		}
		return nil
	})
}

func largeKept(ctx context.Context, k *kit) error {
	echo, err := k.textEcho()
	if err != nil {
		return err
	}
	size := largePayload
	if echo.Limit > 0 {
		size = min(size, echo.Limit)
	}
	payload, err := printJSON(longText(size))
	if err != nil {
		return err
	}
	return k.with(ctx, func(_ *subject, in *session) error {
		st, err := k.sent(echo, payload)
		if err != nil {
			return err
		}
		out, err := in.succeed(ctx, st)
		if err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		k.measured("large", milliseconds(out.took), "ms")
		got, err := lookup(out.result, echo.Result)
		if err != nil {
			return err
		}
		if !bytes.Equal(bytes.TrimSpace(got), payload) {
			return fmt.Errorf("of %d bytes, %d came back, or others", len(payload), len(got))
		}
		if size == largePayload {
			return nil
		}
		if payload, err = printJSON(longText(largePayload)); err != nil {
			return err
		}
		if st, err = k.sent(echo, payload); err != nil {
			return err
		}
		if _, err := in.refuse(ctx, st); err != nil {
			return fmt.Errorf("%d bytes, over the limit of %d: %w", largePayload, echo.Limit, err)
		}
		return nil
	})
}

// longText is a text of n bytes that does not repeat soon.
func longText(n int) string {
	text := make([]byte, 0, n+16)
	for i := int64(1_000_000); len(text) < n; i++ {
		text = append(strconv.AppendInt(text, i, 10), ' ')
	}
	return string(text[:n])
}
