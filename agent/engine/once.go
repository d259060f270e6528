package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Once settles between agents which run of a batch executes a called flow with
// `once: batch`. It is called concurrently, once a key and run at a time.
type Once interface {
	// Claim waits until this run is the one that executes key (outcome is nil), or
	// until another has: outcome is what that one gave to Settle.
	Claim(ctx context.Context, key string) (outcome []byte, err error)
	// Settle gives the outcome to those that wait. A claim that is not settled ends
	// with its run.
	Settle(ctx context.Context, key string, outcome []byte) error
}

// maxShared bounds the outcome of a called flow that agents share.
const maxShared = 48 << 10

// amongAgents is call, executed by one run of the batch whichever agent has it.
func (r *stepRun) amongAgents(ctx context.Context, key string, call func() called) func() called {
	once := r.p.f.run.r.Once
	if once == nil {
		return call
	}
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return func() called {
		text, err := once.Claim(ctx, name)
		switch {
		case err != nil && ctx.Err() != nil:
			return called{status: event.Cancelled}
		case err != nil:
			return unsettled("claimed", err)
		case text != nil:
			out, err := readCalled(text)
			if err != nil {
				return unsettled("read", err)
			}
			out.elsewhere = true
			return out
		}
		out := call()
		if out.status == event.Cancelled {
			return out // it does not stand: the claim ends with this run
		}
		text = printCalled(out)
		if len(text) > maxShared {
			text = printCalled(unsettled("shared", fmt.Errorf("its outputs are larger than the %d KiB that agents share", maxShared>>10)))
		}
		if err := once.Settle(context.WithoutCancel(ctx), name, text); err != nil {
			return unsettled("settled", err)
		}
		return out
	}
}

// unsettled is a called flow of which it is not known how it ended elsewhere.
func unsettled(what string, err error) called {
	return called{status: event.Errored, err: &event.Error{
		Code: string(source.CodeConn), Blame: "agent", Message: fmt.Sprintf("once: batch could not be %s at the control plane: %s", what, err),
	}}
}

func printCalled(c called) []byte {
	doc := map[string]any{"status": string(c.status), "reason": c.reason, "outputs": c.outputs}
	if c.err != nil {
		doc["error"] = printError(c.err)
	}
	if c.cause != nil {
		cause := map[string]any{"id": c.cause.id, "name": c.cause.name, "status": string(c.cause.status)}
		if c.cause.err != nil {
			cause["error"] = printError(c.cause.err)
		}
		doc["cause"] = cause
	}
	return value.Append(nil, doc)
}

func printError(e *event.Error) map[string]any {
	return map[string]any{"code": e.Code, "message": e.Message, "hint": e.Hint, "blame": e.Blame}
}

func readCalled(text []byte) (called, error) {
	v, err := value.Decode(text)
	if err != nil {
		return called{}, err
	}
	doc, _ := v.(map[string]any)
	word := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	fault := func(v any) *event.Error {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		return &event.Error{Code: word(m, "code"), Message: word(m, "message"), Hint: word(m, "hint"), Blame: word(m, "blame")}
	}
	out := called{status: event.Status(word(doc, "status")), reason: word(doc, "reason"), err: fault(doc["error"])}
	switch out.status {
	case event.Passed, event.Failed, event.Errored, event.Skipped:
	default:
		return called{}, errors.New("the outcome has no status that is known") // never green by default
	}
	out.outputs, _ = doc["outputs"].(map[string]any)
	if m, ok := doc["cause"].(map[string]any); ok {
		out.cause = &failed{id: word(m, "id"), name: word(m, "name"), status: event.Status(word(m, "status")), err: fault(m["error"])}
	}
	return out, nil
}
