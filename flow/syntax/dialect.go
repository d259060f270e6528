package syntax

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// oldStep brings the older spellings of a step's own keys into today's.
func (p *parser) oldStep(f *fields, s *Step) {
	f.rename("save", "output")
	f.rename("conditions", "assert")
	f.rename("max_duration", "timeout")
	p.oldOnError(f, s)
	if key, n := f.entry("debug"); n != nil {
		d := p.fields(n, &section{name: "debug", what: "debug", keys: []Key{{Name: "breakpoint", Type: Bool}}})
		if d != nil {
			s.Breakpoint = d.boolean("breakpoint").Value
			d.rest()
		}
		p.note(key, "debug.breakpoint is for the debugger: a run passes over it", "")
	}
	if key, n := f.entry("save_to_file"); n != nil {
		p.saveTo(key, n, s)
	}
	if key, n := f.entry("auto_track"); n != nil {
		p.autoTrack(f, key, n, s)
	}
}

func (p *parser) saveTo(key, n *source.Node, s *Step) {
	if n.Kind == source.List || n.Kind == source.Map {
		p.wrongKind(n, "save_to_file", "the name of an artifact")
		return
	}
	p.note(key, "save_to_file keeps the result as an artifact of the run, not as a file", "reports list it with the step")
	s.SaveTo = n
}

// oldOnError reads a step's on_error: a word, or {action, error_steps, on_timeout}.
func (p *parser) oldOnError(f *fields, s *Step) {
	key, n := f.entry("on_error")
	if n == nil {
		return
	}
	if n.Kind != source.Map {
		p.onErrorWord(f, s, key, n)
		return
	}
	p.note(key, `"on_error" of a step is now "on_failure", "error_steps" and "on_timeout"`, "`testmesh fmt` rewrites it")
	m := p.fields(n, &section{name: "on_error", what: "on_error of a step", keys: []Key{
		{Name: "action", Type: Name}, {Name: "error_steps", Type: Steps}, {Name: "on_timeout", Type: Steps},
	}})
	actionKey, action := m.entry("action")
	if action != nil {
		p.onErrorWord(f, s, actionKey, action)
	}
	if t := n.Get("on_timeout"); t != nil && t.Kind == source.String {
		m.take("on_timeout")
		if t.Text != "fail" && (action == nil || t.Text != action.Text) {
			p.fail(source.CodeDialect, t.Pos, t.Text, fmt.Sprintf("on_timeout: %s cannot differ from the other failures", clip(t.Text)), "on_timeout is a list of steps; on_failure decides for both")
		}
	}
	if e := n.Get("error_steps"); e != nil && e.Kind == source.List && slices.ContainsFunc(e.Items, func(i *source.Node) bool { return i.Kind == source.String }) {
		p.fail(source.CodeDialect, e.Pos, "", "error_steps by id is not possible", "write the steps themselves under `error_steps` of the step")
		m.take("error_steps")
	}
	s.ErrorSteps = append(s.ErrorSteps, p.stepList(m, "error_steps", 2)...)
	s.OnTimeout = append(s.OnTimeout, p.stepList(m, "on_timeout", 2)...)
	m.rest()
	p.ed.onErrorMap(f.node, key)
}

func (p *parser) onErrorWord(f *fields, s *Step, key, n *source.Node) {
	now := map[string]string{"fail": "stop", "stop": "stop", "continue": "continue", "ignore": "ignore"}[n.Text]
	whole := key.Text == "on_error"
	switch {
	case n.Text == "retry":
		if f.has("retry") {
			p.note(key, "on_error: retry says what `retry` says already", "`testmesh fmt` removes it")
			if whole {
				p.ed.remove(f.node, key)
			}
			return
		}
		p.note(key, "on_error: retry is now retry: {max_attempts: 3}", "`testmesh fmt` rewrites it")
		if whole {
			p.ed.entry(f.node, key, "retry: {max_attempts: 3}")
		}
		s.Retry = &Retry{Pos: key.Pos, MaxAttempts: Field[int]{Value: 3, Pos: n.Pos}}
	case now == "":
		p.fail(source.CodeType, n.Pos, n.Text, fmt.Sprintf("on_error of a step is fail, continue or retry, not %s", described(n)), "today it is spelled on_failure: stop, continue or ignore; steps for the failure are `error_steps`")
	default:
		if whole {
			p.note(key, fmt.Sprintf("on_error: %s is now on_failure: %s", n.Text, now), "`testmesh fmt` rewrites it")
			p.ed.entry(f.node, key, "on_failure: "+now)
		}
		s.OnFailure = Field[string]{Value: now, Pos: n.Pos}
	}
}

// oldRetry reads enabled and initial_delay; off where it is switched off.
func (p *parser) oldRetry(f *fields) (off bool) {
	f.rename("initial_delay", "delay")
	for _, e := range f.entries {
		if e.Key.Text != "enabled" {
			continue
		}
		if e.Value.Value == true {
			p.note(e.Key, "retry needs no `enabled`", "`testmesh fmt` removes it")
			p.ed.remove(f.node, e.Key)
		} else {
			p.note(e.Key, "a retry that is not enabled is no retry", "remove it")
		}
		off = !f.boolean("enabled").Or(true)
		break
	}
	return off
}

// retryStatus reads retry_on_status: [500, 502] as conditions.
func (p *parser) retryStatus(f *fields) []*source.Node {
	key, n := f.entry("retry_on_status")
	if n == nil {
		return nil
	}
	items := n.Items
	if n.Kind == source.Number {
		items = []*source.Node{n}
	}
	codes := make([]string, 0, len(items))
	for _, item := range items {
		if !value.IsInteger(item.Value) {
			p.wrongKind(item, "an item of retry_on_status", "a status such as 503")
			return nil
		}
		codes = append(codes, item.Text)
	}
	if len(codes) == 0 {
		p.wrongKind(n, "retry_on_status", "a list of statuses")
		return nil
	}
	now := "status in [" + strings.Join(codes, ", ") + "]"
	p.note(key, fmt.Sprintf(`"retry_on_status" is now retry_on: [%q]`, now), "`testmesh fmt` rewrites it")
	if !f.has("retry_on") {
		p.ed.entry(f.node, key, fmt.Sprintf("retry_on: [%q]", now))
	}
	return []*source.Node{source.NewString(n.Pos, now)}
}

// oldTrack brings cleanup_method and cleanup_config into a step.
func (p *parser) oldTrack(f *fields) {
	methodKey, method := f.entry("cleanup_method")
	configKey, config := f.entry("cleanup_config")
	if method == nil && config == nil {
		return
	}
	at := methodKey
	if at == nil {
		at = configKey
	}
	p.note(at, `"cleanup_method" and "cleanup_config" are now cleanup: {action, config}`, "`testmesh fmt` rewrites it")
	if f.has("cleanup") {
		p.fail(source.CodeKey, at.Pos, at.Text, `"cleanup_method" and "cleanup" are one key in two spellings`, `keep "cleanup"`)
		return
	}
	p.ed.cleanup(f.node, methodKey, configKey)
	step := &source.Node{Kind: source.Map, Pos: at.Pos}
	if method != nil {
		step.Entries = append(step.Entries, source.Entry{Key: source.NewString(methodKey.Pos, "action"), Value: method})
	}
	if config != nil {
		step.Entries = append(step.Entries, source.Entry{Key: source.NewString(configKey.Pos, "config"), Value: config})
	}
	entry := source.Entry{Key: source.NewString(at.Pos, "cleanup"), Value: step}
	f.entries = append(f.entries, entry)
	node := *f.node
	node.Entries = append(slices.Clone(node.Entries), entry)
	f.node = &node
}

// autoTrack reads {enabled, id_path, delete_url} as a track.
func (p *parser) autoTrack(f *fields, key, n *source.Node, s *Step) {
	m := p.fields(n, &section{name: "auto_track", what: "auto_track", keys: []Key{
		{Name: "enabled", Type: Bool},
		{Name: "resource_type", Type: Text},
		{Name: "id_path", Type: Text, Doc: "the path of the id in the result."},
		{Name: "delete_url", Type: Text, Doc: "the URL that removes it."},
	}})
	if m == nil {
		return
	}
	enabled := m.boolean("enabled").Or(true)
	m.require("id_path")
	m.require("delete_url")
	kind, path, url := m.template("resource_type"), m.text("id_path"), m.text("delete_url")
	m.rest()
	p.note(key, `"auto_track" is now "track" with a step that cleans up`, "`testmesh fmt` rewrites it")
	if !enabled || !path.Given() || !url.Given() {
		return
	}
	id := "${" + strings.TrimSpace(path.Value) + "}"
	target := url.Value
	for _, hole := range []string{"${id}", "{{id}}", "{{ id }}", "{id}", ":id"} {
		target = strings.ReplaceAll(target, hole, id)
	}
	str := func(at source.Pos, text string) *source.Node { return source.NewString(at, text) }
	config := &source.Node{Kind: source.Map, Pos: url.Pos, Entries: []source.Entry{
		{Key: str(url.Pos, "method"), Value: str(url.Pos, "DELETE")}, {Key: str(url.Pos, "url"), Value: str(url.Pos, target)},
	}}
	cleanup := &source.Node{Kind: source.Map, Pos: key.Pos, Entries: []source.Entry{
		{Key: str(key.Pos, "action"), Value: str(key.Pos, "http.request")}, {Key: str(key.Pos, "config"), Value: config},
	}}
	t := &Track{Pos: key.Pos, ResourceType: kind, ResourceID: str(path.Pos, id), Cleanup: p.step(cleanup, 2)}
	s.Track = append(s.Track, t)
	if !f.has("track") {
		p.ed.autoTrack(f.node, key, textOf(kind), id, target)
	}
}
