package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
	"github.com/testmesh/testmesh/flow/value"
)

// The defaults of control actions.
const (
	defaultWait          = 30 * time.Second
	defaultInterval      = time.Second
	defaultMaxIterations = 1000
	defaultLoopParallel  = 10
)

// controlActions are the actions without a plugin.
func controlActions() []string {
	return []string{
		"assert", "set", "transform", "log", "delay", "fail", "condition",
		"for_each", "parallel", "wait_until", "wait_for", "run_flow",
	}
}

func isControl(name string) bool { return slices.Contains(controlActions(), name) }

// controlStep compiles a control action.
func (c *compiler) controlStep(out *Step, n *node, at, own *scope) {
	out.Timeout = n.step.Timeout.Or(0)
	config := n.step.Config
	k := control{c: c, n: n, at: at, own: own, config: config}
	switch out.Action {
	case "assert":
		out.Control = k.assert()
	case "set":
		out.Control = k.set()
	case "transform":
		out.Control = k.transform()
	case "log":
		out.Control = k.log()
	case "delay":
		out.Control = &Delay{Duration: k.duration("duration")}
	case "fail":
		out.Control = &Fail{Message: k.text("message")}
	case "condition":
		out.Control = k.condition()
	case "for_each":
		out.Control = k.forEach()
	case "parallel":
		out.Control = k.parallel()
	case "wait_until":
		out.Control = k.waitUntil()
	case "wait_for":
		out.Control = k.waitFor()
	case "run_flow":
		out.Control = c.runFlow(&k)
	}
}

// control compiles the config of one control action.
type control struct {
	c       *compiler
	n       *node
	at, own *scope
	config  *source.Node
}

func (k *control) get(key string) *source.Node {
	v := k.config.Get(key)
	if v != nil && v.Kind == source.Null {
		return nil
	}
	return v
}

func (k *control) bad(n *source.Node, message string) {
	k.c.add(problem(source.CodeType, n.Pos, n.Text, message))
}

// missing reports a key that the action cannot do without.
func (k *control) missing(key string) {
	a := k.n.step.Action
	k.c.add(problem(source.CodeKey, a.Pos, a.Value, fmt.Sprintf("%s needs the key %q", a.Value, key)))
}

func (k *control) text(key string) *expr.Template {
	n := k.get(key)
	if n == nil {
		return nil
	}
	return k.c.template(n, k.at.named(key))
}

func (k *control) tree(key string) *expr.Tree {
	n := k.get(key)
	if n == nil {
		return nil
	}
	return k.c.tree(n, k.at.named(key))
}

// duration is a duration that may hold placeholders.
func (k *control) duration(key string) *expr.Template {
	n := k.get(key)
	if n == nil {
		k.missing(key)
		return nil
	}
	t := k.c.template(n, k.at.named(key))
	if t == nil {
		return nil
	}
	if v, static := t.Static(); static {
		k.parseDuration(n, value.Text(v))
	}
	return t
}

// fixedDuration is a duration that is known before the run.
func (k *control) fixedDuration(key string, otherwise time.Duration) time.Duration {
	n := k.get(key)
	if n == nil {
		return otherwise
	}
	if _, ok := literalValue(n); !ok {
		k.bad(n, key+" must be known before the run: it holds a placeholder")
		return otherwise
	}
	return k.parseDuration(n, n.Text)
}

func (k *control) parseDuration(n *source.Node, text string) time.Duration {
	d, err := syntax.ParseDuration(text)
	if err != nil {
		p := problem(source.CodeType, n.Pos, n.Text, fmt.Sprintf("%q is not a duration", text))
		p.Hint = "write a number and a unit (ms, s, m or h): 500ms, 30s, 5m"
		if n.Kind == source.Number {
			p.Hint = fmt.Sprintf("write a unit: %ss, or %sms", n.Text, n.Text)
			p.Fix = k.c.fix(n.Pos, n.Text, n.Text+"s")
		}
		k.c.add(p)
		return 0
	}
	return d
}

// whole is a whole number that is known before the run.
func (k *control) whole(key string, otherwise, least int) int {
	n := k.get(key)
	if n == nil {
		return otherwise
	}
	i, ok := value.Int(n.Value)
	if n.Kind != source.Number || !ok || i < int64(least) || i > 1<<31-1 {
		k.bad(n, fmt.Sprintf("%s must be a whole number from %d, not %s", key, least, n.Text))
		return otherwise
	}
	return int(i)
}

func (k *control) flag(key string, otherwise bool) bool {
	n := k.get(key)
	if n == nil {
		return otherwise
	}
	b, ok := n.Value.(bool)
	if !ok {
		k.bad(n, fmt.Sprintf("%s must be true or false, not %s", key, n.Text))
	}
	return b
}

func (k *control) name(key, otherwise string) string {
	n := k.get(key)
	if n == nil {
		return otherwise
	}
	if !envName(n.Text) || strings.Contains(n.Text, ".") {
		k.bad(n, fmt.Sprintf("%s must be a name, not %q", key, n.Text))
		return otherwise
	}
	return n.Text
}

func (k *control) assert() Control {
	out := &Assert{}
	if n := k.get("data"); n != nil {
		if n.Kind == source.Map || n.Kind == source.List {
			k.bad(n, "data of assert is an expression, such as create.body")
		} else {
			out.Data = k.c.expression(n, k.at.named("data"), false)
		}
		k.own.openOwn = true // the keys of the data are names
	}
	if len(k.n.step.Assert)+len(k.n.step.AssertAny)+len(k.n.step.AssertNone) == 0 && k.n.step.Match == nil {
		a := k.n.step.Action
		k.c.add(problem(source.CodeKey, a.Pos, a.Value, "an assert without assertions proves nothing"))
	}
	return out
}

func (k *control) set() Control {
	out := &Set{}
	if k.config == nil || len(k.config.Entries) == 0 {
		a := k.n.step.Action
		k.c.add(problem(source.CodeKey, a.Pos, a.Value, "set needs at least one name"))
		return out
	}
	for _, e := range k.config.Entries {
		if !envName(e.Key.Text) || strings.Contains(e.Key.Text, ".") {
			k.bad(e.Key, fmt.Sprintf("%q is not a name: letters, digits and _", e.Key.Text))
		}
		out.Values = append(out.Values, NamedTree{Name: e.Key.Text, Value: k.c.tree(e.Value, k.at.named(e.Key.Text))})
	}
	return out
}

func (k *control) log() Control {
	out := &Log{Level: "info", Message: k.text("message"), Data: k.tree("data")}
	if n := k.get("level"); n != nil {
		out.Level = n.Text
		if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, n.Text) {
			p := problem(source.CodeType, n.Pos, n.Text, "level must be debug, info, warn or error, not "+n.Text)
			if near := value.Closest(n.Text, append(levels, "warning")); near != "" && near != "warning" {
				p.Hint = fmt.Sprintf("did you mean %q?", near)
			}
			k.c.add(p)
		}
	}
	if k.get("message") == nil && k.get("data") == nil {
		k.missing("message")
	}
	return out
}

func (k *control) condition() Control {
	out := &Condition{}
	if n := k.get("if"); n != nil {
		out.If = k.c.condition(n, k.at.named("if"))
	} else {
		k.missing("if")
	}
	out.Then, out.Else = k.c.sub(k.n, slotThen, 0), k.c.sub(k.n, slotElse, 0)
	return out
}

func (k *control) forEach() Control {
	out := &ForEach{
		ItemName: k.name("item_name", "item"), IndexName: k.name("index_name", "index"),
		MinItems: k.whole("min_items", 0, 0), MaxIterations: k.whole("max_iterations", defaultMaxIterations, 1),
		ContinueOnError: k.flag("continue_on_error", false),
	}
	if n := k.get("parallel"); n != nil {
		switch {
		case n.Value == true:
			out.Parallel = defaultLoopParallel
		case n.Kind != source.Boolean:
			out.Parallel = k.whole("parallel", 0, 1)
		}
	}
	given := 0
	if n := k.get("items"); n != nil {
		given++
		if n.Kind == source.List {
			out.List = k.c.tree(n, k.at.named("items"))
		} else {
			out.Items = k.items(n)
		}
	}
	if n := k.get("range"); n != nil {
		given++
		out.Range = k.rangeOf(n)
	}
	if n := k.get("items_from_glob"); n != nil {
		given++
		out.Glob = k.c.template(n, k.at.named("items_from_glob"))
		k.globFiles(n)
	}
	if given != 1 {
		a := k.n.step.Action
		k.c.add(problem(source.CodeKey, a.Pos, a.Value, "for_each needs exactly one of items, range and items_from_glob"))
	}
	out.Steps = k.c.sub(k.n, slotSteps, 0)
	return out
}

// items is an expression that gives a list.
func (k *control) items(n *source.Node) *expr.Expr {
	e := k.c.expression(n, k.at.named("items"), true)
	if e == nil {
		return nil
	}
	if kind := e.StaticKind(); kind != "" && kind != "array" {
		k.bad(n, fmt.Sprintf("items is %s, not a list", article(kind)))
	}
	return e
}

func (k *control) rangeOf(n *source.Node) *Range {
	if n.Kind != source.Map {
		k.bad(n, "range is a map of start, end and step")
		return nil
	}
	r := &Range{}
	for _, e := range n.Entries {
		switch e.Key.Text {
		case "start":
			r.Start = k.c.tree(e.Value, k.at.named("start"))
		case "end":
			r.End = k.c.tree(e.Value, k.at.named("end"))
		case "step":
			r.Step = k.c.tree(e.Value, k.at.named("step"))
			if e.Value.Kind == source.Number && e.Value.Text == "0" {
				k.bad(e.Value, "step must not be 0")
			}
		default:
			p := problem(source.CodeKey, e.Key.Pos, e.Key.Text, fmt.Sprintf("unknown key %q in range", e.Key.Text))
			k.c.add(hinted(p, "range has start, end, step"))
			continue
		}
		if v, ok := literalValue(e.Value); ok && !value.IsInteger(v) {
			k.bad(e.Value, e.Key.Text+" must be a whole number")
		}
	}
	if r.End == nil {
		k.c.add(problem(source.CodeKey, n.Pos, "", "range needs the key \"end\""))
	}
	return r
}

// globFiles puts what a literal glob matches into the bundle.
func (k *control) globFiles(n *source.Node) {
	if _, static := literalValue(n); !static {
		return
	}
	names, err := k.c.glob(n.Text, k.n.dir)
	if err != nil {
		k.c.add(k.c.l.files.blame(n, n.Text, err))
	}
	for _, name := range names {
		k.c.addFile(name, n.Pos, n.Text)
	}
}

func (k *control) parallel() Control {
	out := &Parallel{MaxConcurrent: k.whole("max_concurrent", defaultMaxConcurrent, 1), FailFast: k.flag("fail_fast", false)}
	for _, l := range k.n.lists {
		if l.slot != slotBranch {
			continue
		}
		b := Branch{Steps: k.c.steps(l)}
		if in := k.n.step.Nested; in != nil && l.branch < len(in.Branches) {
			b.Name = in.Branches[l.branch].Name.Value
		}
		out.Branches = append(out.Branches, b)
	}
	return out
}

func (k *control) waitUntil() Control {
	out := &WaitUntil{
		Timeout: k.fixedDuration("timeout", defaultWait), Interval: k.fixedDuration("interval", defaultInterval),
		Steps: k.c.sub(k.n, slotSteps, 0),
	}
	if n := k.get("condition"); n != nil {
		out.Condition = k.c.condition(n, k.own.named("condition"))
	}
	if len(out.Steps) == 0 && k.get("condition") == nil {
		k.missing("condition")
	}
	return out
}

func (k *control) waitFor() Control {
	out := &WaitFor{
		URL: k.text("url"), Timeout: k.fixedDuration("timeout", defaultWait), Interval: k.fixedDuration("interval", defaultInterval),
	}
	n := k.get("url")
	if n == nil {
		k.missing("url")
		return out
	}
	if _, static := literalValue(n); static {
		scheme, _, ok := strings.Cut(n.Text, "://")
		if known := []string{"http", "https", "tcp", "grpc"}; !ok || !slices.Contains(known, scheme) {
			k.bad(n, fmt.Sprintf("wait_for waits for http://, https://, tcp:// or grpc://, not for %q", n.Text))
		}
	}
	return out
}
