package plugintest

import "encoding/json"

// exercise is the conformance section of the victim's manifest.
func exercise() Conformance {
	call := func(action, config string) Call {
		return Call{Action: "kit." + action, Config: json.RawMessage(config)}
	}
	echo := Echo{Call: call("echo", `{"value": "${payload}"}`), Result: "value"}
	wait, login, file, boom := call("wait", `{}`), call("login", `{"password": "${secret}"}`), call("read", `{"file": "${file}"}`), call("panic", `{}`)
	check := call("get", `{}`)
	return Conformance{
		Echo: &echo, JSON: &echo,
		Binary:     &Echo{Call: call("bytes", `{"value": "${payload}"}`), Result: "value"},
		Slow:       &wait,
		Bad:        &Bad{Call: call("echo", `{"count": "many"}`), Field: "count"},
		Observe:    &Repeat{Call: echo.Call},
		Idempotent: &Repeat{Call: call("put", `{"value": "x"}`), Check: &check},
		Functions:  []FunctionCall{{Name: "double", Args: json.RawMessage(`["ab"]`), Result: json.RawMessage(`"abab"`)}},
		Secret:     &login,
		Session:    &SessionPair{Write: call("remember", `{"value": "${payload}"}`), Read: Echo{Call: call("recall", `{}`), Result: "value"}},
		File:       &file,
		Panic:      &boom,
	}
}
