package debug

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// ErrSaid is an error of Config.Reload that was shown already.
var ErrSaid = errors.New("the flow is not valid: what runs stays as it was")

// command is one command of the debugger.
type command struct {
	name, short string // short: its abbreviations, blank-separated
	args, about string
	group       string
	// run obeys; goOn: the run does.
	run func(d *Debugger, a *at, args string) (decision engine.Decision, goOn bool, err error)
}

// commands are all commands, in the order of the help.
func commands() []command {
	return []command{
		{"step", "s", "", "run to the next step, into containers and sub-flows", "go on", step},
		{"next", "n", "", "run this step whole and stop at the next", "go on", next},
		{"out", "o", "", "run until what this step is in has ended", "go on", out},
		{"try", "t", "", "run this step and stop after it, before anything else", "go on", try},
		{"continue", "c", "[STEP]", "run to the next breakpoint, or to a step", "go on", goOn},
		{"skip", "k", "", "leave this step out", "go on", skip},
		{"retry", "r", "", "run this step again, after it ended", "go on", retry},
		{"quit", "q", "", "stop the run; teardown and clean-up still run", "go on", quit},
		{"quit!", "", "", "stop the run at once, and leave what it made behind", "go on", quitNow},

		{"print", "p", "EXPR", "value of an expression, with its parts", "look", show(printExpr)},
		{"vars", "v", "[TEXT]", "the names this step can read, or those with TEXT in them", "look", show(vars)},
		{"asserts", "a", "", "what was claimed of this step, and what was there", "look", show(asserts)},
		{"result", "", "", "what this step gave", "look", show(result)},
		{"request", "", "[STEP]", "what was sent last, or by a step", "look", show(request)},
		{"response", "", "[STEP]", "what came back", "look", show(response)},
		{"exchange", "x", "[STEP]", "both, with timings", "look", show(exchange)},
		{"curl", "", "[STEP]", "the request as a curl command", "look", show(curl)},
		{"list", "l", "[STEP]", "this step, or another, as the file has it", "look", show(list)},
		{"where", "w", "", "what this step is in", "look", show(where)},
		{"steps", "", "", "all steps, and how they ended so far", "look", show(steps)},
		{"display", "", "[EXPR]", "print an expression at every stop; without one, none any more", "look", show(display)},

		{"set", "", "NAME = EXPR", "change a variable: NAME, env.NAME or STEP.NAME", "change", show(set)},
		{"reload", "", "", "read the edited flow again, for all that has not run", "change", show(reload)},

		{"break", "b", "[STEP|PATH/STEP|FILE:LINE|failure] [when EXPR]", "stop there; without a place, list", "breakpoints", show(breakAt)},
		{"delete", "d", "[N]", "delete a breakpoint, or all", "breakpoints", show(deleteBreak)},

		{"help", "h ?", "", "this list", "", show(help)},
	}
}

func show(f func(d *Debugger, a *at, args string) error) func(*Debugger, *at, string) (engine.Decision, bool, error) {
	return func(d *Debugger, a *at, args string) (engine.Decision, bool, error) {
		return engine.Proceed, false, f(d, a, args)
	}
}

// obey runs one line.
func (d *Debugger) obey(a *at, line string) (decision engine.Decision, goOn bool, err error) {
	name, args, _ := strings.Cut(line, " ")
	args = strings.TrimSpace(args)
	c, err := find(name)
	if err != nil {
		return engine.Proceed, false, err
	}
	if c.args == "" && args != "" {
		return engine.Proceed, false, fmt.Errorf("%s takes nothing", c.name)
	}
	d.repeat = ""
	decision, goOn, err = c.run(d, a, args)
	if goOn && err == nil {
		switch c.name {
		case "step", "next", "out", "try":
			d.repeat = c.name
		}
	}
	return decision, goOn, err
}

func find(name string) (command, error) {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
		if c.name == name {
			return c, nil
		}
		for _, short := range strings.Fields(c.short) {
			if short == name {
				return c, nil
			}
		}
	}
	if hint := source.Suggest(name, names); hint != "" {
		return command{}, fmt.Errorf("there is no command %q: %s", name, hint)
	}
	return command{}, fmt.Errorf("there is no command %q: help lists them", name)
}

func step(d *Debugger, _ *at, _ string) (engine.Decision, bool, error) {
	d.mode = stepping
	return engine.Proceed, true, nil
}

func next(d *Debugger, a *at, _ string) (engine.Decision, bool, error) {
	d.mode, d.depth = over, len(a.At().Path)
	return engine.Proceed, true, nil
}

func out(d *Debugger, a *at, _ string) (engine.Decision, bool, error) {
	depth := len(a.At().Path)
	if depth == 1 {
		return engine.Proceed, false, errors.New("this step is in nothing but the flow: continue runs to its end")
	}
	d.mode, d.depth = over, depth-1
	return engine.Proceed, true, nil
}

func try(d *Debugger, a *at, _ string) (engine.Decision, bool, error) {
	if a.done != nil {
		return engine.Proceed, false, errors.New("the step has run: retry runs it again")
	}
	d.after = pathOf(a.At())
	return engine.Proceed, true, nil
}

func goOn(d *Debugger, _ *at, args string) (engine.Decision, bool, error) {
	d.mode = running
	if args == "" {
		return engine.Proceed, true, nil
	}
	b, err := d.parseBreakpoint(args)
	if err != nil {
		return engine.Proceed, false, err
	}
	if b.failure || b.when != "" {
		return engine.Proceed, false, errors.New("continue goes to a step: write break for anything else")
	}
	d.mode, d.target = until, b
	return engine.Proceed, true, nil
}

func skip(d *Debugger, a *at, _ string) (engine.Decision, bool, error) {
	if a.done != nil {
		return engine.Proceed, false, errors.New("the step has run, and cannot be skipped any more")
	}
	d.mode, d.depth = over, len(a.At().Path)
	return engine.Skip, true, nil
}

func retry(d *Debugger, a *at, _ string) (engine.Decision, bool, error) {
	if a.done == nil {
		return engine.Proceed, false, errors.New("the step has not run yet: try runs it and stops after it")
	}
	d.after = pathOf(a.At())
	return engine.Retry, true, nil
}

func quit(d *Debugger, _ *at, _ string) (engine.Decision, bool, error) {
	return d.quit(true), true, nil
}

func quitNow(d *Debugger, _ *at, _ string) (engine.Decision, bool, error) {
	return d.quit(false), true, nil
}

func set(d *Debugger, a *at, args string) error {
	name, text, ok := strings.Cut(args, "=")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	if !ok || name == "" || text == "" || strings.HasPrefix(text, "=") {
		return errors.New("write set NAME = EXPR, for example: set total = 59.80, or set user = \"ada\"")
	}
	c, err := a.Set(name, text)
	if err != nil {
		return err
	}
	was := ""
	if c.HadOld {
		was = d.cfg.Style.Dim("  was " + clip(value.Compact(c.Old), 60))
	}
	d.say("%s = %s%s", name, clip(value.Compact(c.New), 200), was)
	if !c.Known {
		d.say("nothing was called %s so far%s", name, d.near(a, name))
	}
	if c.Keeps != "" {
		d.say("%s keeps its value: only what reads %s sees the new one", c.Keeps, name)
	}
	return nil
}

// near is a known name that a mistyped one may have meant.
func (d *Debugger) near(a *at, name string) string {
	var names []string
	for _, v := range a.Variables() {
		if v.Name != name {
			names = append(names, v.Name)
		}
	}
	if hint := source.Suggest(name, names); hint != "" {
		return ": " + hint
	}
	return ""
}

func reload(d *Debugger, a *at, _ string) error {
	p, err := d.cfg.Reload()
	if err != nil {
		return err
	}
	if err := a.Reload(p); err != nil {
		return fmt.Errorf("%w: that takes a new run", err)
	}
	d.outline = newOutline(p)
	d.say("read again: steps that run from here on, and retries, are as the file says now")
	d.say("%s", d.cfg.Style.Dim("env, input, config and output of the flow stay as the run began"))
	return nil
}

func breakAt(d *Debugger, _ *at, args string) error {
	if args == "" {
		for _, b := range d.breaks {
			d.say("%3d  %s", b.n, b)
		}
		if len(d.breaks) == 0 {
			d.say("there are no breakpoints")
		}
		return nil
	}
	b, err := d.parseBreakpoint(args)
	if err != nil {
		return err
	}
	d.add(b)
	d.say("breakpoint %d: %s", b.n, b)
	return nil
}

func deleteBreak(d *Debugger, _ *at, args string) error {
	if args == "" {
		d.breaks = nil
		d.say("there are no breakpoints any more")
		return nil
	}
	n, err := strconv.Atoi(args)
	if err != nil {
		return fmt.Errorf("%q is not the number of a breakpoint: break lists them", args)
	}
	for i, b := range d.breaks {
		if b.n == n {
			d.breaks = append(d.breaks[:i:i], d.breaks[i+1:]...)
			d.say("deleted %d: %s", n, b)
			return nil
		}
	}
	return fmt.Errorf("there is no breakpoint %d: break lists them", n)
}

func display(d *Debugger, a *at, args string) error {
	if args == "" {
		d.displays = nil
		return nil
	}
	d.displays = append(d.displays, args)
	d.print(a, args)
	return nil
}

func help(d *Debugger, _ *at, _ string) error {
	group := ""
	for _, c := range commands() {
		if c.group != group {
			group = c.group
			d.say("")
		}
		name := c.name
		if c.short != "" {
			name = strings.ReplaceAll(c.short, " ", ", ") + ", " + name
		}
		d.say("  %-26s %s", strings.TrimSpace(name+" "+clip(c.args, 20)), c.about)
	}
	d.say("\nAn empty line repeats step, next, out and try. Tab completes, up and down bring lines back.")
	return nil
}
