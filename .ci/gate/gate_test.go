package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTests(t *testing.T) {
	tests := map[string]struct{ events, want string }{
		"passed tests pass": {
			`{"Action":"run","Package":"p","Test":"TestA"}
			 {"Action":"pass","Package":"p","Test":"TestA"}
			 {"Action":"pass","Package":"p"}`, "",
		},
		"a skipped test fails": {
			`{"Action":"pass","Package":"p","Test":"TestA"}
			 {"Action":"skip","Package":"p","Test":"TestB"}`, "skipped or failed",
		},
		"a failed test fails": {
			`{"Action":"fail","Package":"p","Test":"TestA"}`, "skipped or failed",
		},
		"a package that does not build fails": {
			`{"Action":"pass","Package":"q","Test":"TestA"}
			 {"Action":"fail","Package":"p"}`, "skipped or failed",
		},
		"a package without test files is no skipped test": {
			`{"Action":"skip","Package":"p"}
			 {"Action":"pass","Package":"q","Test":"TestA"}`, "",
		},
		"no test at all fails":     {`{"Action":"pass","Package":"p"}`, "no test ran"},
		"no event at all fails":    {``, "no test ran"},
		"what is no event, errors": {`FAIL`, "decode event"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, checkTests(strings.NewReader(test.events), io.Discard), test.want)
		})
	}
}

func TestCoverage(t *testing.T) {
	const (
		half = "mode: atomic\n" +
			module + "flow/x/a.go:1.1,2.2 3 7\n" +
			module + "flow/x/a.go:3.1,4.2 3 0\n"
		otherHalf = "mode: set\n" +
			module + "flow/x/a.go:3.1,4.2 3 1\n"
		generated = "mode: set\n" +
			module + "proto/v1/a.pb.go:1.1,2.2 1000 0\n"
		gate = "mode: set\n" +
			module + ".ci/gate/main.go:1.1,2.2 1000 0\n"
		untested = "mode: set\n" +
			module + "cli/a.go:1.1,2.2 6 0\n"
	)
	flow := []floor{{"language", []string{"flow"}, 80}}
	tests := map[string]struct {
		profiles []string
		floors   []floor
		want     string
	}{
		"below the floor fails":                  {[]string{half}, flow, "coverage of the language is 50.0 %, below 80 %"},
		"profiles are merged by block":           {[]string{half, otherHalf}, flow, ""},
		"the same profile twice counts once":     {[]string{half, half}, flow, "is 50.0 %"},
		"generated code does not count":          {[]string{half, otherHalf, generated}, []floor{{"whole", nil, 100}}, ""},
		"what checks the product does not count": {[]string{half, otherHalf, gate}, []floor{{"whole", nil, 100}}, ""},
		"a package that no test reaches counts":  {[]string{half, otherHalf, untested}, []floor{{"whole", nil, 80}}, "is 50.0 %"},
		"a tree does not hold its namesakes":     {[]string{untested}, []floor{{"c", []string{"cl"}, 80}}, "of the c is 0.0 %"},
		"nothing measured is below every floor":  {[]string{"mode: set\n"}, flow, "is 0.0 %"},
		"every floor is checked": {
			[]string{half, untested},
			[]floor{{"language", []string{"flow"}, 80}, {"whole", nil, 80}},
			"of the whole is 25.0 %",
		},
		"what is no profile errors": {[]string{"ok\n"}, flow, "not a coverage profile"},
		"a broken line errors":      {[]string{"mode: set\nbroken\n"}, flow, `unexpected line "broken"`},
		"a broken count errors":     {[]string{"mode: set\na.go:1.1,2.2 3 x\n"}, flow, "count of"},
		"a broken block errors":     {[]string{"mode: set\na.go 3\n"}, flow, "unexpected block"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			merged := profile{}
			var err error
			for _, text := range test.profiles {
				if err == nil {
					err = merged.add(strings.NewReader(text))
				}
			}
			if err == nil {
				err = checkCoverage(merged, test.floors, io.Discard)
			}
			wantError(t, err, test.want)
		})
	}
}

func TestRunReadsFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	events := write("events.json", `{"Action":"pass","Package":"p","Test":"TestA"}`)
	full := write("full.cov", "mode: set\n"+module+"flow/a.go:1.1,2.2 3 1\n")
	wantError(t, run([]string{"tests", events}, io.Discard), "")
	wantError(t, run([]string{"coverage", full}, io.Discard), "")
	wantError(t, run([]string{"coverage", filepath.Join(dir, "none.cov")}, io.Discard), "no such file")
	wantError(t, run([]string{"cover", full}, io.Discard), `unknown command "cover"`)
	wantError(t, run([]string{"coverage"}, io.Discard), "usage:")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("got error %q, want one that holds %q", got, want)
	}
}
