package template

import (
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// field is a name that placeholders may read.
type field struct {
	name   string
	below  []field
	open   bool // what is below it is not known before a run
	atEnd  bool // known only when the batch has ended: in header and footer
	nested bool // below holds all that there is
}

func leaf(names ...string) []field {
	out := make([]field, len(names))
	for i, n := range names {
		out[i].name = n
	}
	return out
}

func atEnd(names ...string) []field {
	out := leaf(names...)
	for i := range out {
		out[i].atEnd = true
	}
	return out
}

func open(names ...string) []field {
	out := leaf(names...)
	for i := range out {
		out[i].open = true
	}
	return out
}

func group(name string, below ...[]field) field {
	return field{name: name, below: slices.Concat(below...), nested: true}
}

// statuses are the numbers that a group of them has.
func statuses() []field { return leaf("total", "passed", "failed", "errored", "skipped", "cancelled") }

// roots are the names that a section reads; those of the batch, of the run in it
// and of the step in that.
func roots(section string) []field {
	batch := group("batch", leaf("id", "started", "seed", "planned"), open("files", "notes"),
		atEnd("status", "exit_code", "reason", "finished", "duration_ms", "total", "passed", "failed", "errored", "skipped", "cancelled", "flaky"))
	run := group("run", leaf("number", "id", "name", "flow", "file", "line", "suite", "environment", "agent", "row", "row_name", "iteration", "seed",
		"status", "reason", "why", "code", "started", "finished", "duration_ms", "flaky", "failures"),
		open("tags", "left_behind", "outputs"), []field{group("steps", statuses()), group("assertions", leaf("total", "passed", "failed", "errored"))})
	step := group("step", leaf("number", "id", "name", "path", "action", "phase", "file", "line", "status", "reason", "message", "code",
		"tries", "duration_ms", "ignored"), open("result", "outputs"), []field{group("assertions", leaf("total", "passed", "failed", "errored"))})
	failure := group("failure", leaf("number", "id", "name", "path", "action", "phase", "file", "line", "column", "status", "code", "message",
		"explanation", "hint", "blame", "request", "curl", "expected", "actual", "skipped_after"))
	switch section {
	case sectionHeader, sectionFooter:
		return []field{batch, group("left_out", leaf(sectionRun, sectionStep, sectionFailure))}
	case sectionStep:
		return []field{batch, run, step}
	case sectionFailure:
		return []field{batch, run, failure}
	}
	return []field{batch, run}
}

// known checks the names that an expression reads against the fields of its
// section, before anything runs.
func known(section string, refs []expr.Ref) source.Problems {
	var out source.Problems
	for _, ref := range refs {
		if ref.Called {
			continue // the compiler knows the functions
		}
		if p := unknown(section, ref); p != nil {
			out = append(out, *p)
		}
	}
	return out
}

func unknown(section string, ref expr.Ref) *source.Problem {
	fields := roots(section)
	path := append([]string{ref.Name}, ref.Path...)
	for i, name := range path {
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		read := strings.Join(path[:i+1], ".")
		if at < 0 {
			return noField(section, ref, read, name, fields)
		}
		f := fields[at]
		switch {
		case f.atEnd && section != sectionHeader && section != sectionFooter:
			return problem(ref, read, "known in the sections header and footer, when all runs have ended",
				"%s is not known yet in the section %s", read, section)
		case f.open:
			return nil
		case !f.nested && i+1 < len(path):
			return problem(ref, strings.Join(path, "."), "read "+read+" itself", "%s has nothing in it", read)
		}
		fields = f.below
	}
	return nil
}

// noField says what could have been read instead.
func noField(section string, ref expr.Ref, read, name string, fields []field) *source.Problem {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	hint := source.Suggest(name, names)
	if hint == "" {
		for _, other := range sections {
			if section != other && slices.ContainsFunc(roots(other), func(f field) bool { return f.name == read }) {
				hint = read + " is known in the section " + other
				break
			}
		}
	}
	p := problem(ref, read, hint, "the section %s has no %s", section, read)
	p.InScope = names
	return p
}
