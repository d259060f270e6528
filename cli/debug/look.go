package debug

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/value"
)

// groups are the headings of vars, by the group of a variable.
func groups() [][2]string {
	return [][2]string{
		{"loop", "of what the step is in"},
		{"output", "outputs"},
		{"step", "steps"},
		{"row", "row"},
		{"matrix", "matrix"},
		{"input", "input"},
		{"env", "env"},
		{"secret", "secret"},
	}
}

func vars(d *Debugger, a *at, args string) error {
	list := slices.DeleteFunc(a.Variables(), func(v engine.Variable) bool { return args != "" && !strings.Contains(v.Name, args) })
	for _, g := range groups() {
		headed := false
		for _, v := range list {
			if v.Group != g[0] {
				continue
			}
			if !headed {
				headed = true
				d.say("%s", d.cfg.Style.Strong(g[1]))
			}
			d.variable(v)
		}
	}
	if len(list) == 0 {
		d.say("there are none")
	}
	return nil
}

func (d *Debugger) variable(v engine.Variable) {
	style := d.cfg.Style
	said := clip(value.Compact(v.Value), maxLine/2)
	switch {
	case v.Unread:
		said = style.Dim("nothing has read it yet: print env." + v.Name)
	case v.Group == "secret":
		said = style.Dim("***")
	}
	from := ""
	if v.Origin != "" {
		from = "  " + style.Dim(v.Origin)
	}
	d.say("  %s = %s%s", v.Name, said, from)
}

func asserts(d *Debugger, a *at, _ string) error {
	if a.done == nil {
		return errors.New("the step has not run yet: try runs it and stops after it")
	}
	if len(a.done.Assertions) == 0 {
		d.say("nothing was claimed of this step")
		return nil
	}
	for i := range a.done.Assertions {
		d.claim(&a.done.Assertions[i])
	}
	return nil
}

func result(d *Debugger, a *at, _ string) error {
	if a.done == nil {
		return errors.New("the step has not run yet: try runs it and stops after it")
	}
	if a.done.HasResult {
		d.value("result", a.done.Result)
	}
	for _, name := range value.Keys(a.done.Outputs) {
		d.value(name, a.done.Outputs[name])
	}
	if !a.done.HasResult && len(a.done.Outputs) == 0 {
		d.say("the step gave nothing")
	}
	return nil
}

// exchanges are those of a step, or the last ones.
func (d *Debugger) exchanges(id string) ([]*event.Event, error) {
	if id != "" && !d.outline.ids[id] {
		return nil, d.unknownStep(id)
	}
	list := d.record.last(id)
	if len(list) == 0 && id != "" {
		return nil, fmt.Errorf("step %s has exchanged nothing so far", id)
	}
	if len(list) == 0 {
		return nil, errors.New("nothing was exchanged so far")
	}
	return list, nil
}

// each shows a part of every exchange of a step.
func (d *Debugger) each(id string, show func(x *event.Exchange)) error {
	list, err := d.exchanges(id)
	if err != nil {
		return err
	}
	for _, e := range list {
		d.say("%s  %s", d.cfg.Style.Strong(pathOf(e.Step)), d.cfg.Style.Dim(text.OneLine(e.Exchange.Summary)))
		show(e.Exchange)
	}
	return nil
}

func request(d *Debugger, _ *at, id string) error {
	return d.each(id, func(x *event.Exchange) { d.value("request", x.Request) })
}

func response(d *Debugger, _ *at, id string) error {
	return d.each(id, func(x *event.Exchange) { d.value("response", x.Response) })
}

func exchange(d *Debugger, _ *at, id string) error {
	return d.each(id, func(x *event.Exchange) {
		d.value("request", x.Request)
		d.value("response", x.Response)
		for _, name := range value.Keys(timings(x.Timings)) {
			d.say("%s", d.cfg.Style.Dim(fmt.Sprintf("%s %.1f ms", text.OneLine(name), x.Timings[name])))
		}
	})
}

func timings(t map[string]float64) map[string]any {
	out := make(map[string]any, len(t))
	for name := range t {
		out[name] = nil
	}
	return out
}

func curl(d *Debugger, _ *at, id string) error {
	return d.each(id, func(x *event.Exchange) {
		if x.Curl == "" {
			d.say("it cannot be said as a curl command")
			return
		}
		d.say("%s", text.Clean(x.Curl))
	})
}

func list(d *Debugger, a *at, id string) error {
	pos := a.Step().Pos
	if id != "" {
		i := slices.IndexFunc(d.outline.steps, func(s outlined) bool { return s.id == id })
		if i < 0 {
			return d.unknownStep(id)
		}
		pos = d.outline.steps[i].pos
	}
	d.say("%s", d.cfg.Style.Dim(fmt.Sprintf("%s:%d", d.place(pos.File), pos.Line)))
	d.listing(pos, maxWhole)
	return nil
}

func where(d *Debugger, a *at, _ string) error {
	s := a.At()
	d.say("flow %s  %s", d.cfg.Style.Strong(a.Flow().Name), d.cfg.Style.Dim(d.place(a.Flow().File)))
	for i, part := range s.Path {
		here := ""
		if i == len(s.Path)-1 {
			here = "  " + d.cfg.Style.Dim(fmt.Sprintf("%s  %s:%d", s.Action, d.place(s.File), s.Line))
		}
		d.say("%s%s%s", strings.Repeat("  ", i+1), part, here)
	}
	if s.Phase != event.PhaseSteps {
		d.say("in %s", s.Phase)
	}
	if a.done != nil {
		d.say("it has run: %s", a.done.Status)
	}
	return nil
}

func steps(d *Debugger, a *at, _ string) error {
	phase := event.PhaseSteps
	here := a.Step().Pos
	for _, s := range d.outline.steps {
		if s.depth == 0 && s.phase != phase {
			phase = s.phase
			d.say("%s", d.cfg.Style.Dim(string(phase)))
		}
		mark := " "
		if s.pos == here {
			mark = d.arrow()
		}
		d.say("%s %s%s %s  %s", mark, strings.Repeat("  ", s.depth), sign(d.cfg.Style, d.record.statusOf(s.id)), s.id,
			d.cfg.Style.Dim(fmt.Sprintf("%s  %s:%d", s.action, d.place(s.pos.File), s.pos.Line)))
	}
	return nil
}
