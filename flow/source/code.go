package source

// Code names a kind of problem or error for good: it is printed, stands in
// events and reports, and `testmesh explain CODE` has a page for each.
type Code string

// Codes of definitions: nothing ran.
const (
	CodeYAML    Code = "E-YAML"    // not YAML, not UTF-8, binary, duplicate key, alias bomb
	CodeKey     Code = "E-KEY"     // unknown or missing key
	CodeType    Code = "E-TYPE"    // a value of the wrong type or range
	CodeAction  Code = "E-ACTION"  // unknown action
	CodePlugin  Code = "E-PLUGIN"  // plugin not installed, or it crashed
	CodeName    Code = "E-NAME"    // unknown variable, step, function or operator
	CodeExpr    Code = "E-EXPR"    // an expression, placeholder, path or regular expression that does not parse
	CodeMatch   Code = "E-MATCH"   // a bad match pattern or marker
	CodeID      Code = "E-ID"      // duplicate or malformed id
	CodeCycle   Code = "E-CYCLE"   // a circle of needs, after, env or sub-flows
	CodeFile    Code = "E-FILE"    // a missing, unreadable or outside file
	CodeLimit   Code = "E-LIMIT"   // over a limit of size, depth or number
	CodeSchema  Code = "E-SCHEMA"  // a JSON Schema that is itself wrong
	CodeInput   Code = "E-INPUT"   // a missing or wrong input, row or variable
	CodeSecret  Code = "E-SECRET"  // an unknown or too short secret
	CodeDialect Code = "E-DIALECT" // a documented key of another dialect that TestMesh does not have
	CodeUsage   Code = "E-USAGE"   // the command line
)

// Codes of a run.
const (
	CodeAssert    Code = "E-ASSERT"    // an assertion, expectation or match did not hold (failed)
	CodePath      Code = "E-PATH"      // a path missing in an answer (failed)
	CodeValue     Code = "E-VALUE"     // an operator or function got a value of the wrong kind
	CodeWait      Code = "E-WAIT"      // a wait ended without the thing waited for (failed)
	CodeFail      Code = "E-FAIL"      // the action fail
	CodeTimeout   Code = "E-TIMEOUT"   // a time limit of a step was reached
	CodeRunLimit  Code = "E-RUNTIME"   // the run's own time limit was reached
	CodeConn      Code = "E-CONN"      // no connection: refused, reset, unreachable
	CodeDNS       Code = "E-DNS"       // the name does not resolve
	CodeEgress    Code = "E-EGRESS"    // the agent's own rules do not let anything to that host
	CodeTLS       Code = "E-TLS"       // the TLS handshake or certificate failed
	CodeProtocol  Code = "E-PROTOCOL"  // the answer is not what the protocol allows
	CodeReply     Code = "E-REPLY"     // the system answered with an error of its own: SQLSTATE 23505
	CodeBody      Code = "E-BODY"      // a body over its limit, cut short or not decodable
	CodeAuth      Code = "E-AUTH"      // a token or signature could not be obtained
	CodeConfig    Code = "E-CONFIG"    // a config value that turned out wrong when expanded
	CodeCancelled Code = "E-CANCELLED" // cancelled by a person or a deadline
	CodeOrphan    Code = "E-ORPHAN"    // a tracked resource could not be removed
	CodeInternal  Code = "E-INTERNAL"  // a bug of TestMesh
)
