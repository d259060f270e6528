package syntax

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkFormat formats a file and holds it to what Format promises.
func checkFormat(t *testing.T, name string, data []byte, ids bool) []byte {
	t.Helper()
	before, problems := Parse(name, data)
	out, notes := Format(name, data, ids, nil)
	if len(problems.Errors()) > 0 {
		if out != nil || len(notes.Errors()) == 0 {
			t.Fatalf("a file with errors was formatted: %v", problems)
		}
		return nil
	}
	if out == nil {
		t.Fatalf("a valid file was not formatted: %v\n%s", notes, data)
	}
	after, problems := Parse(name, out)
	if len(problems.Errors()) > 0 {
		t.Fatalf("the result is not valid: %v\n%s", problems, out)
	}
	if !same(reflect.ValueOf(before.Flows), reflect.ValueOf(after.Flows), "") {
		t.Fatalf("the flow means something else: %s\n%s\n---\n%s", cmp.Diff(ast(before), ast(after)), data, out)
	}
	again, _ := Format(name, out, ids, nil)
	if diff := cmp.Diff(string(out), string(again)); diff != "" {
		t.Fatalf("formatting twice changes more:\n%s\nof\n%s", diff, data)
	}
	for _, comment := range comments(data) {
		if !bytes.Contains(out, []byte(comment)) {
			t.Errorf("the comment %q is gone", comment)
		}
	}
	return out
}

// ast is what a difference of trees is shown by.
func ast(f *File) []string {
	var out []string
	for _, flow := range f.Flows {
		for _, s := range flow.Steps {
			out = append(out, s.ID.Value+" "+s.Action.Value)
		}
	}
	return out
}

// comments are those on lines of their own.
func comments(data []byte) []string {
	var out []string
	block := -1
	for line := range strings.Lines(string(data)) {
		body := strings.TrimSpace(line)
		if block >= 0 && body != "" && indentOf(line) <= block {
			block = -1
		}
		if block < 0 && strings.HasPrefix(body, "# ") {
			out = append(out, body)
		}
		if strings.HasSuffix(body, "|") || strings.HasSuffix(body, ">-") {
			block = indentOf(line)
		}
	}
	return out
}

func TestFormatRewritesDialects(t *testing.T) {
	golden(t, "format", func(t *testing.T, name string, data []byte) string {
		out := string(checkFormat(t, name, data, false))
		_, notes := Format(name, data, false, nil)
		for _, n := range notes {
			out += "# " + n.Error() + "\n"
		}
		return out
	})
}

func TestFormatWritesIDs(t *testing.T) {
	in := "flow:\n  name: f\n  steps:\n    - action: log   # one\n      config: {message: hi}\n    - {action: log, config: {message: hi}}\n    - # two\n      action: log\n      config: {message: hi}\n    - id: x\n      action: fail\n"
	want := "flow:\n  name: f\n  steps:\n    - id: log_1\n      action: log   # one\n      config: {message: hi}\n    - {id: log_2, action: log, config: {message: hi}}\n    - # two\n      id: log_3\n      action: log\n      config: {message: hi}\n    - id: x\n      action: fail\n"
	if diff := cmp.Diff(want, string(checkFormat(t, "f", []byte(in), true))); diff != "" {
		t.Error(diff)
	}
}

func TestFormatKeepsLineBreaks(t *testing.T) {
	out, _ := Format("f", []byte("\ufeffname: f\r\nsteps:\r\n- action: log\r\n  config: {message: hi}\r\n"), false, nil)
	if want := "flow:\r\n  name: f\r\n  steps:\r\n    - action: log\r\n      config: {message: hi}\r\n"; string(out) != want {
		t.Errorf("got %q", out)
	}
}

func TestFormatRefusesErrors(t *testing.T) {
	out, problems := Format("f", []byte("flow:\n  nam: x\n"), false, nil)
	if out != nil || len(problems.Errors()) == 0 {
		t.Errorf("got %q, %v", out, problems)
	}
}

// examples are the flow files of the repository.
func examples(t testing.TB) map[string][]byte {
	out := map[string][]byte{}
	for _, pattern := range []string{"../../examples/flows/*.yaml", "../../examples/failing/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out[file] = data
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d examples were found", len(out))
	}
	return out
}

func TestFormatKeepsEveryExample(t *testing.T) {
	for name, data := range examples(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			checkFormat(t, name, data, false)
			checkFormat(t, name, data, true)
		})
	}
}
