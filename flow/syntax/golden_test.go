package syntax

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/testmesh/testmesh/flow/source"
)

var update = flag.Bool("update", false, "write what the golden files should hold")

// render shows problems as a person reads them: place, sentence, excerpt with
// carets, hint, and the corrected line.
func render(data []byte, problems source.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s %s: %s\n", p.Pos, p.Severity, p.Code, p.Message)
		for _, line := range source.Excerpt(data, p.Pos, len([]rune(p.Text)), 0) {
			fmt.Fprintf(&b, "  %s\n", line.Text)
			fmt.Fprintf(&b, "  %s%s\n", strings.Repeat(" ", line.Column-1), strings.Repeat("^", line.Width))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "  %s\n", p.Hint)
		}
		for i, fix := range strings.Split(p.Fix, "\n") {
			if p.Fix == "" {
				break
			}
			mark := "+"
			if i > 0 {
				mark = "|"
			}
			fmt.Fprintf(&b, "%s %s\n", mark, fix)
		}
	}
	return b.String()
}

// golden runs a function over the input of every archive of a folder and
// compares what it says with the archive's "want".
func golden(t *testing.T, dir string, run func(t *testing.T, name string, data []byte) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive := archive(t, file)
			if len(archive.Files) != 2 || archive.Files[1].Name != "want" {
				t.Fatalf("%s: want an input and a file named want", file)
			}
			got := run(t, archive.Files[0].Name, archive.Files[0].Data)
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("what is said changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesAreExplained(t *testing.T) {
	golden(t, "mistakes", func(t *testing.T, name string, data []byte) string {
		_, problems := Parse(name, data)
		if len(problems.Errors()) == 0 {
			t.Error("the mistake was accepted")
		}
		for _, p := range problems {
			if p.Pos.Line == 0 || p.Message == "" || p.Hint == "" {
				t.Errorf("place, message and hint are needed: %+v", p)
			}
			checkFix(t, name, data, p)
		}
		return render(data, problems)
	})
}

// checkFix puts the corrected line into the file: the problem must be gone.
func checkFix(t *testing.T, name string, data []byte, p source.Problem) {
	if p.Fix == "" {
		return
	}
	lines := strings.Split(string(data), "\n")
	lines[p.Pos.Line-1] = p.Fix
	_, after := Parse(name, []byte(strings.Join(lines, "\n")))
	for _, q := range after {
		if q.Pos == p.Pos && q.Message == p.Message {
			t.Errorf("the corrected line leaves the problem: %s", q.Error())
		}
	}
}

func archive(t testing.TB, file string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
