package debug

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxListed is how many lines of a step are shown where the run stops; list
	// shows all, up to maxWhole.
	maxListed = 7
	maxWhole  = 200
	// maxValueLines bounds a value that is printed.
	maxValueLines = 200
)

func (d *Debugger) place(file string) string {
	if d.cfg.Place == nil {
		return file
	}
	return d.cfg.Place(file)
}

// showStop says where the run stands and why.
func (d *Debugger) showStop(a *at) {
	s := a.At()
	style := d.cfg.Style
	d.say("")
	if a.done != nil {
		d.say("%s %s %s", d.arrow(), style.Strong(pathOf(s)), d.colored(a.done.Status))
		if a.done.Status == event.Passed {
			d.say("  %s", d.finishedLine(s, a.done))
		}
		d.showFailure(a)
		return
	}
	line := style.Strong(pathOf(s)) + "  " + style.Dim(s.Action+"  "+fmt.Sprintf("%s:%d", d.place(s.File), s.Line))
	if s.Phase != event.PhaseSteps {
		line += "  " + style.Dim(string(s.Phase))
	}
	if a.why != "" {
		line += "  " + style.Warn(text.OneLine(a.why))
	}
	d.say("%s %s", d.arrow(), line)
	d.listing(a.Step().Pos, maxListed)
}

func (d *Debugger) colored(status event.Status) string {
	switch status {
	case event.Passed:
		return d.cfg.Style.Good(string(status))
	case event.Failed:
		return d.cfg.Style.Bad(string(status))
	}
	return d.cfg.Style.Warn(string(status))
}

func (d *Debugger) arrow() string {
	if d.cfg.Style.ASCII {
		return ">"
	}
	return "▸"
}

// showFailure says why a step did not pass, with the parts of each claim.
func (d *Debugger) showFailure(a *at) {
	style := d.cfg.Style
	if cause := a.Cause(); cause != "" {
		d.say("    because of %s", text.OneLine(cause))
	}
	if e := a.done.Error; e != nil {
		d.say("    %s %s", style.Bad(e.Code), text.OneLine(e.Message))
		if e.Hint != "" {
			d.say("    %s", style.Dim(text.OneLine(e.Hint)))
		}
	}
	for i := range a.done.Assertions {
		if !a.done.Assertions[i].Passed {
			d.claim(&a.done.Assertions[i])
		}
	}
	for _, u := range a.done.Values {
		from := ""
		if u.Origin != "" {
			from = "  " + u.Origin
		}
		d.say("    %s = %s%s", u.Name, clip(value.Compact(u.Value), maxLine/2), style.Dim(from))
	}
	if a.done.Status == event.Failed || a.done.Status == event.Errored {
		d.say("    %s", style.Dim("retry runs it again, set changes a variable, reload reads the edited file, next goes on"))
	}
}

// claim shows one assertion with what its parts were.
func (d *Debugger) claim(c *event.Assertion) {
	status := event.Failed
	switch {
	case c.Passed:
		status = event.Passed
	case c.Errored:
		status = event.Errored
	}
	where := ""
	if c.Line > 0 {
		where = d.cfg.Style.Dim(fmt.Sprintf("  line %d", c.Line))
	}
	if c.Implicit {
		where = d.cfg.Style.Dim("  of the action itself")
	}
	d.say("    %s %s%s", sign(d.cfg.Style, status), text.OneLine(c.Expression), where)
	if !c.Passed && c.Message != "" {
		d.say("        %s", text.OneLine(c.Message))
	}
	d.operands("        ", c.Operands)
	for _, ch := range c.Diff {
		was, is := "nothing", "nothing"
		if !ch.ExpectedMissing {
			was = value.Compact(ch.Expected)
		}
		if !ch.ActualMissing {
			is = value.Compact(ch.Actual)
		}
		d.say("        %s: wants %s, got %s", ch.Path, clip(was, 60), clip(is, 60))
	}
	if c.DiffMore > 0 {
		d.say("        and %d more differences", c.DiffMore)
	}
}

func (d *Debugger) operands(indent string, list []event.Operand) {
	for _, o := range list {
		said := clip(value.Compact(o.Value), maxLine/2)
		switch {
		case o.Error != "":
			said = o.Error
		case o.Missing != "":
			said = "missing: " + o.Missing
		}
		d.say("%s%s", indent, d.cfg.Style.Dim(text.OneLine(o.Text+" = "+said)))
	}
}

// listing prints the lines of a step with their numbers.
func (d *Debugger) listing(pos source.Pos, limit int) {
	if d.cfg.Source == nil {
		return
	}
	lines := definition(string(d.cfg.Source(pos.File)), pos.Line)
	shown := lines[:min(len(lines), limit)]
	for i, line := range shown {
		d.say("  %4d %s %s", pos.Line+i, d.bar(), text.Clean(line))
	}
	if more := len(lines) - len(shown); more > 0 {
		d.say("  %s", d.cfg.Style.Dim(fmt.Sprintf("     %d more lines: list", more)))
	}
}

func (d *Debugger) bar() string {
	if d.cfg.Style.ASCII {
		return "|"
	}
	return "│"
}

// definition is the lines of a step that begins in a line: those below it that
// are indented further.
func definition(file string, first int) []string {
	all := strings.Split(file, "\n")
	if first < 1 || first > len(all) {
		return nil
	}
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	start := indent(all[first-1])
	out := []string{all[first-1]}
	for _, line := range all[first:] {
		if strings.TrimSpace(line) != "" && indent(line) <= start {
			break
		}
		out = append(out, line)
	}
	for len(out) > 1 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return out[:min(len(out), maxWhole)]
}

func printExpr(d *Debugger, a *at, args string) error {
	if args == "" {
		return errors.New("write print EXPR, for example: print create.body.id")
	}
	d.print(a, args)
	return nil
}

// print shows the value of an expression; what it has no value for is an answer
// too.
func (d *Debugger) print(a *at, text string) {
	v, operands, err := a.Evaluate(text)
	if err != nil {
		d.say("%s%s", err, d.nearest(a, text))
		return
	}
	d.value(text, v)
	if len(operands) > 1 {
		d.operands("    ", operands)
	}
}

// nearest is a hint for a bare name that nothing has.
func (d *Debugger) nearest(a *at, name string) string {
	for _, v := range a.Variables() {
		if v.Name == name {
			return ""
		}
	}
	return d.near(a, name)
}

// value prints a value under its name, over several lines where it is large.
func (d *Debugger) value(name string, v any) {
	v = readable(v)
	line := name + " = " + value.Compact(v)
	if len(line) <= maxLine {
		d.say("%s", text.OneLine(line))
		return
	}
	lines := strings.Split(pretty(v, ""), "\n")
	d.say("%s =", name)
	for i, line := range lines {
		if i == maxValueLines {
			d.say("  and %d more lines: print a part of it", len(lines)-i)
			return
		}
		d.say("  %s", clip(line, 4*maxLine))
	}
}

// readable is a message with its body as a value, where it is JSON.
func readable(v any) any {
	m, _ := v.(map[string]any)
	body, ok := m["body"].(string)
	if !ok || !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		return v
	}
	decoded, err := value.DecodeLenient([]byte(body))
	if err != nil {
		return v
	}
	out := maps.Clone(m)
	out["body"] = decoded
	return out
}

// pretty is a value over several lines, its numbers exact.
func pretty(v any, indent string) string {
	const step = "  "
	var parts []string
	opening, closing := "{", "}"
	switch v := v.(type) {
	case map[string]any:
		for _, k := range value.Keys(v) {
			parts = append(parts, indent+step+value.Compact(k)+": "+pretty(v[k], indent+step))
		}
	case []any:
		opening, closing = "[", "]"
		for _, e := range v {
			parts = append(parts, indent+step+pretty(e, indent+step))
		}
	}
	if len(parts) == 0 {
		return value.Compact(v)
	}
	return opening + "\n" + strings.Join(parts, ",\n") + "\n" + indent + closing
}
