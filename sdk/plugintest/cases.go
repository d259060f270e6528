package plugintest

import "slices"

// Case is what a person reads about a case.
type Case struct {
	ID, Title, Why, Fix string
	// Process says that only a plugin in a process of its own is tried.
	Process bool
}

// Cases are all cases in the order they are tried.
func Cases() []Case {
	var all []Case
	for _, c := range cases() {
		all = append(all, Case{ID: c.id, Title: c.title, Why: c.why, Fix: c.fix, Process: c.process})
	}
	return all
}

// cases are all promises in the order they are tried. Those that end or upset
// the plugin are last.
func cases() []testCase {
	return slices.Concat(startCases(), descriptorCases(), definitionCases(), dataCases(), timeCases(),
		sessionCases(), effectCases(), endCases())
}
