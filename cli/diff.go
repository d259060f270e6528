package cli

import (
	"fmt"
	"strings"
)

// diffContext is how many unchanged lines stand around a change.
const diffContext = 3

// maxDiffLines bounds the comparison, whose cost grows with the square of the
// lines; past it a file's change is printed as a whole.
const maxDiffLines = 4000

// unified prints the change of a file as `diff -u` does.
func unified(name string, before, after []byte) string {
	a, b := splitLines(string(before)), splitLines(string(after))
	edits := compare(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", name, name)
	for start := 0; start < len(edits); {
		if edits[start].kind == ' ' {
			start++
			continue
		}
		from := max(0, start-diffContext)
		end, quiet := start, 0
		for end < len(edits) && quiet <= 2*diffContext {
			if edits[end].kind == ' ' {
				quiet++
			} else {
				quiet = 0
			}
			end++
		}
		end -= max(0, quiet-diffContext)
		hunk(&out, edits[from:end])
		start = end
	}
	return out.String()
}

type edit struct {
	kind byte // ' ', '-' or '+'
	text string
	a, b int // lines before it
}

func hunk(out *strings.Builder, edits []edit) {
	countA, countB := 0, 0
	for _, e := range edits {
		if e.kind != '+' {
			countA++
		}
		if e.kind != '-' {
			countB++
		}
	}
	fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n", edits[0].a+1, countA, edits[0].b+1, countB)
	for _, e := range edits {
		fmt.Fprintf(out, "%c%s\n", e.kind, e.text)
	}
}

func splitLines(s string) []string {
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// compare finds a shortest list of edits by longest common subsequence.
func compare(a, b []string) []edit {
	if len(a) > maxDiffLines || len(b) > maxDiffLines {
		return replaced(a, b)
	}
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i], i, j})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, edit{'-', a[i], i, j})
			i++
		default:
			out = append(out, edit{'+', b[j], i, j})
			j++
		}
	}
	return out
}

func replaced(a, b []string) []edit {
	out := make([]edit, 0, len(a)+len(b))
	for i, line := range a {
		out = append(out, edit{'-', line, i, 0})
	}
	for j, line := range b {
		out = append(out, edit{'+', line, len(a), j})
	}
	return out
}
