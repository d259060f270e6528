package syntax

import (
	"reflect"
)

// aliases are the older names of plugin actions and of their config keys.
type aliases struct {
	actions map[string]string            // older name to today's
	keys    map[string]map[string]string // by today's action: older key to today's
}

func aliasesOf(cat CatalogView) aliases {
	a := aliases{actions: map[string]string{}, keys: map[string]map[string]string{}}
	if cat == nil {
		return a
	}
	for action := range cat.Actions() {
		a.keys[action.Name] = action.KeyAliases
		for _, old := range action.Aliases {
			a.actions[old] = action.Name
		}
	}
	return a
}

// modernize writes today's names of plugin actions and of their config keys.
// Keys that move into a map of their own, as verify_ssl into tls, stay.
func (f *formatter) modernize(text string) string {
	before, _ := Parse(f.path, []byte(text))
	ed := newEditor(text, false)
	for _, fl := range before.Flows {
		for _, list := range [][]*Step{fl.Setup, fl.Steps, fl.OnError, fl.Teardown} {
			eachStep(list, func(s *Step) { f.modernizeStep(ed, s) })
		}
	}
	if len(ed.changes) == 0 {
		return text
	}
	out, _ := ed.apply()
	after, problems := Parse(f.path, []byte(out))
	// The steps of before have been given their new names, so that both must be
	// the same now.
	if len(problems.Errors()) > 0 || !keepsComments([]byte(text), out) || !same(reflect.ValueOf(before.Flows), reflect.ValueOf(after.Flows), "") {
		return text
	}
	return out
}

func (f *formatter) modernizeStep(ed *editor, s *Step) {
	if now, old := f.names.actions[s.Action.Value]; old && s.Node != nil {
		n := s.Node.Get("action")
		if n == nil || n.Text != s.Action.Value {
			return
		}
		ed.rename(nil, n, now)
		s.Action.Value = now
	}
	if s.Config == nil {
		return
	}
	for i, e := range s.Config.Entries {
		now := f.names.keys[s.Action.Value][e.Key.Text]
		if now == "" || containsDot(now) || s.Config.Get(now) != nil {
			continue
		}
		ed.rename(nil, e.Key, now)
		key := *e.Key
		key.Text, key.Value = now, now
		s.Config.Entries[i].Key = &key
	}
}

func containsDot(key string) bool {
	for i := range key {
		if key[i] == '.' {
			return true
		}
	}
	return false
}

// eachStep visits steps with everything that stands in them.
func eachStep(list []*Step, visit func(*Step)) {
	for _, s := range list {
		visit(s)
		eachStep(s.ErrorSteps, visit)
		eachStep(s.OnTimeout, visit)
		for _, t := range s.Track {
			if t.Cleanup != nil {
				eachStep([]*Step{t.Cleanup}, visit)
			}
		}
		if n := s.Nested; n != nil {
			eachStep(n.Then, visit)
			eachStep(n.Else, visit)
			eachStep(n.Steps, visit)
			for _, b := range n.Branches {
				eachStep(b.Steps, visit)
			}
		}
	}
}
