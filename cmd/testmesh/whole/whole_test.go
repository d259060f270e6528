package whole

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const script = "#!/bin/sh\necho whole \"$@\"\n"

func pack(t *testing.T, text string) []byte {
	t.Helper()
	packed, err := Pack([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func unpack(t *testing.T, packed []byte, dir string) string {
	t.Helper()
	program, err := Unpack(packed, dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "a").Output()
	if err != nil || string(out) != "whole a\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	return program
}

func TestUnpackedOnceAndOnlyForItsOwner(t *testing.T) {
	dir, packed := t.TempDir(), pack(t, script)
	program := unpack(t, packed, dir)
	before, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if mode := before.Mode().Perm(); mode != 0o700 {
		t.Errorf("got mode %o, want 700", mode)
	}
	again := unpack(t, packed, dir)
	after, err := os.Stat(again)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("it was unpacked again (%v)", err)
	}
	if other := unpack(t, pack(t, script+"# another\n"), dir); other == program {
		t.Error("two programs share a place")
	}
}

func TestWhatIsNotTheCarriedProgramIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(program string) error{
		"a byte changed": func(p string) error {
			return os.WriteFile(p, []byte(strings.Replace(script, "whole", "other", 1)), 0o700)
		},
		"cut short":        func(p string) error { return os.Truncate(p, 10) },
		"the program gone": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir, packed := t.TempDir(), pack(t, script)
			if err := spoil(unpack(t, packed, dir)); err != nil {
				t.Fatal(err)
			}
			unpack(t, packed, dir)
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	dir, packed := t.TempDir(), pack(t, script)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			program, err := Unpack(packed, dir)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(program); err != nil || !bytes.Equal(text, []byte(script)) {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
	all.Wait()
	left, err := filepath.Glob(dir + "/*/.new-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGarbageIsNoProgram(t *testing.T) {
	whole := pack(t, strings.Repeat(script, 99))
	another := slices.Clone(whole)
	another[0]++
	for name, packed := range map[string][]byte{
		"empty": nil, "no zstd": []byte(strings.Repeat("garbage", 9)), "cut": whole[:len(whole)-3], "another's digest": another, "only the digest": whole[:32],
	} {
		t.Run(name, func(t *testing.T) {
			if program, err := Unpack(packed, t.TempDir()); err == nil {
				t.Errorf("got %s without an error", program)
			}
		})
	}
}
