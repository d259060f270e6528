package syntax

import (
	"fmt"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

// poll writes eventually, and the condition as an assertion, for config.poll.
func (ed *editor) poll(_, key, step *source.Node, within, every Field[time.Duration], condition *source.Node) {
	if ed == nil {
		return
	}
	s, host := ed.span(key), ed.span(keyNode(step, "config"))
	if s == nil || host == nil {
		return
	}
	indent := strings.Repeat(" ", host.column-1)
	text := indent + "eventually: {within: " + within.Value.String()
	if every.Given() {
		text += ", every: " + every.Value.String()
	}
	text += "}\n"
	if condition != nil {
		raw, ok := ed.raw(condition)
		list := step.Get("assert")
		if !ok || list != nil && list.Kind != source.Null {
			return // the author joins the two lists
		}
		text += indent + "assert:\n" + indent + "  - " + raw + "\n"
	}
	ed.relocate(s, host, text)
}

// onErrorMap writes on_failure, error_steps and on_timeout for a map on_error.
func (ed *editor) onErrorMap(step, key *source.Node) {
	if ed == nil {
		return
	}
	s, m := ed.span(key), step.Get("on_error")
	if s == nil || m == nil || ed.char(m.Pos) == '{' {
		return
	}
	var b strings.Builder
	for _, e := range m.Entries {
		in := ed.span(e.Key)
		switch {
		case in == nil:
			return
		case e.Key.Text == "action":
			now := map[string]string{"fail": "stop", "retry": ""}[e.Value.Text]
			if e.Value.Text != "fail" {
				now = e.Value.Text
			}
			line := "on_failure: " + now
			if now == "retry" {
				line = "retry: {max_attempts: 3}"
			}
			b.WriteString(strings.Repeat(" ", s.column-1) + line + "\n")
		case e.Key.Text == "on_timeout" && e.Value.Kind == source.String:
		default:
			text, ok := ed.block(in, e.Key, e.Key.Text, s.column)
			if !ok {
				return
			}
			b.WriteString(text)
		}
	}
	text := strings.TrimSuffix(strings.TrimLeft(b.String(), " "), "\n")
	if text != "" {
		ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), text})
	}
}

// cleanup writes cleanup: {action, config} for cleanup_method and cleanup_config.
func (ed *editor) cleanup(_, methodKey, configKey *source.Node) {
	if ed == nil || methodKey == nil {
		return
	}
	method, config := ed.span(methodKey), ed.span(configKey)
	if method == nil || configKey != nil && config == nil || method.line != method.end {
		return
	}
	inner := *method
	inner.lead = method.line // comments above stay above cleanup
	text, ok := ed.block(&inner, methodKey, "action", method.column+2)
	if !ok {
		return
	}
	first := edit{ed.offset(method.line, method.column), ed.lineEnd(method.end), "cleanup:\n"}
	if config == nil {
		first.text += strings.TrimSuffix(text, "\n")
		ed.change(first)
		return
	}
	more, ok := ed.block(config, configKey, "config", config.column+2)
	gone, cuttable := ed.cutWhole(config)
	if !ok || !cuttable {
		return
	}
	first.text += text + strings.TrimSuffix(more, "\n")
	ed.change(first, gone)
}

// autoTrack writes track for auto_track.
func (ed *editor) autoTrack(_, key *source.Node, kind, id, url string) {
	if ed == nil {
		return
	}
	s := ed.span(key)
	if s == nil {
		return
	}
	in := strings.Repeat(" ", s.column+1)
	text := "track:\n"
	if kind != "" {
		text += in + "resource_type: " + quote(kind) + "\n"
	}
	text += in + "resource_id: " + quote(id) + "\n" + in + "cleanup:\n" +
		in + "  action: http.request\n" + in + "  config:\n" + in + "    method: DELETE\n" + in + "    url: " + quote(url)
	ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), text})
}

// agentTags writes env and match for agent_tags.
func (ed *editor) agentTags(target, key, env *source.Node, others int) {
	if ed == nil {
		return
	}
	s := ed.span(key)
	if s == nil {
		return
	}
	if env == nil {
		ed.rename(target, key, "match")
		return
	}
	raw, ok := ed.raw(env)
	if !ok {
		return
	}
	if others == 0 {
		ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), "env: " + raw})
		return
	}
	tags := target.Get("agent_tags")
	if ed.char(tags.Pos) == '{' {
		ed.agentTagsInBraces(s, tags, env, raw)
		return
	}
	for _, e := range tags.Entries {
		if e.Value != env {
			continue
		}
		gone, cuttable := ed.cut(ed.span(e.Key))
		from, to, found := ed.scalar(key)
		if cuttable && found {
			ed.change(edit{from, to, "env: " + raw + "\n" + strings.Repeat(" ", s.column-1) + "match"}, gone)
		}
	}
}

// agentTagsInBraces is agentTags for a map on one line.
func (ed *editor) agentTagsInBraces(s *span, tags, env *source.Node, raw string) {
	var rest []string
	for _, e := range tags.Entries {
		key, okKey := ed.raw(e.Key)
		val, okVal := ed.raw(e.Value)
		if !okKey || !okVal || s.line != s.end {
			return
		}
		if e.Value != env {
			rest = append(rest, key+": "+val)
		}
	}
	text := "env: " + raw + "\n" + strings.Repeat(" ", s.column-1) + "match: {" + strings.Join(rest, ", ") + "}" + ed.comment(s.line, s.column)
	ed.change(edit{ed.offset(s.line, s.column), ed.lineEnd(s.end), text})
}

// oneKey writes {x matches_schema: s} for {response: x, matches_schema: s}.
func (ed *editor) oneKey(n *source.Node, now string, e source.Entry) {
	if ed == nil || n.Entries[1].Key != e.Key || n.Entries[0].Key.Text != "response" {
		return
	}
	from := ed.offset(n.Entries[0].Key.Pos.Line, n.Entries[0].Key.Pos.Column)
	if _, to, ok := ed.scalar(e.Key); ok && from < to {
		if strings.ContainsAny(now, `"'#:{}[],&*`) {
			now = quote(now)
		}
		ed.change(edit{from, to, now})
	}
}

// wrap writes flow: around a document.
func (ed *editor) wrap(doc *source.Node) {
	if ed == nil {
		return
	}
	ed.wraps = true
	first := doc.Pos.Line
	edits := change{{ed.starts[first-1], ed.starts[first-1], "flow:\n" + indentUnlessBlank(ed.line(first))}}
	for n := first + 1; n <= len(ed.lines); n++ {
		s := ed.line(n)
		if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
			break
		}
		if in := indentUnlessBlank(s); in != "" {
			edits = append(edits, edit{ed.starts[n-1], ed.starts[n-1], in})
		}
	}
	ed.changes = append([]change{edits}, ed.changes...)
}

func indentUnlessBlank(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return "  "
}

// id writes the id that a step was given.
func (ed *editor) id(s *Step) {
	if ed == nil || !ed.ids {
		return
	}
	pos := s.Pos
	offset := ed.offset(pos.Line, pos.Column)
	if ed.char(pos) == '{' {
		ed.change(edit{offset + 1, offset + 1, fmt.Sprintf("id: %s, ", s.ID.Value)})
		return
	}
	if ed.span(&source.Node{Pos: pos}) == nil {
		return // made from a dialect, or by a merge
	}
	ed.change(edit{offset, offset, fmt.Sprintf("id: %s\n%s", s.ID.Value, strings.Repeat(" ", pos.Column-1))})
}
