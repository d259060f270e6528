package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// resident is how many bytes of a mapping this process has.
func resident(t *testing.T, from uintptr) (bytes int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, found := bufio.NewScanner(f), false
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, fmt.Sprintf("%08x-", from)):
			found = true
		case found && strings.HasPrefix(line, "Rss:"):
			var kb int
			if _, err := fmt.Sscanf(line, "Rss: %d kB", &kb); err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no mapping begins at %x (%v)", from, lines.Err())
	return 0
}

// own is the mapping of this program's own code.
func own(t *testing.T) mapping {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var m mapping
		if line := lines.Text(); strings.Contains(line, " r-xp ") && strings.HasSuffix(line, self) {
			if _, err := fmt.Sscanf(line, "%x-%x", &m.from, &m.to); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatal("this program's code is not mapped")
	return mapping{}
}

func TestPagesOfTheProgramAreGivenBack(t *testing.T) {
	m := own(t)
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	// Reading it maps all of it, as a program does that has used everything once.
	if n, err := io.Copy(io.Discard, io.NewSectionReader(memory, int64(m.from), int64(m.to-m.from))); err != nil || n != int64(m.to-m.from) {
		t.Fatalf("read %d bytes of %d: %v", n, m.to-m.from, err)
	}
	before := resident(t, m.from)
	if all := mapped(); all < int64(before) {
		t.Errorf("%d bytes of files are resident, and %d of this one", all, before)
	}
	giveBack(true)
	after := resident(t, m.from)
	if size := int(m.to - m.from); before < size*9/10 || after > before/2 {
		t.Errorf("of %d bytes of code %d were resident, and %d are", size, before, after)
	}
}

// What a process wrote before it protected the pages is in no file.
func TestWhatAProcessWroteIsKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "library")
	if err := os.WriteFile(name, make([]byte, 4*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := unix.Mmap(int(f.Fd()), 0, 4*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(text); err != nil {
			t.Error(err)
		}
	}()
	text[0], text[len(text)-1] = 'a', 'z'
	if err := unix.Mprotect(text, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	giveBack(true)
	if text[0] != 'a' || text[len(text)-1] != 'z' {
		t.Errorf("got %q and %q", text[0], text[len(text)-1])
	}
}

func TestWhichMappingsHoldWhatTheirFileDoes(t *testing.T) {
	one := func(line, own string) string {
		return line + "\nSize:  12 kB\nAnonymous:    " + own + " kB\nVmFlags: rd mr\n"
	}
	text := one("00400000-00403000 r--p 00000000 fe:00 12 /bin/agent", "0") +
		one("00403000-00405000 r-xp 00003000 fe:00 12 /bin/agent", "0") +
		one("00405000-00406000 r--p 00005000 fe:00 12 /bin/agent", "4") + // relocated
		one("00406000-00407000 rw-p 00006000 fe:00 12 /bin/agent", "0") +
		one("00407000-00408000 rw-p 00000000 00:00 0", "0") +
		one("7fcaee015000-7fcaee017000 r-xp 00000000 00:00 0                          [vdso]", "0") +
		one("7fcaee017000-7fcaee018000 r--p 00000000 fe:00 9                          /lib/a name.so (deleted)", "0")
	want := []mapping{{0x400000, 0x403000}, {0x403000, 0x405000}, {0x7fcaee017000, 0x7fcaee018000}}
	if got := clean(strings.NewReader(text)); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := clean(strings.NewReader(text + strings.Repeat("x", bufio.MaxScanTokenSize+1))); got != nil {
		t.Errorf("got %x of a description that ends in its middle", got)
	}
}

func TestLookingAtMemoryTakesNone(t *testing.T) {
	if n := mapped(); n < 1<<20 || n > 1<<32 {
		t.Errorf("%d bytes of files are resident", n)
	}
	if n := testing.AllocsPerRun(100, func() { mapped() }); n > 3 {
		t.Errorf("a look makes %v objects", n)
	}
}
