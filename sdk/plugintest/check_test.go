package plugintest

import (
	"slices"
	"strings"
	"testing"
)

func TestAGoodPluginKeepsEveryPromise(t *testing.T) {
	t.Run("as a process", func(t *testing.T) { Run(t, victimConfig(t, "none")) })
	t.Run("in memory", func(t *testing.T) { Run(t, residentConfig(t, "none")) })
}

// broken are faults of the victim, the case that each must turn red, and what
// the case must say.
var broken = []struct{ fault, id, want string }{
	{"banner", "handshake", `the first line on standard output is "Starting up..."`},
	{"never-shakes-hands", "handshake", "no handshake came on standard output within 10s"},
	{"floods", "handshake", "and not the handshake"},
	{"dies-at-start", "handshake", "its last words: no such library: libkit.so"},
	{"open-door", "handshake", "no certificate"},
	{"open-door", "stranger", "it answered a caller without TLS"},
	{"elsewhere", "stranger", "outside of the folder"},
	{"cheerful-by-hand", "by-hand", "exit code 0"},
	{"hangs-by-hand", "by-hand", "still running after 10s"},
	{"silent-by-hand", "by-hand", "said only"},
	{"handshake-by-hand", "by-hand", "handshake to nobody"},
	{"describes-garbage", "describe-command", "not a descriptor"},
	{"describes-another", "describe-command", "differs from what it says over the wire"},
	{"any-version", "version", "was told 9999"},
	{"latest-version", "version", "agreed to speak protocol 9999"},
	{"one-version-only", "version", "a host that speaks 1 and 9999"},
	{"silent-when-refusing", "version", "without a sentence"},
	{"not-serving", "health-service", "NOT_SERVING"},

	{"no-example", "descriptor", "kit.echo has no example"},
	{"no-summary", "descriptor", "no summary"},
	{"bad-name", "descriptor", `"other.echo" is not named kit.`},
	{"bad-version", "descriptor", `the version "1.2"`},
	{"bad-schema", "descriptor", "config schema"},
	{"conditional-effects", "descriptor", "no effect for the case"},
	{"twice-the-same-action", "descriptor", "is there twice"},
	{"changing-descriptor", "descriptor-stable", "at version"},
	{"configured-descriptor", "descriptor-stable", "after Configure differs"},
	{"no-example", "descriptor-locked", "what was written down"},

	{"no-such-action-is-a-bug", "unknown-action", "blames plugin"},
	{"no-field", "bad-config", `the key ""`},
	{"blames-itself", "bad-config", "blames plugin"},
	{"ignores-unknown-keys", "unknown-key", "it gave the result"},
	{"no-such-function-is-null", "unknown-function", "gave a result"},
	{"crashes-on-garbage", "broken-requests", "the process ended: exit status 1"},
	{"panic-is-fatal", "broken-requests", "the process ended"},
	{"two-results", "broken-requests", "after the end of the call"},

	{"undeclared-key", "result", "the key surprise"},
	{"uninvited-exchange", "result", "nobody wanted"},
	{"unknown-level", "result", `"verbose"`},
	{"result-is-a-list", "result", "not a JSON object"},
	{"two-results", "result", "sent a result after the end"},
	{"no-end", "result", "neither a result nor a fault"},
	{"trims", "text", "blanks"},
	{"loses-surrogates", "surrogates", "half a pair"},
	{"bytes-as-text", "binary", "every byte"},
	{"floats", "numbers", "want 9007199254740993"},
	{"forgets-null", "null", "null in an object"},
	{"shallow", "nesting", "the process ended: exit status 2"},
	{"small-messages", "large", "ResourceExhausted"},
	{"small", "large", "1002 came back"},

	{"deaf", "deadline", "after its timeout"},
	{"quick", "deadline", "ended after"},
	{"cancelled-is-done", "deadline", "in place of a fault"},
	{"deaf", "cancel-call", "after Cancel"},
	{"deaf-to-cancel", "cancel-call", "after Cancel"},
	{"cancelled-is-failed", "cancel-call", "failed"},
	{"deaf", "cancel-cut", "1 calls under way"},
	{"miscounts", "cancel-cut", "a call is under way, but"},
	{"poisoned-by-cancel", "after-cancel", "the next call of the run"},
	{"shared-slot", "concurrent", "want"},
	{"one-at-a-time", "waiting", "beside 50 calls"},
	{"busy-health", "health-load", "did not answer Health"},
	{"not-ready", "health-load", "too much to do"},

	{"one-memory-for-all", "sessions-apart", "read"},
	{"keeps-ended-runs", "session-close", "still reads"},
	{"miscounts", "session-close", "counts 0 sessions"},
	{"keeps-ended-runs", "session-cut", "still reads"},
	{"keeps-cut-sessions", "session-cut", "counts 1 sessions after the end"},
	{"prints-secret", "secrets", "standard error"},
	{"prints-packed-secret", "secrets", "in another form"},
	{"half-a-secret", "secrets", "a log line shows"},
	{"secret-in-fault", "secrets", "the fault shows"},
	{"reads-any-file", "files", "it was read"},
	{"shows-any-file", "files", "a log line shows"},
	{"file-faults-are-bugs", "files", "blames plugin"},

	{"counts", "observe", "differs from the first"},
	{"undeclared-effect", "observe", "does not declare this effect"},
	{"appends", "idempotent", "differs from the first"},
	{"random-function", "functions", "want"},
	{"careless-function", "function-arguments", `gave ""`},
	{"panicking-function", "function-arguments", "blames plugin"},

	{"leaks-memory", "leak", "KiB of memory"},
	{"leaks-files", "leak", "files open"},
	{"prints", "stdout", "handling echo"},
	{"exits-on-interrupt", "sigint", "ended on SIGINT"},
	{"ignores-sigterm", "sigterm", "still running"},
	{"outlives-its-host", "host-death", "still there"},
	{"exit-code", "exit", "exit status 7"},
	{"leaves-a-child", "exit", "left processes behind"},
}

// needsProcess says whether a fault shows only in a process of its own. The rest
// is tried in memory, which saves a start each.
func needsProcess(fault, id string) bool {
	faults := []string{
		"crashes-on-garbage", "panic-is-fatal", "shallow", "two-results", "no-end", "small-messages", "deaf-to-cancel",
		"miscounts", "keeps-cut-sessions", "prints-secret", "prints-packed-secret",
	}
	return slices.Contains(faults, fault) || slices.ContainsFunc(Cases(), func(c Case) bool { return c.ID == id && c.Process })
}

func TestABrokenPluginFailsTheCaseOfItsFault(t *testing.T) {
	for _, test := range broken {
		t.Run(test.fault+" at "+test.id, func(t *testing.T) {
			t.Parallel()
			c := residentConfig(t, test.fault, test.id)
			if needsProcess(test.fault, test.id) {
				c = victimConfig(t, test.fault, test.id)
			}
			all, err := Check(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 1 || all[0].Status != Failed {
				t.Fatalf("got %+v, want one failed case", all)
			}
			if !strings.Contains(all[0].Message, test.want) {
				t.Errorf("got %q, want it to say %q", all[0].Message, test.want)
			}
		})
	}
}

func TestEveryCaseHasAPluginThatFailsIt(t *testing.T) {
	for _, one := range cases() {
		if !slices.ContainsFunc(broken, func(b struct{ fault, id, want string }) bool { return b.id == one.id }) {
			t.Errorf("nothing shows that the case %s can fail", one.id)
		}
	}
}

func TestWhatTheProtocolCannotCarryIsRefused(t *testing.T) {
	const limit = 1000
	for fault, want := range map[string]Status{"refuses-long": Passed, "none": Failed, "small": Failed} {
		c := residentConfig(t, fault, "large", "text", "concurrent")
		c.Conformance.Echo.Limit = limit
		for id, o := range outcomes(t, c) {
			if id == "large" && o.Status != want {
				t.Errorf("%s: got %+v, want %s", fault, o, want)
			}
			if id != "large" && o.Status != Passed {
				t.Errorf("%s: got %+v, want it passed", fault, o)
			}
		}
	}
}
