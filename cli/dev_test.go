package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// devWith runs `testmesh dev` over a mesh that ends at once, and says how often its page
// was opened.
func devWith(t *testing.T, terminal bool, fails error, args ...string) (opened int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := &State{
		Args: append([]string{"dev"}, args...), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Dir: t.TempDir(), Version: "v1.2.3",
		LookupEnv: func(string) (string, bool) { return "", false },
		Terminal:  func() (int, bool) { return 100, terminal },
		Mesh: func(context.Context, Mesh) (*Meshed, error) {
			return &Meshed{
				Server: "http://127.0.0.1:7070", Demo: "http://127.0.0.1:7071",
				Open: func() error { opened++; return fails }, Wait: func() error { return nil },
			}, nil
		},
	}
	if code := Main(t.Context(), s); code != 0 {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	return opened, stdout.String(), stderr.String()
}

func TestDevOpensThePageForAPerson(t *testing.T) {
	tests := map[string]struct {
		terminal bool
		args     []string
		want     int
	}{
		"at a terminal":         {true, nil, 1},
		"not where none is":     {false, nil, 0},
		"not where it must not": {true, []string{"--headless"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			opened, out, _ := devWith(t, test.terminal, nil, test.args...)
			if opened != test.want || !strings.Contains(out, "http://127.0.0.1:7070") {
				t.Errorf("opened %d times, want %d; it said\n%s", opened, test.want, out)
			}
		})
	}
}

func TestDevGoesOnWithoutABrowser(t *testing.T) {
	_, _, errs := devWith(t, true, errors.New("there is none"))
	if !strings.Contains(errs, "no browser was opened: there is none") {
		t.Errorf("it said %q", errs)
	}
}
