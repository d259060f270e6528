package syntax

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/tag"
	"github.com/testmesh/testmesh/flow/value"
)

// maxDuration bounds every duration: longer ones are a slip of the unit, and
// sums of them must not overflow.
const maxDuration = 1000 * time.Hour

// text is a string as it stands; numbers and booleans are what was written.
func (f *fields) text(name string) Field[string] {
	n := f.take(name)
	if n == nil {
		return Field[string]{}
	}
	if n.Kind == source.List || n.Kind == source.Map {
		f.p.wrongKind(n, name, "a text")
		return Field[string]{}
	}
	return Field[string]{Value: n.Text, Pos: n.Pos}
}

// name is a string limited by the key's Enum or Pattern.
func (f *fields) name(name string) Field[string] {
	out := f.text(name)
	k := f.sec.key(name)
	if !out.Given() || k == nil {
		return out
	}
	f.p.checkName(out, name, k)
	return out
}

func (p *parser) checkName(got Field[string], name string, k *Key) bool {
	switch {
	case len(k.Enum) > 0 && !slices.Contains(k.Enum, got.Value):
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: got.Pos, Text: clip(got.Value), InScope: k.Enum,
			Message: fmt.Sprintf("%s is one of %s, not %q", name, strings.Join(k.Enum, ", "), clip(got.Value)),
		}
		if near := value.Closest(got.Value, k.Enum); near != "" {
			problem.Hint = fmt.Sprintf("did you mean %q?", near)
			problem.Fix = source.Corrected(p.file.Data, got.Pos, got.Value, near)
		}
		p.add(problem)
		return false
	case k.Pattern != "" && !fitsPattern(k.Pattern, got.Value):
		p.fail(source.CodeType, got.Pos, got.Value, fmt.Sprintf("%q is no %s", clip(got.Value), name), patternWords(k.Pattern))
		return false
	}
	return true
}

// patternWords says what a pattern asks for.
func patternWords(text string) string {
	switch text {
	case suitePattern:
		return "use a-z, 0-9 and -"
	case actionPattern:
		return "an action is <plugin>.<action>, such as http.request, or one word, such as log"
	case outputPattern, namePattern:
		return "use letters, digits and _, and begin with a letter"
	}
	return "it must fit " + text
}

func (f *fields) boolean(name string) Field[bool] {
	n := f.take(name)
	if n == nil {
		return Field[bool]{}
	}
	b, ok := n.Value.(bool)
	if !ok {
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
			Message: fmt.Sprintf("%s is true or false, not %s", name, described(n)),
		}
		switch strings.ToLower(n.Text) {
		case "yes", "on", "y", "true":
			problem.Fix = f.p.bare(n, "true")
		case "no", "off", "n", "false":
			problem.Fix = f.p.bare(n, "false")
		}
		if problem.Fix != "" {
			problem.Hint = "write true or false, without quotes"
		} else if strings.Contains(n.Text, "${") || strings.Contains(n.Text, "{{") {
			problem.Hint = "it must be known before the run; `when` decides while it runs"
		}
		f.p.add(problem)
		return Field[bool]{}
	}
	return Field[bool]{Value: b, Pos: n.Pos}
}

// bare is the line of n with its value, quotes and all, replaced.
func (p *parser) bare(n *source.Node, replacement string) string {
	old := n.Text
	switch n.Style {
	case source.DoubleQuoted:
		old = `"` + old + `"`
	case source.SingleQuoted:
		old = `'` + old + `'`
	}
	return source.Corrected(p.file.Data, n.Pos, old, replacement)
}

func (f *fields) integer(name string) Field[int] {
	n := f.take(name)
	k := f.sec.key(name)
	if n == nil || k == nil {
		return Field[int]{}
	}
	i, ok := value.Int(n.Value)
	least, most := int64(k.Min), int64(k.Max)
	if most == 0 {
		most = 1 << 31
	}
	if n.Kind != source.Number || !ok || i < least || i > most {
		message := fmt.Sprintf("%s is a whole number from %d, not %s", name, k.Min, described(n))
		if k.Max > 0 {
			message = fmt.Sprintf("%s is a whole number from %d to %d, not %s", name, k.Min, k.Max, described(n))
		}
		problem := source.Problem{Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text), Message: message}
		if _, err := strconv.Atoi(n.Text); err == nil && n.Kind == source.String {
			problem.Hint = "write it without quotes"
			problem.Fix = f.p.bare(n, n.Text)
		}
		f.p.add(problem)
		return Field[int]{}
	}
	return Field[int]{Value: int(i), Pos: n.Pos}
}

// share is a number from 0 to 1.
func (f *fields) share(name string) Field[float64] {
	n := f.take(name)
	if n == nil {
		return Field[float64]{}
	}
	x, ok := value.Float(n.Value)
	if !ok || x < 0 || x > 1 {
		hint := "0.2 is 20 % more or less"
		f.p.fail(source.CodeType, n.Pos, n.Text, fmt.Sprintf("%s is a number from 0 to 1, not %s", name, described(n)), hint)
		return Field[float64]{}
	}
	return Field[float64]{Value: x, Pos: n.Pos}
}

func (f *fields) duration(name string) Field[time.Duration] {
	n := f.take(name)
	if n == nil {
		return Field[time.Duration]{}
	}
	d, err := ParseDuration(n.Text)
	if n.Kind == source.List || n.Kind == source.Map || err != nil || n.Kind == source.Number && n.Text != "0" {
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
			Message: fmt.Sprintf("%s is a duration, not %s", name, described(n)),
			Hint:    "write a number and a unit, ms, s, m or h: 500ms, 30s, 1m30s",
		}
		switch {
		case n.Kind == source.Number && !strings.HasPrefix(n.Text, "-"):
			problem.Fix = f.p.bare(n, n.Text+"s")
		case strings.Contains(n.Text, "${") || strings.Contains(n.Text, "{{"):
			problem.Hint = "it must be known before the run, so it cannot hold a placeholder"
		}
		f.p.add(problem)
		return Field[time.Duration]{}
	}
	return Field[time.Duration]{Value: d, Pos: n.Pos}
}

// ParseDuration reads a duration of the language: numbers with the units ms, s,
// m and h, as in 1m30s; 0 needs none.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("parse duration %q: want a number with ms, s, m or h", clip(text))
	if text == "0" {
		return 0, nil
	}
	for i := 0; i < len(text); i++ {
		if !strings.ContainsRune("0123456789.msh", rune(text[i])) {
			return 0, bad
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad
	}
	if d > maxDuration {
		return 0, fmt.Errorf("parse duration %q: over %d hours", clip(text), int(maxDuration.Hours()))
	}
	return d, nil
}

// names is a list of strings.
func (f *fields) names(name string) []Field[string] {
	n := f.take(name)
	if n == nil {
		return nil
	}
	if n.Kind != source.List {
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
			Message: fmt.Sprintf("%s is a list, not %s", name, described(n)), Hint: "write it in brackets: [a, b]",
		}
		if n.Kind == source.String && n.Style == source.Plain {
			problem.Fix = f.p.bare(n, "["+n.Text+"]")
		}
		f.p.add(problem)
		return nil
	}
	k := f.sec.key(name)
	out := make([]Field[string], 0, len(n.Items))
	for _, item := range n.Items {
		if item.Kind == source.List || item.Kind == source.Map || item.Kind == source.Null {
			f.p.wrongKind(item, "an item of "+name, "a text")
			continue
		}
		got := Field[string]{Value: item.Text, Pos: item.Pos}
		if k != nil && k.Pattern == tagPattern {
			if err := tag.Valid(item.Text); err != nil {
				f.p.fail(source.CodeType, item.Pos, item.Text, err.Error(), "a tag is 2 to 50 of a-z, 0-9, _ and -")
				continue
			}
		}
		out = append(out, got)
	}
	return out
}
