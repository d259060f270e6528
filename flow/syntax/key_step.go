package syntax

// stepSections are a step and the maps in it.
func stepSections() []*section {
	return []*section{
		{
			name: "step", what: "a step", doc: "A step: one action, and what is checked about it.",
			keys: []Key{
				{Name: "id", Type: Name, Pattern: idPattern, Doc: "The name of the step in expressions and reports, unique in the flow."},
				{Name: "name", Type: Template, Doc: "What reports call the step."},
				{Name: "description", Type: Text, Doc: "What the step is for."},
				{Name: "tags", Type: Names, Pattern: tagPattern, Doc: "Names to select the step by with --step-tag."},
				{Name: "disabled", Type: Bool, Default: "false", Doc: "true skips the step, and says so."},
				{Name: "needs", Type: Names, Pattern: oldIDPattern, Doc: "Steps of the same list that must be done first. Without it the step above; [] needs nothing."},
				{Name: "when", Type: Expression, Doc: "A condition: where it is false the step is skipped."},
				{Name: "action", Type: Name, Required: true, Pattern: actionPattern, Doc: "What the step does: <plugin>.<action>, or a control action."},
				{Name: "config", Type: Values, Doc: "The parameters of the action."},
				{Name: "effect", Type: Name, Enum: []string{"observe", "idempotent", "once", "consume", "load", "teardown"}, Doc: "What repeating the step would do; overrules the plugin's own rule."},
				{Name: "timeout", Type: Duration, Default: "30s", Doc: "How long one try may take."},
				{Name: "retry", Type: Section, Of: "retry", Doc: "When and how often a failed try is repeated."},
				{Name: "eventually", Type: Section, Of: "eventually", Doc: "Repeats the step until it passes or the time is over."},
				{Name: "assert", Type: Asserts, Doc: "Conditions about the result; all must hold."},
				{Name: "assert_any", Type: Asserts, Doc: "Conditions of which at least one must hold."},
				{Name: "assert_none", Type: Asserts, Doc: "Conditions of which none may hold."},
				{Name: "match", Type: Any, Doc: "A pattern of the result: a subset of it, with markers such as \"#uuid\"."},
				{Name: "output", Type: Outputs, Doc: "Names for what later steps use; expressions over the result."},
				{Name: "on_failure", Type: Name, Enum: []string{"stop", "continue", "ignore"}, Default: "stop", Doc: "What a failure does to the steps after it; ignore does not count."},
				{Name: "error_steps", Type: Steps, Doc: "Steps that run where this one failed or errored."},
				{Name: "on_timeout", Type: Steps, Doc: "Steps that run instead of error_steps where the cause is a timeout."},
				{Name: "track", Type: Section, Of: "track", List: true, Doc: "A resource that the step made, and the step that removes it at the end of the run."},
			},
			oldKeys: []oldKey{
				{"save", Outputs, "output"},
				{"conditions", Asserts, "assert"},
				{"on_error", Any, "on_failure"},
				{"debug", Values, ""},
				{"auto_track", Section, "track"},
				{"save_to_file", Template, ""},
				{"then", Steps, "config.then"},
				{"else", Steps, "config.else"},
				{"max_duration", Duration, "timeout"},
			},
			gone: map[string]string{
				"contract_expectation": "describe the interaction in a step contract.generate",
				"if":                   "write `when` to skip the step, or `if` under `config` of a condition",
				"type":                 "the action is named by `action`",
				"uses":                 "the action is named by `action`",
				"with":                 "the parameters of the action are under `config`",
				"run":                  "name an action with `action`, such as shell.run, and its parameters under `config`",
				"depends_on":           "write `needs`",
				"extract":              "write `output`",
				"capture":              "write `output`",
				"validate":             "write `assert`",
				"expect":               "write `assert` or `match`",
				"loop":                 "use the action for_each",
				"continue_on_error":    "write `on_failure: continue`",
				"ignore_error":         "write `on_failure: ignore`",
			},
		},
		{
			name: "retry", what: "retry", doc: "When and how often a try is repeated.",
			keys: []Key{
				{Name: "max_attempts", Type: Int, Min: 1, Max: 100, Default: "1", Doc: "The tries in all, with the first."},
				{Name: "delay", Type: Duration, Default: "1s", Doc: "The pause before the next try."},
				{Name: "backoff", Type: Name, Enum: []string{"constant", "linear", "exponential"}, Default: "constant", Doc: "How the pause grows: d, n·d or 2^(n-1)·d."},
				{Name: "jitter", Type: Num, Default: "0", Doc: "How much chance changes the pause: 0.2 is 20 % more or less."},
				{Name: "max_delay", Type: Duration, Default: "30s", Doc: "The longest pause."},
				{Name: "retry_on", Type: Exprs, Doc: "Repeat only where one of these holds: expressions over the result, timeout, connection_error."},
				{Name: "retry_on_not", Type: Exprs, Doc: "Never repeat where one of these holds."},
			},
			oldKeys: []oldKey{{"enabled", Bool, ""}, {"initial_delay", Duration, "delay"}, {"retry_on_status", Any, "retry_on"}},
		},
		{
			name: "eventually", what: "eventually", doc: "Repeats a step until it passes.",
			keys: []Key{
				{Name: "within", Type: Duration, Required: true, Doc: "How long it is repeated."},
				{Name: "every", Type: Duration, Doc: "The pause between two tries."},
			},
		},
		{
			name: "track", what: "track", doc: "A resource that is removed at the end of the run.",
			keys: []Key{
				{Name: "resource_type", Type: Template, Doc: "What the resource is, for reports."},
				{Name: "resource_id", Type: Template, Required: true, Doc: "Which one it is."},
				{Name: "cleanup", Type: Step1, Required: true, Doc: "The step that removes it."},
			},
			oldKeys: []oldKey{{"cleanup_method", Name, "cleanup.action"}, {"cleanup_config", Values, "cleanup.config"}},
		},
		{
			name: "output value", what: "an output", doc: "An output with more than its expression.",
			keys: []Key{
				{Name: "value", Type: Expression, Required: true, Doc: "The expression."},
				{Name: "secret", Type: Bool, Default: "false", Doc: "Whether the value is masked wherever it would be shown."},
			},
		},
	}
}
