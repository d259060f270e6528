package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// diffIn is the config of sql.diff: which snapshots.
type diffIn struct {
	From        string `json:"from,omitempty" doc:"Id of the step that took the snapshot before; may be left out where the run has one."`
	To          string `json:"to,omitempty" doc:"Id of the step that took the one after. Left out: the rows as they are now."`
	Transaction string `json:"transaction,omitempty" doc:"Transaction in which the rows are read that are there now; that of the snapshot by default, while it is open."`
}

// rowChange is a row whose values changed.
type rowChange struct {
	Table   string         `json:"table" doc:"Its table."`
	Key     map[string]any `json:"key" doc:"What tells it from other rows."`
	Columns []string       `json:"columns" doc:"Which columns changed."`
	Before  map[string]any `json:"before" doc:"The row before."`
	After   map[string]any `json:"after" doc:"The row after."`
}

// rowChanges are what happened to the rows of a table.
type rowChanges struct {
	Added     []map[string]any `json:"added" doc:"Rows that were not there before."`
	Removed   []map[string]any `json:"removed" doc:"Rows that are there no more."`
	Changed   []rowChange      `json:"changed" doc:"Rows with other values than before."`
	Unchanged int              `json:"unchanged" doc:"How many rows are as they were."`
}

// diffOut is the result of sql.diff.
type diffOut struct {
	rowChanges
	Tables  map[string]rowChanges `json:"tables" doc:"The same by table; of a query under the name query."`
	Equal   bool                  `json:"equal" doc:"Whether nothing is different."`
	Summary string                `json:"summary" doc:"What changed, in words."`
}

// maxDiffLines bounds what a diff logs for people.
const maxDiffLines = 50

// diff compares the rows of a snapshot with those that are there now, or with
// those of another snapshot.
func diff(ctx context.Context, call *plugin.Call, in diffIn) (diffOut, error) {
	before, err := snapshotOf(call, "from", in.From)
	if err != nil {
		return diffOut{}, err
	}
	var after *snapshot
	if in.To != "" {
		after, err = snapshotOf(call, "to", in.To)
	} else {
		after, err = before.again(ctx, call, in.Transaction)
	}
	if err != nil {
		return diffOut{}, err
	}
	out := diffOut{Tables: map[string]rowChanges{}, Equal: true}
	var summary, lines []string
	for _, now := range after.sets {
		was := before.set(now.name)
		if was == nil {
			return diffOut{}, plugin.Definitionf("to", "is a snapshot of %s too, and %s is not", now.name, before.step)
		}
		changes := was.compare(now)
		out.Tables[now.name] = changes
		out.Added = append(out.Added, changes.Added...)
		out.Removed = append(out.Removed, changes.Removed...)
		out.Changed = append(out.Changed, changes.Changed...)
		out.Unchanged += changes.Unchanged
		out.Equal = out.Equal && changes.none()
		summary = append(summary, now.name+": "+changes.summary())
		lines = append(lines, changes.lines(now)...)
	}
	out.Summary = strings.Join(summary, "; ")
	call.Log("%s", out.Summary)
	for _, line := range lines[:min(len(lines), maxDiffLines)] {
		call.Log("%s", line)
	}
	if more := len(lines) - maxDiffLines; more > 0 {
		call.Log("and %d more", more)
	}
	return out, nil
}

// again reads the same rows as they are now.
func (s *snapshot) again(ctx context.Context, call *plugin.Call, within string) (*snapshot, error) {
	if _, open := plugin.Kept[*transaction](call, transactions+s.in.Transaction); open && within == "" {
		within = s.in.Transaction
	}
	var now *seat
	var err error
	if within != "" {
		now, err = sit(ctx, call, target{Transaction: within})
	} else {
		now, err = s.server.sit(ctx, call)
	}
	if err != nil {
		return nil, err
	}
	defer now.leave(call)
	out := &snapshot{step: call.StepID(), in: s.in, server: s.server}
	return out, out.read(ctx, now)
}

// snapshotOf finds a snapshot by the id of its step; where it is left out, the only
// one.
func snapshotOf(call *plugin.Call, field, step string) (*snapshot, error) {
	keys := plugin.KeptKeys(call, snapshots)
	if step == "" && len(keys) == 1 {
		step = strings.TrimPrefix(keys[0], snapshots)
	}
	if s, ok := plugin.Kept[*snapshot](call, snapshots+step); ok {
		return s, nil
	}
	var steps []string
	for _, key := range keys {
		steps = append(steps, strings.TrimPrefix(key, snapshots))
	}
	hint := "the snapshots of the run are those of the steps " + list(steps, "")
	if len(steps) == 0 {
		hint = "the run has taken none: sql.snapshot does, before what changes the rows"
	}
	if step == "" {
		return nil, plugin.Definitionf(field, "is missing").WithHint("%s", hint)
	}
	return nil, plugin.Definitionf(field, "is %q, and no step of that id has taken a snapshot", step).WithHint("%s", hint)
}

func (s *snapshot) set(name string) *keyedSet {
	for _, set := range s.sets {
		if set.name == name {
			return set
		}
	}
	return nil
}

// compare says what happened from one set to the other. Rows without a key are
// counted, so that two of the same are two.
func (k *keyedSet) compare(now *keyedSet) rowChanges {
	var out rowChanges
	was := map[string][]map[string]any{}
	for _, row := range k.rows {
		id := k.id(row)
		was[id] = append(was[id], row)
	}
	for _, row := range now.rows {
		id := k.id(row)
		old := was[id]
		if len(old) == 0 {
			out.Added = append(out.Added, row)
			continue
		}
		was[id] = old[1:]
		if columns := k.differ(old[0], row); len(columns) > 0 {
			out.Changed = append(out.Changed, rowChange{k.name, k.keyOf(row), columns, old[0], row})
		} else {
			out.Unchanged++
		}
	}
	for _, row := range k.rows {
		id := k.id(row)
		if left := was[id]; len(left) > 0 {
			out.Removed = append(out.Removed, left[0])
			was[id] = left[1:]
		}
	}
	return out
}

func (k *keyedSet) keyOf(row map[string]any) map[string]any {
	out := make(map[string]any, len(k.key))
	for _, c := range k.key {
		out[c] = row[c]
	}
	return out
}

// differ are the columns in which two rows differ, in alphabetical order.
func (k *keyedSet) differ(before, after map[string]any) []string {
	var out []string
	for _, c := range slices.Sorted(maps.Keys(after)) {
		if !slices.Contains(k.ignore, c) && !sameValue(before[c], after[c]) {
			out = append(out, c)
		}
	}
	return out
}

// sameValue compares as assertions do: 1.0 is 1.00.
func sameValue(a, b any) bool {
	one, oneErr := plainValue(a)
	other, otherErr := plainValue(b)
	return oneErr == nil && otherErr == nil && value.Equal(one, other)
}

func plainValue(v any) (any, error) {
	text, err := jsonText(v)
	if err != nil {
		return nil, err
	}
	return value.DecodeLenient(json.RawMessage(text))
}

func (c rowChanges) none() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

func (c rowChanges) summary() string {
	if c.none() {
		return "nothing changed"
	}
	return fmt.Sprintf("%d added, %d removed, %d changed", len(c.Added), len(c.Removed), len(c.Changed))
}

// lines are the changes for people: + id=3 {…}, ~ id=1 status: "new" → "paid".
func (c rowChanges) lines(k *keyedSet) []string {
	var out []string
	for _, row := range c.Removed {
		out = append(out, fmt.Sprintf("- %s %s", k.name, cut(printedRow(row, nil), maxExcerpt)))
	}
	for _, row := range c.Added {
		out = append(out, fmt.Sprintf("+ %s %s", k.name, cut(printedRow(row, nil), maxExcerpt)))
	}
	for _, change := range c.Changed {
		var parts []string
		for _, column := range change.Columns {
			before, _ := jsonText(change.Before[column])
			after, _ := jsonText(change.After[column])
			parts = append(parts, fmt.Sprintf("%s: %s → %s", column, cut(before, maxBrief), cut(after, maxBrief)))
		}
		out = append(out, fmt.Sprintf("~ %s %s  %s", k.name, k.words(change.After), strings.Join(parts, ", ")))
	}
	return out
}
