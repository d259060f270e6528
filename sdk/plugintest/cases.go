package plugintest

import "slices"

// cases are all promises in the order they are tried. Those that end or upset
// the plugin are last.
func cases() []testCase {
	return slices.Concat(startCases(), descriptorCases(), definitionCases(), dataCases(), timeCases(),
		sessionCases(), effectCases(), endCases())
}
