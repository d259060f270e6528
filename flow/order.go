package flow

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
	"github.com/testmesh/testmesh/flow/value"
)

// The phases of a flow, in their order.
const (
	phaseSetup = iota
	phaseSteps
	phaseOnError
	phaseTeardown
	phases
)

// slot says which list of its owner a list of steps is.
type slot string

const (
	slotRoot       slot = ""
	slotThen       slot = "then"
	slotElse       slot = "else"
	slotSteps      slot = "steps" // for_each, wait_until
	slotBranch     slot = "branch"
	slotErrorSteps slot = "error_steps"
	slotOnTimeout  slot = "on_timeout"
	slotCleanup    slot = "cleanup"
)

// handles tells that the list runs after its owner has ended.
func (s slot) handles() bool {
	return s == slotErrorSteps || s == slotOnTimeout || s == slotCleanup
}

// node is a step in its place.
type node struct {
	step   *syntax.Step
	id     string
	list   *list
	index  int // in list
	depth  int // 1 for the steps of a phase
	out    *Step
	dir    string // folder of the file that it stands in
	folder *folder
	lists  []*list // of steps inside it
	trail  []*node // the steps that hold it, outermost first, and itself
}

// title names a step in a sentence: "step create (line 14)".
func (n *node) title(file string) string {
	if n.step.Pos.File != file {
		return fmt.Sprintf("step %s (%s)", n.id, origin(n.step.Pos))
	}
	return fmt.Sprintf("step %s (line %d)", n.id, n.step.Pos.Line)
}

// list is one list of steps: of a phase, a branch, a loop or a handler.
type list struct {
	slot   slot
	owner  *node // nil for a phase
	phase  int
	branch int // which branch of parallel, which track
	nodes  []*node
	needs  [][]int
	// before[i] has the steps that have ended when step i starts; nil where each
	// waits for the one above, as without `needs`.
	before []bits
}

// bits is a set of indices.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) union(o bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

// ended tells whether step i of the list has ended when step j starts.
func (l *list) ended(i, j int) bool {
	if l.before == nil {
		return i < j
	}
	return l.before[j].has(i)
}

// order resolves `needs` of a list and refuses circles.
func (c *compiler) order(l *list) {
	l.needs = make([][]int, len(l.nodes))
	index := make(map[string]int, len(l.nodes))
	for i, n := range l.nodes {
		if n.step.ID.Given() || n.id != "" {
			index[n.id] = i
		}
	}
	explicit := false
	for i, n := range l.nodes {
		if n.step.Needs == nil {
			if i > 0 {
				l.needs[i] = []int{i - 1}
			}
			continue
		}
		explicit = true
		l.needs[i] = c.needs(l, n, index)
	}
	if !explicit {
		return
	}
	l.before = make([]bits, len(l.nodes))
	state := make([]int, len(l.nodes))
	for i := range l.nodes {
		if chain := l.close(i, state, nil); chain != nil {
			c.circle(l, chain)
			l.before = nil
			return
		}
	}
}

func (c *compiler) needs(l *list, n *node, index map[string]int) []int {
	if len(n.step.Needs) > 0 && (l.phase == phaseTeardown || l.slot.handles() || l.phase == phaseOnError) {
		p := n.step.Needs[0]
		c.add(problem(source.CodeKey, p.Pos, p.Value, "`needs` has no meaning here: these steps run one after the other, whatever happens"))
		return nil
	}
	out := make([]int, 0, len(n.step.Needs))
	for _, need := range n.step.Needs {
		i, ok := index[need.Value]
		switch {
		case !ok:
			c.unknownNeed(l, n, need)
		case i == n.index:
			// The parser said so.
		default:
			out = append(out, i)
		}
	}
	return out
}

func (c *compiler) unknownNeed(l *list, n *node, need syntax.Field[string]) {
	if other := c.byID[need.Value]; other != nil {
		c.add(hinted(problem(source.CodeName, need.Pos, need.Value, fmt.Sprintf("step %s needs %s, which is not in the same list of steps", n.id, need.Value)),
			other.title(c.file.Path)+" is elsewhere; only siblings can be needed"))
		return
	}
	var names []string
	for _, s := range l.nodes {
		if s != n {
			names = append(names, s.id)
		}
	}
	p := problem(source.CodeName, need.Pos, need.Value, fmt.Sprintf("step %s needs %q, and there is no such step", n.id, need.Value))
	if near := value.Closest(need.Value, names); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
		p.Fix = c.fix(need.Pos, need.Value, near)
	}
	p.InScope = names
	c.add(p)
}

// close computes what has ended before step i; it returns the circle that it
// ran into, or nil.
func (l *list) close(i int, state []int, path []int) []int {
	const open, done = 1, 2
	switch state[i] {
	case done:
		return nil
	case open:
		for at, j := range path {
			if j == i {
				return append(path[at:len(path):len(path)], i)
			}
		}
	}
	state[i] = open
	b := newBits(len(l.nodes))
	for _, j := range l.needs[i] {
		if chain := l.close(j, state, append(path, i)); chain != nil {
			return chain
		}
		b.set(j)
		b.union(l.before[j])
	}
	l.before[i], state[i] = b, done
	return nil
}

func (c *compiler) circle(l *list, chain []int) {
	ids := make([]string, len(chain))
	for i, j := range chain {
		ids[i] = l.nodes[j].id
	}
	at := l.nodes[chain[0]]
	pos := at.step.Pos
	if len(at.step.Needs) > 0 {
		pos = at.step.Needs[0].Pos
	}
	p := problem(source.CodeCycle, pos, at.id, "steps need each other in a circle: "+strings.Join(ids, " → "))
	for _, j := range chain {
		if l.nodes[j].step.Needs == nil && j > 0 {
			p.Hint = fmt.Sprintf("step %s has no `needs`, so it waits for the step above it; `needs: []` waits for nothing", l.nodes[j].id)
		}
	}
	c.add(p)
}

// relation is where the writer of a name stands, seen from its reader.
type relation int

const (
	before     relation = iota
	looped              // before, but in a parallel loop that has ended
	later               // it runs after the reader
	concurrent          // it may run at the same time
	exclusive           // it runs only if the reader does not
	inside              // the reader is one of its own steps
	child               // it is one of the reader's own steps
	same                // it is the reader
)

// relate places step d as seen from step c; nil is a reader after all steps of
// the flow, before teardown.
func relate(d, c *node) relation {
	dp := d.trail
	if c == nil {
		if dp[0].list.phase > phaseSteps {
			return later
		}
		return passed(dp, 0)
	}
	cp := c.trail
	k := 0
	for k < len(dp) && k < len(cp) && dp[k] == cp[k] {
		k++
	}
	switch {
	case k == len(dp) && k == len(cp):
		return same
	case k == len(dp):
		if cp[k].list.slot.handles() {
			return before
		}
		return inside
	case k == len(cp):
		if dp[k].list.slot == slotCleanup {
			return later
		}
		if passed(append([]*node{c}, dp[k:]...), 0) == looped {
			return looped
		}
		return child
	}
	dl, cl := dp[k].list, cp[k].list
	switch {
	case dl == cl:
		switch {
		case dl.ended(dp[k].index, cp[k].index):
			return passed(dp, k)
		case dl.ended(cp[k].index, dp[k].index):
			return later
		}
		return concurrent
	case dl.owner == nil:
		if dl.phase < cl.phase {
			return passed(dp, k)
		}
		return later
	case dl.slot == slotCleanup:
		return later
	case cl.slot.handles() && !dl.slot.handles():
		return passed(dp, k)
	case dl.slot.handles() && !cl.slot.handles():
		return later
	case dl.slot == slotBranch && cl.slot == slotBranch:
		return concurrent
	}
	return exclusive
}

// passed is before, or looped where the writer is inside a parallel loop at or
// below path[k].
func passed(path []*node, k int) relation {
	for i := k; i < len(path)-1; i++ {
		if path[i].parallelLoop() && path[i+1].list.slot == slotSteps {
			return looped
		}
	}
	return before
}

func (n *node) parallelLoop() bool {
	if n.step.Action.Value != "for_each" {
		return false
	}
	p := n.step.Config.Get("parallel")
	return p != nil && !(p.Kind == source.Boolean && p.Value == false)
}
