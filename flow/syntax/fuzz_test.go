package syntax

import (
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// seeds adds the examples and the inputs of all golden files.
func seeds(f *testing.F) {
	for _, data := range examples(f) {
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) < 30 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		f.Add(archive(f, file).Files[0].Data)
	}
	f.Add([]byte(everything))
}

// FuzzParse wants from any bytes: no panic, an end, and either a flow or a
// problem, each with a sentence and a place in the file.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, problems := Parse("f", data)
		if len(file.Flows) == 0 && len(problems.Errors()) == 0 {
			t.Fatalf("%q: neither a flow nor a problem", data)
		}
		for _, p := range problems {
			if p.Message == "" || p.Pos.Line < 1 && len(data) < 1<<20 || utf8.Valid(data) && !utf8.ValidString(p.Text+p.Message+p.Hint+p.Fix) {
				t.Fatalf("%q: %+v", data, p)
			}
		}
		ids := map[string]bool{}
		for _, flow := range file.Flows {
			clear(ids)
			walk(flow, func(s *Step) {
				if s.ID.Value == "" || ids[s.ID.Value] {
					if len(problems.Errors()) == 0 {
						t.Fatalf("%q: the id %q", data, s.ID.Value)
					}
				}
				ids[s.ID.Value] = true
			})
		}
		IsFlowFile("f.yaml", data)
	})
}

// walk visits every step of a flow.
func walk(f *Flow, visit func(*Step)) {
	var steps func(list []*Step)
	steps = func(list []*Step) {
		for _, s := range list {
			visit(s)
			steps(s.ErrorSteps)
			steps(s.OnTimeout)
			for _, t := range s.Track {
				steps([]*Step{t.Cleanup})
			}
			if s.Nested != nil {
				steps(s.Nested.Then)
				steps(s.Nested.Else)
				steps(s.Nested.Steps)
				for _, b := range s.Nested.Branches {
					steps(b.Steps)
				}
			}
		}
	}
	for _, list := range [][]*Step{f.Setup, f.Steps, f.OnError, f.Teardown} {
		steps(list)
	}
}

// FuzzFormat holds Format to its promises on any flow: the same flow, the same
// comments, and nothing to do the second time.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // passes over a large file take their time
		}
		out := checkFormat(t, "f", data, false)
		if out != nil {
			checkFormat(t, "f", out, true)
		}
	})
}
