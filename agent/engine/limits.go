package engine

import "time"

const (
	// pluginGrace is how long a plugin may ignore its cancelled context before
	// the engine goes on without it: the two seconds of its contract and one for
	// a busy machine.
	pluginGrace = 3 * time.Second
	// maxResultBytes is the largest result inside an event (FLOW.md); a larger
	// one becomes an artifact.
	maxResultBytes = 64 << 10
	// previewBytes of such a result stay in the event.
	previewBytes = 1 << 10
	// maxTryExchanges and maxTryBytes bound what one try reports before its
	// secrets are known; what is over is dropped and said.
	maxTryExchanges = 1000
	maxTryBytes     = 64 << 20
	// maxTryLogs bounds the log lines of one try, maxLogBytes each of them.
	maxTryLogs  = 10_000
	maxLogBytes = 64 << 10
	// maxTryCovered bounds the items that one try says it touched, and all there
	// are: the sdk's bound for both, some megabytes at most.
	maxTryCovered = 100_000
	// maxValues bounds the names listed with a failure, maxUsedBytes each value.
	maxValues    = 20
	maxUsedBytes = 1 << 10
	// maxCallDepth bounds run_flow inside run_flow where names are computed; the
	// compiler refuses circles that it can see.
	maxCallDepth = 10
	// maxTracked bounds the resources of a run.
	maxTracked = 10_000
	// maxFileBytes bounds input_file of transform and run_flow.
	maxFileBytes = 16 << 20
	// maxEnvDepth bounds env values that read each other.
	maxEnvDepth = 100
)
