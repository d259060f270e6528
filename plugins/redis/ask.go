package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// answer is what Redis said to a command.
type answer struct {
	value   any // of go-redis; nil: null
	refusal refusal
	cut     int64 // the length of the longest text that was cut; 0: all is there
}

// ask executes one command on a connection of the pool. An answer that is an
// error is an answer.
func (p *pool) ask(ctx context.Context, call *plugin.Call, limit int64, args ...any) (answer, error) {
	began := time.Now()
	c, err := p.take(ctx, call)
	if err != nil {
		return answer{}, err
	}
	defer p.give(c)
	a, err := c.ask(ctx, limit, args)
	if call.WantsExchange() {
		call.Exchange(p.exchange(args, a, err, began))
	}
	if err != nil {
		return answer{}, p.target.commandFault(ctx, err, commandName(args), began)
	}
	return a, nil
}

// must is ask for a command to which an error is no answer.
func (p *pool) must(ctx context.Context, call *plugin.Call, limit int64, args ...any) (answer, error) {
	a, err := p.ask(ctx, call, limit, args...)
	if err == nil && a.refusal != "" {
		return a, a.refusal.fault(p.target.address, commandName(args))
	}
	return a, err
}

func (c *conn) ask(ctx context.Context, limit int64, args []any) (answer, error) {
	c.net.limit, c.net.cut = limit, 0
	cmd := goredis.NewCmd(ctx, args...)
	err := c.run(ctx, func() error { return c.client.Process(ctx, cmd) })
	a := answer{cut: c.net.cut}
	if r, refused := refusalOf(err); refused {
		a.refusal = r
		return a, nil
	}
	if err == nil {
		a.value = cmd.Val()
	}
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	return a, err
}

const (
	// Bounds of what an exchange shows: it is for people.
	maxShownArgs  = 20
	maxShownBytes = 4 << 10
)

// exchange is a command and its answer, for people.
func (p *pool) exchange(args []any, a answer, err error, began time.Time) plugin.Exchange {
	x := plugin.Exchange{
		Protocol: "Redis", Request: shown(map[string]any{"command": shownArgs(args)}), Started: began,
		Timings: map[string]float64{"total": float64(time.Since(began)) / float64(time.Millisecond)},
	}
	outcome := "no answer"
	switch {
	case err != nil:
	case a.refusal != "":
		outcome = string(a.refusal)
		x.Response = shown(map[string]any{"error": outcome})
	default:
		reply := forPeople(a.value)
		x.Response = shown(map[string]any{"reply": reply})
		outcome = summary(reply)
	}
	x.Summary = fmt.Sprintf("%s: %s → %s", p.target.address, clip(strings.Join(texts(shownArgs(args)), " ")), clip(outcome))
	return x
}

func summary(reply any) string {
	switch reply := reply.(type) {
	case []any:
		return fmt.Sprintf("list of %d", len(reply))
	case map[string]any:
		return fmt.Sprintf("map of %d", len(reply))
	case nil:
		return "null"
	}
	return fmt.Sprint(reply)
}

// shownArgs are the words of a command; those that hold passwords are not shown.
func shownArgs(args []any) []any {
	switch name := commandName(args); name {
	case "AUTH", "HELLO", "ACL", "MIGRATE":
		return []any{name, "…"}
	}
	var out []any
	for i, arg := range args {
		if i == maxShownArgs {
			return append(out, fmt.Sprintf("… and %d more", len(args)-i))
		}
		out = append(out, forPeople(arg))
	}
	return out
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}

// shown is a value as JSON, cut where it is long.
func shown(v map[string]any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	if len(out) > maxShownBytes {
		out, _ = json.Marshal(map[string]any{"bytes": len(out), "begins": strings.ToValidUTF8(string(out[:maxShownBytes]), "")})
	}
	return out
}

func clip(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}
