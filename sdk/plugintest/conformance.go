package plugintest

import "encoding/json"

// Conformance is the section of that name in a plugin's manifest: how the kit
// can exercise the plugin. A case that lacks what it needs is skipped with the
// sentence that says what to add here.
//
// A text in a config may hold placeholders. One that is the whole text is
// replaced by the value of its kind (a port is a number), one inside a longer
// text by the value as text:
//
//	${payload}        what the case sends
//	${secret}         a secret that must not show
//	${file}           the path of a file, relative to the flow
//	${server}         the first line that the server below prints
//	${tcp_echo}       host:port of a server that gives back every byte
//	${tcp_silent}     host:port of a server that reads and never answers
//	${http_echo}      http://host:port that answers with the body it was sent
//	${tcp_echo_port}, ${tcp_silent_port}, ${http_echo_port}: the port alone
//
// and whatever Config.Vars names.
type Conformance struct {
	// Server is a program to start before the first case and to end after the
	// last. The first line it prints is ${server}.
	Server []string `json:"server,omitempty"`

	// Echo is a step that brings ${payload}, a text, back in its result.
	Echo *Echo `json:"echo,omitempty"`
	// JSON is the same for any JSON value.
	JSON *Echo `json:"json,omitempty"`
	// Binary is the same for bytes, which a config holds as base64.
	Binary *Echo `json:"binary,omitempty"`
	// Slow is a step that takes at least ten seconds unless it is cancelled.
	Slow *Call `json:"slow,omitempty"`
	// Bad is a step with one wrong value, and the key that the fault must name.
	Bad *Bad `json:"bad,omitempty"`
	// Observe is a step whose effect is observe: done twice, its results are equal.
	Observe *Repeat `json:"observe,omitempty"`
	// Idempotent is a step whose effect is idempotent: done twice is done once.
	Idempotent *Repeat `json:"idempotent,omitempty"`
	// Functions are calls of functions with what they must give.
	Functions []FunctionCall `json:"functions,omitempty"`
	// Secret is a step whose config holds ${secret}. It may fail.
	Secret *Call `json:"secret,omitempty"`
	// Session is a pair of steps that show what a plugin keeps for one run.
	Session *SessionPair `json:"session,omitempty"`
	// File is a step that reads ${file}.
	File *Call `json:"file,omitempty"`
	// Panic is a step that makes the plugin panic; only a test of a plugin's
	// framework has one.
	Panic *Call `json:"panic,omitempty"`
	// Without names cases that cannot be tried with this plugin, by id, each with
	// the reason. It holds only where the case lacks something; a case that can be
	// tried is tried.
	Without map[string]string `json:"without,omitempty"`
}

// Call is one step: an action and its config.
type Call struct {
	// Action is the full name: "tcp.exchange".
	Action string `json:"action"`
	// Config is the config as a JSON object with placeholders.
	Config json.RawMessage `json:"config"`
}

// Echo is a step whose result holds what its config sent.
type Echo struct {
	Call
	// Result is where in the result: keys and indexes with dots, "reply.body.0".
	Result string `json:"result"`
	// Limit is how many bytes of payload the protocol can carry at most; 0: ten
	// mebibytes and more.
	Limit int `json:"limit,omitempty"`
}

// Bad is a step that the plugin refuses.
type Bad struct {
	Call
	// Field is the key that the fault names, with dots.
	Field string `json:"field"`
}

// Repeat is a step that is done twice.
type Repeat struct {
	Call
	// Ignore are the paths of the result that may differ: times, ids.
	Ignore []string `json:"ignore,omitempty"`
	// Check is a step that reads what the first one changed; its results after
	// the first and the second time are compared in place of the step's own.
	Check *Call `json:"check,omitempty"`
}

// FunctionCall is a call of a function and what comes of it.
type FunctionCall struct {
	// Name is the name without the plugin: "valid".
	Name string `json:"name"`
	// Args are the arguments as a JSON array.
	Args json.RawMessage `json:"args"`
	// Result is what it must give, any JSON value.
	Result json.RawMessage `json:"result"`
	// BadArgs are arguments that it must refuse; without them it is called with
	// none, where it has parameters.
	BadArgs json.RawMessage `json:"bad_args,omitempty"`
}

// SessionPair shows what a plugin keeps from one step of a run to the next.
type SessionPair struct {
	// Write keeps ${payload} for the run: a cookie, a token, a subscription.
	Write Call `json:"write"`
	// Read brings it back, in the same run only.
	Read Echo `json:"read"`
}
