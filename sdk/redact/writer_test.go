package redact

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// cutAt writes text in pieces of n bytes.
func cutAt(t *testing.T, w io.Writer, text string, n int) {
	t.Helper()
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		if got, err := w.Write([]byte(piece)); err != nil || got != len(piece) {
			t.Fatalf("write %q: got %d, %v", piece, got, err)
		}
		text = text[len(piece):]
	}
}

func TestAStreamIsMaskedHoweverItIsCut(t *testing.T) {
	t.Parallel()
	m := masker(t, "A", "hunter2", "B", "2manyhunters", "AA", "aaaa")
	text := "x hunter2 hunterhunter2manyhunters huhunter2 " + strings.Repeat("a", 50) + " hunte"
	want := m.String(text)
	if direct := "x ‹secret:A› hunter‹secret:B› hu‹secret:A› ‹secret:AA› hunte"; want != direct {
		t.Fatalf("masked at once: got %q, want %q", want, direct)
	}
	for n := 1; n <= len(text); n++ {
		var out bytes.Buffer
		w := m.Writer(&out)
		cutAt(t, w, text, n)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want {
			t.Errorf("in pieces of %d: got %q, want %q", n, got, want)
		}
	}
}

func TestOnlyWhatMayBecomeASecretIsHeldBack(t *testing.T) {
	t.Parallel()
	m := masker(t, "S", "hunter2)")
	var out bytes.Buffer
	w := m.Writer(&out)
	for _, step := range []struct{ write, want string }{
		{"a line\n", "a line\n"},
		{"then h", "a line\nthen "},
		{"unter", "a line\nthen "},
		{"!", "a line\nthen hunter!"},
		{"hunter2)", "a line\nthen hunter!‹secret:S›"},
	} {
		cutAt(t, w, step.write, 100)
		if got := out.String(); got != step.want {
			t.Errorf("after %q: got %q, want %q", step.write, got, step.want)
		}
	}
	cutAt(t, w, "hunte", 100)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "a line\nthen hunter!‹secret:S›hunte"; got != want {
		t.Errorf("after Flush: got %q, want %q", got, want)
	}
	cutAt(t, w, "r2) hunter2)", 100)
	if got, want := out.String(), "a line\nthen hunter!‹secret:S›hunter2) ‹secret:S›"; got != want {
		t.Errorf("a new text after Flush: got %q, want %q", got, want)
	}
}

func TestWhatIsHeldNeverGrowsPastTheLongestForm(t *testing.T) {
	t.Parallel()
	m := masker(t, "S", "abababab", "T", strings.Repeat("z", 300))
	longest := 0
	for _, s := range m.secrets {
		for _, form := range s.forms {
			longest = max(longest, len(form))
		}
	}
	w := m.Writer(io.Discard)
	for _, text := range []string{strings.Repeat("ab", 100_000), strings.Repeat("z", 200_000), strings.Repeat("%7", 50_000)} {
		cutAt(t, w, text, 777)
		if len(w.held) >= longest {
			t.Errorf("%d bytes are held after %q…, the longest form has %d", len(w.held), text[:6], longest)
		}
	}
}

func TestASecretAddedBetweenTwoWritesIsMasked(t *testing.T) {
	t.Parallel()
	m := New()
	var out bytes.Buffer
	w := m.Writer(&out)
	cutAt(t, w, "plain ", 100)
	if err := m.Add("A", "alpha-token"); err != nil {
		t.Fatal(err)
	}
	cutAt(t, w, "alpha-token alpha-", 3)
	if err := m.Add("B", "ha-beta-value"); err != nil {
		t.Fatal(err)
	}
	// The new secret begins within what is held for the old one.
	cutAt(t, w, "beta-value end ha-beta", 3)
	if err := m.Add("C", "beta"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "plain ‹secret:A› alp‹secret:B› end ha-‹secret:C›"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASecretAddedWithinAnOpenStretchKeepsItWhole(t *testing.T) {
	t.Parallel()
	m := masker(t, "A", "aaaa")
	var out bytes.Buffer
	w := m.Writer(&out)
	cutAt(t, w, strings.Repeat("a", 20), 7)
	if err := m.Add("B", "aabbb"); err != nil {
		t.Fatal(err)
	}
	cutAt(t, w, "bbb.", 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "‹secret:B›."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestAnErrorBeneathIsReportedAndStays(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	for name, m := range map[string]*Masker{"no secrets": New(), "a secret": masker(t, "S", "hunter2")} {
		w := m.Writer(brokenWriter{broken})
		for range 2 {
			if _, err := w.Write([]byte("text")); !errors.Is(err, broken) {
				t.Errorf("%s: Write: got error %v, want %v", name, err, broken)
			}
		}
		if err := w.Close(); !errors.Is(err, broken) {
			t.Errorf("%s: Close: got error %v, want %v", name, err, broken)
		}
	}
}

func TestAClosedWriterRefusesWrites(t *testing.T) {
	t.Parallel()
	w := masker(t, "S", "hunter2").Writer(io.Discard)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got error %v, want %v", err, io.ErrClosedPipe)
	}
}

func TestSeveralGoroutinesMayShareAWriter(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := masker(t, "S", "hunter2").Writer(&out)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, err := w.Write([]byte("<hunter2>\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), strings.Repeat("<‹secret:S›>\n", 1600); got != want {
		t.Errorf("got %d bytes %.60q…, want %d bytes", len(got), got, len(want))
	}
}

func FuzzWriter(f *testing.F) {
	f.Add("hunter2", "2manyhunters", []byte("x hunter2manyhunters"), uint8(3), uint8(1))
	f.Add("aaaa", "aaab", []byte("aaaaaaaabaaa"), uint8(1), uint8(0))
	f.Add(nasty, "\xff\xfe\xfd\xfc", []byte("p%26ss\\u0026"), uint8(2), uint8(7))
	f.Fuzz(func(t *testing.T, first, second string, text []byte, cut, addAt uint8) {
		m := New()
		if m.Add("A", first) != nil {
			return
		}
		text = append(text, first+string(text)+second...)
		var out bytes.Buffer
		w := m.Writer(&out)
		step := int(cut)%16 + 1
		for i := 0; i < len(text); i += step {
			if _, err := w.Write(text[i:min(i+step, len(text))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), m.String(string(text)); got != want {
			t.Fatalf("in pieces of %d: got %q, want %q", step, got, want)
		}
		if got, want := string(m.Bytes(text)), m.String(string(text)); got != want {
			t.Fatalf("Bytes gives %q, String %q", got, want)
		}
		if bare := strings.ReplaceAll(out.String(), Mask("A"), "\x00"); strings.Contains(bare, first) {
			t.Fatalf("the secret %q survives in %q", first, out.String())
		}
		// A secret that comes later, wherever the stream is, is masked from then on.
		if m.Add("B", second) != nil || strings.Contains(second, "secret:") {
			return
		}
		out.Reset()
		w = m.Writer(&out)
		at := int(addAt) % (len(text) + 1)
		if _, err := w.Write(text[:at]); err != nil {
			t.Fatal(err)
		}
		if err := m.Add("C", "late"+second); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(append(bytes.Clone(text[at:]), "late"+second...)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if bare := strings.NewReplacer(Mask("A"), "\x00", Mask("B"), "\x00", Mask("C"), "\x00").Replace(out.String()); strings.Contains(bare, second) {
			t.Fatalf("the secret %q survives in %q", second, out.String())
		}
	})
}
