package plugin

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/catalog"
)

// lintDescriptor looks at what the plugin says that it can do.
func (l *linted) lintDescriptor() {
	d := l.descriptor
	c, err := catalog.New(d)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		l.add("descriptor", must, "no flow that uses it can be checked, and none runs", "correct what the sentence names", "%v", err)
		return
	}
	if len(d.GetActions())+len(d.GetFunctions()) == 0 {
		l.add("empty", must, "there is nothing to use", "add an action or a function", "it has neither an action nor a function")
	}
	l.sentence("the plugin", d.GetSummary())
	seen := map[string]bool{}
	for _, a := range d.GetActions() {
		if seen[a.GetName()] {
			continue
		}
		seen[a.GetName()] = true
		l.lintAction(a)
	}
	for _, f := range d.GetFunctions() {
		l.sentence("the function "+functionName(d, f), f.GetSummary())
	}
}

func (l *linted) sentence(what, text string) {
	first := []rune(strings.TrimSpace(text))
	switch {
	case len(first) == 0:
		l.add("summary", should, "completion, hover and the reference show it", "say in one sentence what it does", "%s has no summary", what)
	case !unicode.IsUpper(first[0]) && !unicode.IsDigit(first[0]) || first[len(first)-1] != '.':
		l.add("summary-form", could, "summaries stand below each other in lists", "write a sentence: a capital first, a full stop last", "the summary of %s is no sentence: %q", what, text)
	case len(first) > 120:
		l.add("summary-long", could, "lists cut it", "say it in 120 characters, and the rest in the description", "the summary of %s has %d characters", what, len(first))
	}
}

func (l *linted) lintAction(a *testmeshv1.Action) {
	name := a.GetName()
	if _, rest, _ := strings.Cut(name, "."); !pluginstore.ValidName(rest) {
		l.add("action-name", must, "no flow can name it", "lower-case letters, digits and _, a letter first", "the action %s is not [a-z][a-z0-9_]*", name)
	}
	l.sentence("the action "+name, a.GetSummary())
	if rules := a.GetEffects(); len(rules) == 0 || rules[len(rules)-1].GetWhen() != "" {
		l.add("effect", should, "without one it counts as once, and no retry is made after it might have changed something",
			"declare an effect that holds always as the last one: Observes, Idempotent, Once, Consumes …", "the action %s does not say its effect for every config", name)
	}
	l.lintSchema(name, "config", a.GetConfigSchema(), true)
	l.lintSchema(name, "result", a.GetResultSchema(), false)
	switch {
	case strings.TrimSpace(a.GetExample()) == "":
		l.add("example", should, "people copy an example before they read a table", "add a complete step in YAML", "the action %s has no example", name)
	case !strings.Contains(a.GetExample(), name):
		l.add("example-other", should, "people copy an example before they read a table", "use the action in its example", "the example of %s does not use it", name)
	default:
		if problem := l.exampleProblem(a.GetExample()); problem != "" {
			l.add("example-wrong", must, "who copies it gets an error", "write a step that testmesh validate accepts", "the example of %s is refused: %s", name, problem)
		}
	}
}

// lintSchema looks at each key of a config or result.
func (l *linted) lintSchema(action, what, text string, config bool) {
	root, err := schemaOf(text)
	if err != nil || root == nil || root.Properties == nil {
		if text == "" {
			l.add("schema", should, "nothing of it can be checked or completed", "give a JSON Schema", "the %s of %s has no schema", what, action)
		}
		return
	}
	if config && string(root.Additional) != "false" {
		l.add("open-config", should, "a misspelt key is accepted and does nothing", `"additionalProperties": false`, "the config of %s takes any key", action)
	}
	var bare []string
	for _, name := range slices.Sorted(maps.Keys(root.Properties)) {
		p := root.Properties[name]
		to := p.resolved(root)
		if strings.TrimSpace(p.Description+to.Description) == "" {
			bare = append(bare, name)
		}
		if config && timeKey(name) && !to.Duration && to.Type != "string" {
			l.add("duration", could, "5 may be seconds or milliseconds, 5s is not", `make it a duration ("x-testmesh-duration": true)`, "%s of %s is a limit in an unsaid unit", name, action)
		}
	}
	if len(bare) > 0 {
		l.add("undocumented", should, "completion, hover and the reference show it", "describe each key in a sentence",
			"the %s of %s says nothing of %s", what, action, strings.Join(bare, ", "))
	}
}

func timeKey(name string) bool {
	return slices.ContainsFunc([]string{"timeout", "interval", "delay", "within"}, func(word string) bool {
		return name == word || strings.HasSuffix(name, "_"+word)
	})
}
