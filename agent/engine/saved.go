package engine

import (
	"errors"
	"fmt"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// PrintContext prints a saved context as JSON, its numbers exact.
func PrintContext(c *SavedContext) ([]byte, error) {
	if c == nil {
		return nil, errors.New("the run kept no context")
	}
	steps := make(map[string]any, len(c.Steps))
	for id, s := range c.Steps {
		step := map[string]any{"status": string(s.Status)}
		if len(s.Outputs) > 0 {
			step["outputs"] = s.Outputs
		}
		if s.HasResult {
			step["result"] = s.Result
		}
		steps[id] = step
	}
	doc := map[string]any{"v": int64(event.Version), "flow": c.Flow, "run_id": c.RunID, "steps": steps}
	return append(value.Append(nil, doc), '\n'), nil
}

// ReadContext reads what PrintContext printed.
func ReadContext(text []byte) (*SavedContext, error) {
	v, err := value.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read saved context: %w", err)
	}
	doc, _ := v.(map[string]any)
	steps, ok := doc["steps"].(map[string]any)
	if version, _ := value.Int(doc["v"]); !ok || version != event.Version {
		return nil, errors.New("read saved context: it was not written by --save-context of this version")
	}
	out := &SavedContext{Steps: make(map[string]SavedStep, len(steps))}
	out.Flow, _ = doc["flow"].(string)
	out.RunID, _ = doc["run_id"].(string)
	for id, raw := range steps {
		m, ok := raw.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read saved context: step %s is not an object", id)
		}
		var s SavedStep
		status, _ := m["status"].(string)
		s.Status = event.Status(status)
		s.Outputs, _ = m["outputs"].(map[string]any)
		s.Result, s.HasResult = m["result"]
		out.Steps[id] = s
	}
	return out, nil
}
