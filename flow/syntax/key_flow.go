package syntax

// Patterns of names.
const (
	idPattern     = `^[a-z][a-z0-9_-]{0,63}$`
	oldIDPattern  = `^[a-z0-9_-]{1,64}$` // dialects
	suitePattern  = `^[a-z0-9-]+$`
	tagPattern    = `^[a-z0-9_-]{2,50}$`
	actionPattern = `^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`
	namePattern   = `^[A-Za-z_][A-Za-z0-9_]*$`
	outputPattern = `^[A-Za-z_][A-Za-z0-9_-]*$`
)

// flowSections are the maps of a flow outside its steps.
func flowSections() []*section {
	return []*section{
		{
			name: "file", what: "the file", doc: "A flow file.",
			keys: []Key{{Name: "flow", Type: Section, Of: "flow", Required: true, Doc: "The flow. A file may hold several, between lines of ---."}},
		},
		{
			name: "flow", what: "flow", doc: "A flow: the requests and checks of one test.",
			keys: []Key{
				{Name: "name", Type: Text, Required: true, Doc: "What reports call the flow, 1 to 255 characters."},
				{Name: "description", Type: Text, Doc: "What the flow proves, for people."},
				{Name: "version", Type: Text, Doc: "Your version of the flow; reports show it."},
				{Name: "suite", Type: Name, Pattern: suitePattern, Doc: "The suite that the flow belongs to; --suite selects by it."},
				{Name: "author", Type: Text, Doc: "Whom to ask about the flow."},
				{Name: "tags", Type: Names, Pattern: tagPattern, Doc: "Names to select the flow by with --tag; its steps have them too."},
				{Name: "input", Type: Named, Of: "input", Doc: "The typed parameters of the flow: for --var, run_flow, schedules and forms. Without it a flow takes any input."},
				{Name: "env_file", Type: Text, Doc: "A dotenv file with values of env, relative to this file."},
				{Name: "env", Type: Values, Doc: "Names and their values, the same for the whole run; an environment and --var overrule them."},
				{Name: "files", Type: Names, Doc: "Patterns of files that the flow reads by a computed path."},
				{Name: "data", Type: Any, Doc: "Rows: a CSV, JSON, JSONL or YAML file, or a list of maps. The flow runs once for each."},
				{Name: "matrix", Type: Values, Doc: "Names to lists: the flow runs once for each combination, and each row."},
				{Name: "after", Type: Names, Doc: "Flows that must have passed before this one runs in the same batch."},
				{Name: "target", Type: Section, Of: "target", Doc: "Which agent may take the run, by its labels."},
				{Name: "locks", Type: Templates, Doc: "Names that only one run at a time holds, for the whole run."},
				{Name: "config", Type: Section, Of: "config", Doc: "Limits and defaults of the run."},
				{Name: "setup", Type: Steps, Doc: "Steps before the others; where one fails, the run is errored."},
				{Name: "steps", Type: Steps, Required: true, Doc: "What the flow does: at least one step."},
				{Name: "teardown", Type: Steps, Doc: "Steps that run at the end in any case, each although an earlier one failed."},
				{Name: "on_error", Type: Steps, Doc: "Steps that run once after a step of setup or steps failed or errored."},
				{Name: "output", Type: Outputs, Doc: "What the caller of run_flow reads."},
			},
			oldKeys: []oldKey{
				{"data_source", Section, "data"},
			},
			gone: map[string]string{
				"graph":                 "name what the flow needs with `target`, `after` and `files`",
				"contract":              "write the contract as steps with contract.generate",
				"contract_verification": "verify the contract with a step contract.verify",
				"variables":             "write the names under `env`, or under `input` where the caller chooses them",
				"vars":                  "write the names under `env`, or under `input` where the caller chooses them",
			},
		},
		{
			name: "input", what: "an input", doc: "A parameter of the flow.",
			keys: []Key{
				{Name: "type", Type: Name, Enum: []string{"string", "number", "integer", "boolean", "array", "object", "any"}, Default: "any", Doc: "What the value must be; text from the command line is converted to it."},
				{Name: "description", Type: Text, Doc: "What the parameter is for."},
				{Name: "default", Type: Any, Doc: "The value where the caller gives none."},
				{Name: "required", Type: Bool, Doc: "Whether the caller must give it: true where there is no default."},
				{Name: "enum", Type: Any, Doc: "The list of the values that are allowed."},
				{Name: "secret", Type: Bool, Default: "false", Doc: "Whether the value is masked wherever it would be shown."},
			},
		},
		{
			name: "target", what: "target", doc: "Which agent may take the run.",
			keys: []Key{
				{Name: "env", Type: Template, Doc: "The environment that the agent must be pinned to."},
				{Name: "match", Type: Values, Doc: "Labels that the agent must have: a value, or a list of values of which one fits."},
				{Name: "not", Type: Values, Doc: "Labels that the agent must not have."},
			},
			oldKeys: []oldKey{{"agent_tags", Values, "match"}},
		},
		{
			name: "config", what: "config of the flow", doc: "Limits and defaults of the run.",
			keys: []Key{
				{Name: "timeout", Type: Duration, Default: "5m", Doc: "How long the run may take from its start; teardown has its own time."},
				{Name: "teardown_timeout", Type: Duration, Default: "60s", Doc: "How long teardown and clean-up may take together."},
				{Name: "fail_fast", Type: Bool, Default: "true", Doc: "Whether the first failure ends the run; false is on_failure: continue on every step."},
				{Name: "max_concurrent", Type: Int, Min: 1, Max: 1000, Default: "10", Doc: "How many steps run at once."},
				{Name: "retry", Type: Section, Of: "retry", Doc: "The default of every step with a plugin action in `steps`, at any depth."},
				{Name: "on_agent_loss", Type: Name, Enum: []string{"stop", "rerun"}, Default: "stop", Doc: "What happens when the agent is lost after a step with an effect began."},
			},
			oldKeys: []oldKey{
				{"max_duration", Duration, "timeout"},
				{"inherit_tags", Bool, ""},
				{"auto_cleanup", Bool, ""},
				{"cleanup_strategy", Name, ""},
				{"cleanup_on_success", Bool, ""},
				{"cleanup_on_failure", Bool, ""},
				{"database_transaction", Bool, ""},
			},
		},
	}
}
