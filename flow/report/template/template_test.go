package template

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/source"
)

func TestMistakesAreFoundBeforeAnythingRuns(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no YAML":                          {"report: [", "1:10 E-YAML"},
		"nothing at all":                   {"", "1:1 E-YAML a report template is one YAML document, not 0"},
		"two documents":                    {"report: {escape: none, header: a}\n---\nreport: {}\n", "1:1 E-YAML a report template is one YAML document, not 2"},
		"a list":                           {"- a\n", "1:1 E-TYPE a report template is a map, not a list"},
		"another root":                     {"reports:\n  escape: none\n", `1:1 E-KEY unknown key "reports" in a report template (did you mean "report"?)`},
		"a report that is a text":          {"report: hello\n", "1:9 E-TYPE report is a map, not a string"},
		"an unknown key":                   {"report:\n  escape: none\n  haeder: a\n  footer: b\n", `3:3 E-KEY unknown key "haeder" in report (did you mean "header"?)`},
		"an unknown key of a section":      {"report:\n  escape: none\n  run: {text: a, wen: true}\n", `3:18 E-KEY unknown key "wen" in run (did you mean "when"?)`},
		"a limit where there is one":       {"report:\n  escape: none\n  header: {text: a, limit: 2}\n", `3:21 E-KEY unknown key "limit" in header (its keys are text, when)`},
		"no section":                       {"report:\n  escape: none\n", "2:3 E-KEY the report has no section, so it would be empty"},
		"no format":                        {"report:\n  header: a\n", "2:3 E-KEY the report needs the key escape (escape says what the text is: none, html, xml, markdown, json, csv)"},
		"an unknown format":                {"report:\n  escape: htlm\n  header: a\n", `2:11 E-TYPE escape "htlm" is not known (did you mean "html"?)`},
		"a format that is a placeholder":   {"report:\n  escape: ${x}\n  header: a\n", "2:11 E-EXPR escape has no placeholders"},
		"a section that is a list":         {"report:\n  escape: none\n  run: [a]\n", "3:8 E-TYPE the section run is a text, not a list"},
		"a section that is a number":       {"report:\n  escape: none\n  run: 5\n", "3:8 E-TYPE the section run is a text, not a number"},
		"a section without text":           {"report:\n  escape: none\n  run: {when: true}\n", "3:8 E-KEY the section run needs the key text"},
		"a limit that is none":             {"report:\n  escape: none\n  run: {text: a, limit: 0}\n", "3:25 E-TYPE limit is a number from 1 to 1000000"},
		"a placeholder that is not closed": {"report:\n  escape: none\n  header: a ${batch.id\n", "3:13 E-EXPR the placeholder is not closed"},
		"an expression of two operators":   {"report:\n  escape: none\n  run: {text: a, when: run.row > > 2}\n", "E-EXPR"},
		"an unknown function":              {"report:\n  escape: none\n  header: ${uper(batch.id)}\n", "3:13 E-NAME"},
		"an unknown name":                  {"report:\n  escape: none\n  header: ${bach.id}\n", `3:13 E-NAME the section header has no bach (did you mean "batch"?)`},
		"an unknown field":                 {"report:\n  escape: none\n  run: ${run.name} ${run.stauts}\n", `3:22 E-NAME the section run has no run.stauts (did you mean "status"?)`},
		"a field of a field of none":       {"report:\n  escape: none\n  run: ${run.status.code}\n", "3:10 E-NAME run.status has nothing in it (read run.status itself)"},
		"a deeper field":                   {"report:\n  escape: none\n  run: ${run.steps.pased}\n", `3:10 E-NAME the section run has no run.steps.pased (did you mean "passed"?)`},
		"a name of another section":        {"report:\n  escape: none\n  run: ${failure.code}\n", "3:10 E-NAME the section run has no failure (failure is known in the section failure)"},
		"what is known later":              {"report:\n  escape: none\n  run: ${batch.failed}\n", "3:10 E-NAME batch.failed is not known yet in the section run (known in the sections header and footer, when all runs have ended)"},
		"a built-in name":                  {"report:\n  escape: none\n  run: ${UUID}\n", "3:10 E-NAME the section run has no UUID"},
		"a when that is a text":            {"report:\n  escape: none\n  run: {text: a, when: '\"yes\"'}\n", "3:24 E-TYPE when is true or false, not a string"},
		"a when that is a number":          {"report:\n  escape: none\n  run: {text: a, when: 3}\n", "3:24 E-TYPE when is true or false, not a number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tpl, problems := Parse("x.report.yaml", []byte(test.text))
			if tpl != nil || len(problems) == 0 {
				t.Fatalf("it is taken for a template: %v", problems)
			}
			p := problems[0]
			got := fmt.Sprintf("%d:%d %s %s", p.Pos.Line, p.Pos.Column, p.Code, p.Message)
			if p.Hint != "" {
				got += " (" + p.Hint + ")"
			}
			if !strings.Contains(got, test.want) || p.Pos.File != "x.report.yaml" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAllMistakesAreSaidAtOnce(t *testing.T) {
	_, problems := Parse("x.report.yaml", []byte("report:\n  escape: htlm\n  foo: 1\n  run: ${a} ${b}\n  footer: ${batch.}\n"))
	if len(problems) != 5 {
		t.Errorf("got %d problems, want 5: %v", len(problems), []source.Problem(problems))
	}
}

func TestEscapesKeepDataFromBeingMarkup(t *testing.T) {
	const hostile = "<b>&\"'\\\n`*_[x](y)|~$@"
	tests := []struct{ format, in, want string }{
		{"none", hostile, hostile},
		{"html", hostile, "&lt;b&gt;&amp;&#34;&#39;\\\n`*_[x](y)|~$@"},
		{"xml", hostile, "&lt;b&gt;&amp;&#34;&#39;\\\n`*_[x](y)|~$@"},
		{"markdown", hostile, "&lt;b&gt;&amp;&#34;&#39;&#92;&#10;&#96;&#42;&#95;&#91;x&#93;(y)&#124;&#126;&#36;&#64;"},
		{"markdown", "# a", "&#35; a"},
		{"markdown", "- a - b", "&#45; a - b"},
		{"markdown", "12. a", "12&#46; a"},
		{"markdown", "1) a", "1&#41; a"},
		{"markdown", "12 # a", "12 # a"},
		{"markdown", "12.", "12&#46;"},
		{"markdown", "1.\na", "1&#46;&#10;a"},
		{"markdown", "0.8", "0.8"},
		{"markdown", "", ""},
		{"markdown", "    code", "&#32;   code"},
		{"markdown", "=== a", "&#61;== a"},
		{"json", hostile, "<b>&\\\"'\\\\\\n`*_[x](y)|~$@"},
		{"csv", "a,b", `"a,b"`},
		{"csv", `say "hi"`, `"say ""hi"""`},
		{"csv", "a\nb", "\"a\nb\""},
		{"csv", "=1+1", "'=1+1"},
		{"csv", "-5", "-5"},
		{"csv", "-5+cmd", "'-5+cmd"},
		{"csv", "plain", "plain"},
	}
	for _, test := range tests {
		for _, f := range escapes {
			if got := f.escape(test.in); f.name == test.format && got != test.want {
				t.Errorf("%s of %q:\n got %q\nwant %q", test.format, test.in, got, test.want)
			}
		}
	}
	if diff := cmp.Diff([]string{"none", "html", "xml", "markdown", "json", "csv"}, formats()); diff != "" {
		t.Error(diff)
	}
}

// TestTheDocumentNamesEveryField keeps the page from falling behind.
func TestTheDocumentNamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "## Templates")
	for _, name := range append(sections[:], formats()...) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("no word about %s", name)
		}
	}
	var named func(fields []field)
	named = func(fields []field) {
		for _, f := range fields {
			if !strings.Contains(text, "`"+f.name+"`") {
				t.Errorf("no word about the field %s", f.name)
			}
			named(f.below)
		}
	}
	for _, section := range sections {
		named(roots(section))
	}
}
