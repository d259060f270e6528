package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/jsonpath"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/inbox"
)

// unreadableMiss is how far a message that cannot be read is from what is looked
// for: further than any other.
const unreadableMiss = 2 * match.MaxMismatches

// maxDescribed bounds a value in a sentence.
const maxDescribed = 200

// conditions decide which messages are looked for.
type conditions struct {
	decoding *decoding
	patterns []*match.Pattern
	claims   []*claim
}

// pattern adds what a message must match; nothing where raw is empty.
func (c *conditions) pattern(field string, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	p, err := match.CompileJSON(raw)
	if err != nil {
		return plugin.Definitionf(field, "%s", err).WithHint("it is a pattern of a message: {key: o-1, value: {type: created}, headers: {source: shop}}")
	}
	c.patterns = append(c.patterns, p)
	return nil
}

// any tells whether every message is one that is looked for.
func (c *conditions) any() bool { return len(c.patterns)+len(c.claims) == 0 }

// judge decides about one message.
func (c *conditions) judge(ctx context.Context, r *received) (inbox.Judgement, error) {
	m, err := r.decode(ctx, c.decoding)
	var unreadable *undecodable
	switch {
	case errors.As(err, &unreadable) && c.any(): // nobody asked for another kind
		return inbox.Judgement{}, r.unreadable(err)
	case errors.As(err, &unreadable):
		return inbox.Judgement{Differences: unreadableMiss, Miss: err.Error()}, nil
	case err != nil:
		return inbox.Judgement{}, err
	case c.any():
		return inbox.Judgement{Fits: true}, nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return inbox.Judgement{}, fmt.Errorf("print a message: %w", err)
	}
	out := inbox.Judgement{}
	miss := func(n int, what string) {
		if out.Differences == 0 {
			out.Miss = what
		}
		out.Differences += n
	}
	for _, p := range c.patterns {
		found, err := p.MatchJSON(text)
		if err != nil {
			return inbox.Judgement{}, plugin.Definitionf("where", "%s", err)
		}
		if len(found) > 0 {
			miss(len(found), found[0].Message)
		}
	}
	for _, one := range c.claims {
		if what := one.check(m.Value); what != "" {
			miss(1, what)
		}
	}
	out.Fits = out.Differences == 0
	return out, nil
}

// unreadable is the fault of a message that had to be read.
func (r *received) unreadable(err error) *plugin.Error {
	return plugin.Errorf(plugin.CodeBody, "the message at %s of %s: %w", r.where(), r.topic, err).
		WithHint("look at value_format and key_format; where says which messages are meant, others are passed over")
}

// describe is a message in words.
func (r *received) describe() string {
	var b strings.Builder
	b.WriteString(r.where())
	if r.key != nil {
		fmt.Fprintf(&b, ", key %s", described(r.key))
	}
	if r.value == nil {
		b.WriteString(": a tombstone")
		return b.String()
	}
	value := r.value
	r.mu.Lock()
	if r.read != nil {
		value = r.read.Value // as it was read
	}
	r.mu.Unlock()
	fmt.Fprintf(&b, ": %s", described(value))
	return b.String()
}

// described is a key or value in one line.
func described(data []byte) string {
	cut := strings.ToValidUTF8(string(data[:min(len(data), maxDescribed)]), "")
	switch {
	case !utf8.Valid(data):
		return plural(len(data), "byte")
	case strings.ContainsFunc(cut, unicode.IsControl):
		cut = strconv.Quote(cut)
	}
	if len(data) > maxDescribed {
		cut += "…"
	}
	return cut
}

// claim is a JSONPath of the value, and what must hold of what it finds:
// "$.id exists", "$.status == 'created'".
type claim struct {
	text   string
	path   *jsonpath.Path
	absent bool
	holds  *match.Pattern // nil: it must exist
}

// newClaim splits a text into the longest JSONPath that it begins with and the
// claim behind it.
func newClaim(text string) (*claim, error) {
	text = strings.TrimSpace(text)
	out := &claim{text: text}
	end := len(text)
	for {
		var err error
		if out.path, err = jsonpath.Parse(text[:end]); err == nil {
			break
		}
		cut := strings.LastIndexAny(text[:end], " \t")
		if cut < 0 {
			return nil, fmt.Errorf("%q does not begin with a JSONPath: %w", text, err)
		}
		end = len(strings.TrimRight(text[:cut], " \t"))
	}
	switch rest := strings.TrimSpace(text[end:]); rest {
	case "", "exists":
	case "not exists":
		out.absent = true
	default:
		var err error
		if out.holds, err = match.CompileValue("#(_ " + rest + ")"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// check says why a claim does not hold, empty: it does.
func (c *claim) check(text json.RawMessage) string {
	v, err := value.DecodeLenient(text)
	if err != nil {
		return c.text + ": the value is no JSON"
	}
	found, exists := c.path.Get(v)
	switch {
	case c.absent && exists:
		return c.text + ": it is there"
	case c.absent:
		return ""
	case !exists:
		return c.text + ": there is no such value"
	case c.holds == nil:
		return ""
	}
	misses, err := c.holds.MatchJSON(value.Append(nil, found))
	switch {
	case err != nil:
		return c.text + ": " + err.Error()
	case len(misses) > 0:
		return fmt.Sprintf("%s: it is %s", c.text, value.Describe(found, maxDescribed))
	}
	return ""
}
