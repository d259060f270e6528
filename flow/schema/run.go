package schema

import "fmt"

// maxSteps bounds the schemas that one validation applies: some seconds, tens
// of times what a body of several megabytes needs.
const maxSteps = 5_000_000

// maxNesting bounds how deep schemas and values nest inside each other; a
// decoded value is at most value.MaxDepth deep.
const maxNesting = 10_000

// node is a compiled subschema.
type node struct {
	doc   *document
	ptr   string // inside doc
	res   *resource
	never bool // the schema false
	named bool // a reference leads here: only so can a schema come back to itself
	rules []rule
	// onward are the nodes that apply to the same value without a condition:
	// a circle of them never ends.
	onward []*node
}

// where is the node's place for a person.
func (n *node) where() string { return n.doc.name + "#" + n.ptr }

// rule is one compiled keyword. It reports what is wrong through the spot and
// tells whether all is well.
type rule interface {
	check(r *run, s *spot) bool
}

// spot is one node applied to one value.
type spot struct {
	node *node
	v    any
	at   *place
	seen *seen // nil unless the run tracks
}

// seen is what keywords looked at in an object or a list, for unevaluated*.
type seen struct {
	allProps, allItems bool
	props              map[string]bool
	items              int // the first so many
	picked             map[int]bool
}

func (s *seen) merge(o *seen) {
	if s == nil || o == nil {
		return
	}
	s.allProps = s.allProps || o.allProps
	s.allItems = s.allItems || o.allItems
	s.items = max(s.items, o.items)
	for k := range o.props {
		s.addProp(k)
	}
	for i := range o.picked {
		s.addItem(i)
	}
}

func (s *seen) addProp(key string) {
	if s == nil {
		return
	}
	if s.props == nil {
		s.props = map[string]bool{}
	}
	s.props[key] = true
}

func (s *seen) addItem(i int) {
	if s == nil {
		return
	}
	if s.picked == nil {
		s.picked = map[int]bool{}
	}
	s.picked[i] = true
}

// run is one validation.
type run struct {
	track    bool
	steps    int
	quiet    int // findings are of no interest: inside not, if, contains
	floor    int // where the findings of the current alternative begin
	findings []finding
	depth    int
	within   map[*node]*place // where the named nodes are being applied
	scope    []*resource      // the dynamic scope, outermost first
	limit    *finding
}

// eval applies n to v. It gives what was seen where the run tracks and v is
// valid.
func (r *run) eval(n *node, v any, at *place) (ok bool, saw *seen) {
	if !r.spend(1, n, at) {
		return false, nil
	}
	if n.never {
		r.fail(&spot{node: n, v: v, at: at}, "", at, func() string { return "nothing is allowed here, got " + describe(v) })
		return false, nil
	}
	if len(n.rules) == 0 {
		return true, nil
	}
	if r.depth >= maxNesting {
		return r.stop(n, at, fmt.Sprintf("validation stopped: schemas nest deeper than %d", maxNesting)), nil
	}
	r.depth++
	defer func() { r.depth-- }()
	if n.named {
		before := r.within[n]
		if before == at {
			return r.stop(n, at, "the schema refers back to itself without looking any deeper into the value"), nil
		}
		r.within[n] = at
		defer func() { r.within[n] = before }()
	}
	if len(r.scope) == 0 || r.scope[len(r.scope)-1] != n.res {
		r.scope = append(r.scope, n.res)
		defer func() { r.scope = r.scope[:len(r.scope)-1] }()
	}
	s := spot{node: n, v: v, at: at}
	if r.track {
		s.seen = &seen{}
	}
	ok = true
	for _, rule := range n.rules {
		ok = rule.check(r, &s) && ok
		if r.limit != nil || !ok && r.quiet > 0 {
			return false, nil
		}
	}
	if !ok {
		return false, nil
	}
	return true, s.seen
}

// spend counts work and stops the run where it is too much.
func (r *run) spend(steps int, n *node, at *place) bool {
	if r.limit != nil {
		return false
	}
	r.steps += steps
	if r.steps > maxSteps {
		return r.stop(n, at, fmt.Sprintf("validation stopped after %d steps", maxSteps))
	}
	return true
}

func (r *run) stop(n *node, at *place, message string) bool {
	if r.limit == nil {
		r.limit = &finding{at: at, node: n, limit: true, say: func() string { return message }}
	}
	return false
}

// apply evaluates n at the spot's own value and keeps what it saw.
func (r *run) apply(s *spot, n *node) bool {
	ok, saw := r.eval(n, s.v, s.at)
	if ok {
		s.seen.merge(saw)
	}
	return ok
}

// applyQuietly is apply without findings.
func (r *run) applyQuietly(s *spot, n *node) bool {
	r.quiet++
	defer func() { r.quiet-- }()
	return r.apply(s, n)
}

// holds tells whether v is valid against n, without findings.
func (r *run) holds(n *node, v any, at *place) bool {
	r.quiet++
	defer func() { r.quiet-- }()
	ok, _ := r.eval(n, v, at)
	return ok
}

// aside runs f and takes its findings out of the run's list.
func (r *run) aside(f func() bool) (ok bool, findings []finding) {
	floor := r.floor
	r.floor = len(r.findings)
	defer func() {
		r.findings, r.floor = r.findings[:r.floor], floor
	}()
	ok = f()
	return ok, append([]finding(nil), r.findings[r.floor:]...)
}

// fail notes a finding. It always gives false.
func (r *run) fail(s *spot, keyword string, at *place, say func() string) bool {
	if r.quiet == 0 && len(r.findings)-r.floor < MaxErrors {
		r.findings = append(r.findings, finding{at: at, node: s.node, keyword: keyword, say: say})
	}
	return false
}
