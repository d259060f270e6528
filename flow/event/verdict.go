package event

// The verdicts on a batch, as reports say them.
const (
	VerdictPass    = "PASS"
	VerdictFail    = "FAIL"    // a run failed
	VerdictError   = "ERROR"   // none failed, and one could not be judged
	VerdictStopped = "STOPPED" // it was cut short, by a person or its deadline
	VerdictNothing = "NOTHING" // nothing passed: there was nothing, or it was skipped
)

// Verdict of a batch with so many runs by status that ends with the exit code. It is
// PASS only where something passed, nothing else happened and the exit code agrees.
func (c Counts) Verdict(exitCode int) string {
	switch {
	case c[Failed] > 0:
		return VerdictFail
	case c[Errored] > 0:
		return VerdictError
	case exitCode >= 128 || exitCode == 5 || c[Cancelled] > 0:
		return VerdictStopped
	case c[Passed] == 0:
		return VerdictNothing
	case exitCode != 0:
		return VerdictError
	}
	return VerdictPass
}
