package syntax

// controlSections are the configs of the control actions, and the maps in them.
func controlSections() []*section {
	return []*section{
		{
			name: "assert", what: "config of assert", doc: "Judges what earlier steps found; the assertions are the step's own `assert`, `assert_any`, `assert_none` and `match`.",
			keys: []Key{{Name: "data", Type: Expression, Doc: "What the assertions are about: its keys are names in them."}},
			oldKeys: []oldKey{
				{"assertions", Asserts, "assert"}, {"expression", Expression, "assert"}, {"assert", Asserts, "assert"}, {"conditions", Asserts, "assert"},
			},
		},
		{name: "set", what: "config of set", doc: "Gives names values; they are its outputs."},
		{
			name: "transform", what: "config of transform", doc: "Derives values from others.",
			keys: []Key{
				{Name: "input", Type: Any, Doc: "The value to work on."},
				{Name: "input_file", Type: Template, Doc: "A file with the value to work on."},
				{Name: "transforms", Type: Outputs, Doc: "Names to paths or expressions over the input."},
				{Name: "operations", Type: Sections, Of: "operation", Doc: "Steps of a pipeline over the input."},
			},
		},
		{
			name: "operation", what: "an operation of transform", doc: "One step of a pipeline: extract, map, filter, join or format.",
			keys: []Key{
				{Name: "extract", Type: Any, Doc: "A path or an expression."},
				{Name: "map", Type: Any, Doc: "An expression over each `item`."},
				{Name: "filter", Type: Any, Doc: "A condition over each `item`."},
				{Name: "join", Type: Any, Doc: "The separator to join a list by."},
				{Name: "format", Type: Any, Doc: "A text with placeholders."},
				{Name: "save_as", Type: Text, Doc: "The name of the output."},
			},
		},
		{
			name: "log", what: "config of log", doc: "Writes a line into the log of the run.",
			keys: []Key{
				{Name: "level", Type: Name, Enum: []string{"debug", "info", "warn", "error"}, Default: "info", Doc: "How important it is."},
				{Name: "message", Type: Template, Doc: "The line."},
				{Name: "data", Type: Any, Doc: "Values to show with it."},
			},
		},
		{
			name: "delay", what: "config of delay", doc: "Waits.",
			keys: []Key{{Name: "duration", Type: Template, Required: true, Doc: "How long: 500ms, 2s."}},
		},
		{
			name: "fail", what: "config of fail", doc: "Fails the step.",
			keys: []Key{{Name: "message", Type: Template, Doc: "Why."}},
		},
		{
			name: "condition", what: "config of condition", doc: "Runs one of two lists of steps.",
			keys: []Key{
				{Name: "if", Type: Expression, Required: true, Doc: "The condition."},
				{Name: "then", Type: Steps, Doc: "Steps where it holds."},
				{Name: "else", Type: Steps, Doc: "Steps where it does not."},
			},
			oldKeys: []oldKey{{"condition", Expression, "if"}, {"when", Expression, "if"}},
		},
		{
			name: "for_each", what: "config of for_each", doc: "Runs its steps once for each item.",
			keys: []Key{
				{Name: "items", Type: Any, Doc: "The list, or an expression that gives it."},
				{Name: "range", Type: Section, Of: "range", Doc: "Numbers instead of items."},
				{Name: "items_from_glob", Type: Template, Doc: "The files that fit a pattern instead of items."},
				{Name: "item_name", Type: Name, Pattern: namePattern, Default: "item", Doc: "The name of the item in the steps."},
				{Name: "index_name", Type: Name, Pattern: namePattern, Default: "index", Doc: "The name of its number, from 0."},
				{Name: "steps", Type: Steps, Required: true, Doc: "The steps."},
				{Name: "parallel", Type: Any, Doc: "How many items at once: a number, or true for 10."},
				{Name: "min_items", Type: Int, Default: "0", Doc: "With fewer items the step fails."},
				{Name: "max_iterations", Type: Int, Min: 1, Default: "1000", Doc: "With more items the step errors before the first."},
				{Name: "continue_on_error", Type: Bool, Default: "false", Doc: "Whether the other items run after one failed."},
			},
		},
		{
			name: "range", what: "range", doc: "Numbers from start to end, both included.",
			keys: []Key{
				{Name: "start", Type: Any, Default: "0", Doc: "The first number."},
				{Name: "end", Type: Any, Required: true, Doc: "The last number."},
				{Name: "step", Type: Any, Default: "1", Doc: "From one to the next."},
			},
		},
		{
			name: "parallel", what: "config of parallel", doc: "Runs steps, or branches of steps, at once.",
			keys: []Key{
				{Name: "steps", Type: Steps, Doc: "Steps that run at once."},
				{Name: "branches", Type: Sections, Of: "branch", Doc: "Lists of steps that run at once."},
				{Name: "max_concurrent", Type: Int, Min: 1, Max: 1000, Default: "10", Doc: "How many at once."},
				{Name: "fail_fast", Type: Bool, Default: "false", Doc: "Whether the first failure cancels the others."},
			},
			oldKeys: []oldKey{{"wait_for_all", Bool, "fail_fast"}},
		},
		{
			name: "branch", what: "a branch of parallel", doc: "A list of steps that runs beside the others.",
			keys: []Key{
				{Name: "name", Type: Text, Doc: "What reports call it."},
				{Name: "steps", Type: Steps, Required: true, Doc: "The steps, one after the other."},
			},
		},
		{
			name: "wait_until", what: "config of wait_until", doc: "Repeats its steps until a condition holds.",
			keys: []Key{
				{Name: "condition", Type: Expression, Doc: "The condition; without it until the steps pass."},
				{Name: "steps", Type: Steps, Doc: "Steps of one round."},
				{Name: "timeout", Type: Duration, Default: "30s", Doc: "How long it is repeated."},
				{Name: "interval", Type: Duration, Default: "1s", Doc: "The pause between two rounds."},
				{Name: "on_timeout", Type: Steps, Doc: "Steps that run where the time is over."},
			},
			oldKeys: []oldKey{{"max_duration", Duration, "timeout"}},
		},
		{
			name: "wait_for", what: "config of wait_for", doc: "Waits until something answers.",
			keys: []Key{
				{Name: "url", Type: Template, Required: true, Doc: "http://, https://, tcp:// or grpc://."},
				{Name: "timeout", Type: Duration, Default: "30s", Doc: "How long."},
				{Name: "interval", Type: Duration, Default: "1s", Doc: "The pause between two tries."},
			},
			oldKeys: []oldKey{{"max_duration", Duration, "timeout"}},
		},
		{
			name: "run_flow", what: "config of run_flow", doc: "Runs another flow inside the step.",
			keys: []Key{
				{Name: "flow", Type: Template, Required: true, Doc: "Its path, path#name, or its name in the workspace."},
				{Name: "input", Type: Values, Doc: "Its parameters."},
				{Name: "input_file", Type: Template, Doc: "A file with its parameters."},
				{Name: "inherit_env", Type: Bool, Default: "false", Doc: "Whether it sees the names of the caller."},
				{Name: "once", Type: Name, Enum: []string{"run", "batch"}, Doc: "Runs it once in this run or batch; other callers wait and get its outputs."},
			},
			oldKeys: []oldKey{{"inherit_tags", Bool, ""}},
		},
	}
}
