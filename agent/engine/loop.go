package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// doForEach runs its steps once an item.
func (r *stepRun) doForEach(ctx context.Context, c *flow.ForEach) *try {
	items, problem := r.items(c)
	if problem == nil {
		problem = checkCount(len(items), c)
	}
	if problem != nil {
		r.start()
		r.p.skipChildren(r.s, "needs "+r.s.ID)
		return problem
	}
	if len(items) == 0 {
		r.p.skipChildren(r.s, whyNoItems)
		return &try{status: event.Skipped, reason: whyNoItems, result: given(loopResult(nil))}
	}
	l := &loop{r: r, c: c, kids: r.children(), items: items, layers: make([]*layer, len(items)), sums: make([]summary, len(items))}
	if c.Parallel > 0 {
		l.sideBySide(ctx)
	} else {
		l.inOrder(ctx)
	}
	return l.result()
}

func checkCount(n int, c *flow.ForEach) *try {
	if n > c.MaxIterations && c.MaxIterations > 0 {
		return erroredTry(source.CodeLimit, "definition",
			fmt.Sprintf("%d items are more than max_iterations of %d", n, c.MaxIterations))
	}
	if n < c.MinItems {
		t := failedTry(source.CodeAssert, fmt.Sprintf("%d items are fewer than min_items of %d", n, c.MinItems))
		t.answered = true
		return t
	}
	return nil
}

// loop is one execution of a for_each.
type loop struct {
	r      *stepRun
	c      *flow.ForEach
	kids   *place // what the iterations share
	items  []any
	layers []*layer // nil: the iteration was not reached
	sums   []summary
}

func (l *loop) inOrder(ctx context.Context) {
	for i := range l.items {
		l.iterate(ctx, i)
		l.r.p.l.fold(l.layers[i])
		if ctx.Err() != nil || l.ends(i) {
			return
		}
	}
}

// ends tells whether no further iteration begins.
func (l *loop) ends(i int) bool {
	return l.sums[i].stopped && !l.c.ContinueOnError
}

// sideBySide runs iterations at once; they do not see each other's values.
func (l *loop) sideBySide(ctx context.Context) {
	var over atomic.Bool
	g := newGroup(l.c.Parallel)
	for i := range l.items {
		if over.Load() || ctx.Err() != nil {
			break
		}
		g.run(func() {
			if over.Load() {
				return
			}
			l.iterate(ctx, i)
			if l.ends(i) {
				over.Store(true)
			}
		})
	}
	g.wait()
	for _, layer := range l.layers {
		if layer != nil {
			l.r.p.l.fold(layer)
		}
	}
}

func (l *loop) iterate(ctx context.Context, i int) {
	q := *l.kids
	q.path = append(l.r.p.path[:len(l.r.p.path):len(l.r.p.path)], fmt.Sprintf("%s[%d]", l.r.s.ID, i))
	q.l = l.r.p.l.child(map[string]any{l.c.ItemName: l.items[i], l.c.IndexName: int64(i)})
	l.layers[i] = q.l
	l.sums[i] = q.list(ctx, l.c.Steps)
}

func (l *loop) result() *try {
	var total summary
	items := make([]any, 0, len(l.items))
	reached := false
	for i, layer := range l.layers {
		if layer == nil {
			continue
		}
		reached = true
		total.merge(l.sums[i])
		items = append(items, layer.own())
	}
	if !reached { // the context ended before the first
		l.r.p.skipChildren(l.r.s, whyCancelled)
		return &try{status: event.Cancelled}
	}
	t := l.r.container(total)
	t.result, t.items = given(loopResult(items)), items
	return t
}

func loopResult(items []any) map[string]any {
	if items == nil {
		items = []any{}
	}
	return map[string]any{"items": items, "count": int64(len(items))}
}

// items are what the loop goes over.
func (r *stepRun) items(c *flow.ForEach) ([]any, *try) {
	switch {
	case c.List != nil:
		v, err := c.List.Eval(r.env)
		if err != nil {
			return nil, r.evaluationTry(err, "items")
		}
		list, _ := v.([]any)
		return list, nil
	case c.Items != nil:
		v, err := c.Items.Eval(r.env)
		if err != nil {
			return nil, r.evaluationTry(err, "items")
		}
		list, ok := v.([]any)
		if !ok {
			return nil, erroredTry(source.CodeValue, "definition", fmt.Sprintf("items gives %s, not a list", value.Describe(v, 80)))
		}
		return list, nil
	case c.Range != nil:
		return r.rangeItems(c)
	}
	return r.globItems(c.Glob)
}

func (r *stepRun) rangeItems(c *flow.ForEach) ([]any, *try) {
	var bounds [3]int64
	for i, part := range [...]struct {
		name    string
		tree    *expr.Tree
		without int64
	}{{"start", c.Range.Start, 0}, {"end", c.Range.End, 0}, {"step", c.Range.Step, 1}} {
		bounds[i] = part.without
		if part.tree == nil {
			continue
		}
		v, err := part.tree.Eval(r.env)
		if err != nil {
			return nil, r.evaluationTry(err, "range."+part.name)
		}
		n, ok := value.Int(v)
		if !ok {
			return nil, erroredTry(source.CodeValue, "definition", fmt.Sprintf("range.%s gives %s, not a whole number", part.name, value.Describe(v, 80)))
		}
		bounds[i] = n
	}
	start, end, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return nil, erroredTry(source.CodeValue, "definition", "range.step must not be 0")
	}
	var items []any
	for n := start; step > 0 && n <= end || step < 0 && n >= end; {
		items = append(items, n)
		if c.MaxIterations > 0 && len(items) > c.MaxIterations {
			return nil, erroredTry(source.CodeLimit, "definition",
				fmt.Sprintf("the range from %d to %d has more than max_iterations of %d items", start, end, c.MaxIterations))
		}
		next := n + step
		if (next > n) != (step > 0) {
			break // past 64 bits
		}
		n = next
	}
	return items, nil
}

// globItems are the files that a pattern matches, relative to the flow's
// folder, in alphabetical order.
func (r *stepRun) globItems(pattern *expr.Template) ([]any, *try) {
	text, err := pattern.Text(r.env)
	if err != nil {
		return nil, r.evaluationTry(err, "items_from_glob")
	}
	project, dir := r.p.f.run.e.cfg.FS, r.s.Dir
	if project == nil {
		return nil, erroredTry(source.CodeFile, "definition", "items_from_glob: no files can be read here")
	}
	names, err := flow.Glob(project, dir, text)
	if err != nil {
		return nil, erroredTry(source.CodeFile, "definition", fmt.Sprintf("items_from_glob %q: %s", text, err))
	}
	items := make([]any, len(names))
	for i, name := range names {
		items[i] = flow.Relative(dir, name)
	}
	return items, nil
}
