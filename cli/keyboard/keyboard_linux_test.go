package keyboard

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal that belongs to nobody.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(filepath.Join("/dev/pts", fmt.Sprint(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return slave
}

func mode(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(f.Fd()), getMode)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

func TestFileThatIsNoTerminalIsNoKeyboard(t *testing.T) {
	f, err := os.Open("keyboard.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := Open(f); ok {
		t.Error("a file is a keyboard")
	}
}

func TestTerminalOfOthersIsLeftAlone(t *testing.T) {
	f := terminal(t)
	k, ok := Open(f)
	if !ok {
		t.Fatal("a terminal is no keyboard")
	}
	before := mode(t, f)
	for name, change := range map[string]func() (func(), error){"keys": k.Keys, "raw": k.Raw} {
		if _, err := change(); err == nil {
			t.Errorf("%s: the terminal was changed from the background", name)
		}
	}
	if mode(t, f) != before {
		t.Error("its mode is another one")
	}
}

func TestKeysComeOneByOneAndTheTerminalIsGivenBack(t *testing.T) {
	f := terminal(t)
	k, _ := Open(f)
	before := mode(t, f)
	restore, err := k.changed(k.keys)
	if err != nil {
		t.Fatal(err)
	}
	during := mode(t, f)
	if during.Lflag&(unix.ICANON|unix.ECHO) != 0 {
		t.Error("lines or echo are on")
	}
	if during.Lflag&unix.ISIG == 0 || during.Oflag != before.Oflag {
		t.Error("signals or line feeds are changed")
	}
	restore()
	if mode(t, f) != before {
		t.Error("the terminal is not as it was")
	}
	if columns, lines, ok := k.Size(); ok && (columns < 0 || lines < 0) {
		t.Errorf("the size is %d by %d", columns, lines)
	}
}
