package process

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLastWordsSayWhy(t *testing.T) {
	many := func(text string, n int) string { return strings.Repeat(text+"\n", n) }
	tests := map[string]struct {
		printed       string
		first, reason string
		lines         int
	}{
		"nothing":              {"", "", "", 0},
		"empty lines":          {"\n\n\n", "", "", 0},
		"one line":             {"cannot listen\n", "cannot listen", "cannot listen", 1},
		"no end of line":       {"a\ncannot listen", "a", "cannot listen", 2},
		"the last of many":     {many("noise", 50) + "cannot listen\n", "noise", "cannot listen", 20},
		"a panic and stacks":   {many("noise", 50) + "panic: a bug\n\n" + many("goroutine 1 [running]:", 60), "panic: a bug", "panic: a bug", 20},
		"two panics":           {"panic: first\nx\npanic: second\ny\n", "panic: second", "panic: second", 2},
		"a signal, registers":  {"x\nSIGABRT: abort\nPC=0x7f m=3 sigcode=0\n" + many("gs     0x0", 30), "SIGABRT: abort", "SIGABRT: abort", 20},
		"out of memory":        {"fatal error: runtime: out of memory\n\nruntime stack:\n", "fatal error: runtime: out of memory", "fatal error: runtime: out of memory", 3},
		"Node":                 {"/plugin.js:3\n  throw new TypeError('x')\n\nTypeError: x is not a function\n    at f (/plugin.js:3)\n\nNode.js v22\n", "/plugin.js:3", "TypeError: x is not a function", 7},
		"Windows' ends":        {"a\r\nb\r\n", "a", "b", 2},
		"bytes that are none":  {"a\xff\n", "a\uFFFD", "a\uFFFD", 1},
		"one line without end": {strings.Repeat("x", 3*maxLine), strings.Repeat("x", maxLine), strings.Repeat("x", maxLine), 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWords("p", nil)
			if err := copyLines(w, strings.NewReader(test.printed)); err != nil {
				t.Fatal(err)
			}
			got := w.last()
			first := ""
			if len(got) > 0 {
				first = got[0]
			}
			if len(got) != test.lines || first != test.first || reason(got) != test.reason {
				t.Errorf("got %d lines from %q, because of %q", len(got), first, reason(got))
			}
		})
	}
}

func TestWordsAreBounded(t *testing.T) {
	w := newWords("p", nil)
	for i := range 100000 {
		w.add(fmt.Sprint("line ", i))
	}
	if w.size > maxWords || len(w.lines) > maxWords {
		t.Errorf("%d bytes in %d lines are kept", w.size, len(w.lines))
	}
	if got := w.last(); got[len(got)-1] != "line 99999" {
		t.Errorf("the last is %q", got[len(got)-1])
	}
}

func TestPiecesOfALineAreOneLine(t *testing.T) {
	var got []string
	w := newWords("p", func(_, line string) { got = append(got, line) })
	s := &splitter{to: w}
	for _, piece := range []string{"a", "b\nc", "d\n", "\n", "e"} {
		_, _ = s.Write([]byte(piece))
	}
	s.end()
	if diff := cmp.Diff([]string{"ab", "cd", "", "e"}, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	_, _ = s.Write([]byte(strings.Repeat("é", maxLine)))
	s.end()
	if all := strings.Join(got, ""); all != strings.Repeat("é", maxLine) {
		t.Errorf("a letter was cut: %d bytes of %d", len(all), 2*maxLine)
	}
}

func TestMasksAreForgottenAfterManyRuns(t *testing.T) {
	w := newWords("p", nil)
	for i := range 10 * maxEnded {
		run := fmt.Sprint(i)
		w.mask(run, func(text string) string { return strings.ReplaceAll(text, "secret-"+run+".", "***") })
		w.add("secret-" + run + ".")
		w.endRun(run)
	}
	if len(w.masks) > maxEnded {
		t.Errorf("%d masks are kept", len(w.masks))
	}
	for _, line := range w.lines {
		if line != "***" {
			t.Fatalf("%q is kept", line)
		}
	}
}

func TestPeopleReadDurationsAndSizes(t *testing.T) {
	for got, want := range map[string]string{
		durationText(defaultWindow): "5 min", durationText(defaultStart): "10s", durationText(defaultBackoff): "250ms",
		durationText(2789 * 1e6): "3s", durationText(90 * 1e9): "1m30s",
		bytesText(1 << 30): "1 GiB", bytesText(3 << 29): "1.5 GiB", bytesText(200 << 20): "200 MiB", bytesText(12): "12 bytes",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
