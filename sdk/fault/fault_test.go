package fault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// parsed reads faults, and gives what they said and how often they ended the process.
func parsed(t *testing.T, text string) (s *Set, said *[]string, crashes *int) {
	t.Helper()
	said, crashes = new([]string), new(int)
	s, err := Parse(text, Config{Crash: func() { *crashes++ }, Say: func(line string) { *said = append(*said, line) }})
	if err != nil {
		t.Fatal(err)
	}
	return s, said, crashes
}

func TestAPointActsWithTheHitThatItNames(t *testing.T) {
	s, said, crashes := parsed(t, "store.commit.before=crash@3; stream.segment.before=error")
	for hit := 1; hit <= 4; hit++ {
		if err := s.hit("store.commit.before"); err != nil {
			t.Errorf("hit %d: got %v", hit, err)
		}
		want := 0
		if hit >= 3 {
			want = 1
		}
		if *crashes != want {
			t.Errorf("after hit %d: %d crashes, want %d", hit, *crashes, want)
		}
	}
	if err := s.hit("stream.segment.before"); !errors.Is(err, ErrInjected) {
		t.Errorf("got %v, want an injected error", err)
	}
	if err := s.hit("cluster.log.before"); err != nil {
		t.Errorf("a point without a fault: got %v", err)
	}
	if want := []string{"fault store.commit.before crash", "fault stream.segment.before error"}; !slices.Equal(*said, want) {
		t.Errorf("got %q, want %q", *said, want)
	}
}

func TestAPointActsWhileItsFileExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "stuck")
		s, said, _ := parsed(t, "cluster.log.before=delay:8s?"+file)
		took := func() time.Duration {
			began := time.Now()
			if err := s.hit("cluster.log.before"); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		if got := took(); got != 0 {
			t.Errorf("without the file it took %s", got)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := took(); got != 8*time.Second {
			t.Errorf("with the file it took %s, want 8s", got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if got := took(); got != 0 || len(*said) != 1 {
			t.Errorf("once the file is gone it took %s; said %q", got, *said)
		}
	})
}

func TestProtectionsAndNumbers(t *testing.T) {
	s, _, _ := parsed(t, "no_fence;cluster.snapshot=200")
	if !s.isOff("no_fence") || s.isOff("no_dirty") {
		t.Error("the protection that is named is off, and no other")
	}
	if got := s.number("cluster.snapshot", 50_000); got != 200 {
		t.Errorf("got %d, want 200", got)
	}
	if got := s.number("another", 50_000); got != 50_000 {
		t.Errorf("got %d, want the usual 50000", got)
	}
}

// The exported methods do nothing in the builds that people use, whatever was parsed.
func TestOnlyATestBuildHasFaults(t *testing.T) {
	s, said, _ := parsed(t, "no_fence;cluster.snapshot=200;agent.spool=error")
	if got := s.Off("no_fence"); got != Built {
		t.Errorf("Off: got %v, want %v", got, Built)
	}
	if got := s.Number("cluster.snapshot", 50_000) == 200; got != Built {
		t.Errorf("Number is changed: got %v, want %v", got, Built)
	}
	if got := errors.Is(s.Point("agent.spool"), ErrInjected); got != Built || len(*said) > 0 != Built {
		t.Errorf("Point errs: got %v, want %v; said %q", got, Built, *said)
	}
	var none *Set
	if none.Off("no_fence") || none.Point("agent.spool") != nil || none.Number("cluster.snapshot", 7) != 7 {
		t.Error("a nil Set has a fault")
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]string{
		"an unknown protection":     "no_gravity",
		"an unknown point":          "store.nowhere=crash",
		"an unknown action":         "store.commit.before=explode",
		"a hit that is no number":   "store.commit.before=crash@soon",
		"a hit before the first":    "store.commit.before=crash@0",
		"a delay without a time":    "store.commit.before=delay",
		"a number that is none":     "cluster.snapshot=often",
		"a point without an action": "store.commit.before",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(text, Config{}); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("got %v, want an error that names %q", err, text)
			}
		})
	}
}

// A name that stands nowhere in the product is a fault that never happens, and a
// test of it that never bites.
func TestEveryNameIsPlaced(t *testing.T) {
	placed := map[string]bool{}
	use := regexp.MustCompile(`\.(?:Point|Off|Number)\("([a-z_.]+)"`)
	for _, tree := range []string{"controlplane", "agent", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", tree), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			text, err := os.ReadFile(file)
			for _, m := range use.FindAllStringSubmatch(string(text), -1) {
				placed[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	known := slices.Concat(Points(), Protections(), Numbers())
	for _, name := range known {
		if !placed[name] {
			t.Errorf("%s stands nowhere", name)
		}
	}
	for name := range placed {
		if !slices.Contains(known, name) {
			t.Errorf("%s is placed, and Parse does not know it", name)
		}
	}
}
