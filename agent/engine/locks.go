package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Locks prints the names of a run's locks, as its row, inputs and env have
// them. Whoever runs a batch takes them, all at once, before Run.
func (e *Engine) Locks(r Run) ([]string, error) {
	if len(r.Program.Locks) == 0 {
		return nil, nil
	}
	x := e.newRun(context.Background(), r)
	f := x.newFrame(r.Program, nil, nil)
	input, problem := x.takeInput(r.Program, r.Input, r.Row)
	if problem != nil {
		return nil, errors.New(problem.Message)
	}
	f.input = input
	names := make([]string, 0, len(r.Program.Locks))
	for i, t := range r.Program.Locks {
		rnd := &random{run: x, key: []string{"locks", strconv.Itoa(i)}}
		name, err := t.Text(x.env(&scope{f: f, l: f.layer}, rnd, r.Program.Dir))
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", t.Source(), err)
		}
		if name == "" {
			return nil, fmt.Errorf("lock %s is empty", t.Source())
		}
		if name = x.mask.String(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
