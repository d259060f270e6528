package command

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// mappedMost is how much of files an agent at rest keeps mapped: what waiting for work needs,
// in ranges as large as systems map them.
const mappedMost = 16 << 20

// giveBack returns to the system what an agent at rest does not use: freed heap, once it
// has come to rest, and pages of the program's file whenever there are many. The start of
// a process touches most parts of its file, the system maps a whole range, up to all of
// it, for each page that is touched, and counts that as the process's from then on.
// They are let go of, not lost: they stay in the system's cache for as long as it likes,
// and the next use maps them again, a few milliseconds for all that a run needs. An agent
// waits far longer than it works, often beside what it tests. Where the pages cannot be
// told, as without /proc, they stay.
func giveBack(first bool) {
	if first {
		debug.FreeOSMemory()
	}
	if mapped() <= mappedMost {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range clean(f) {
		// One that was unmapped meanwhile is none of ours any more, and is refused.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapped is how many bytes of files are resident; 0: nobody says.
func mapped() (bytes int64) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, all, shared int64 // in pages
	if _, err := fmt.Sscan(string(text), &size, &all, &shared); err != nil {
		return 0
	}
	return shared * int64(os.Getpagesize())
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// clean finds the mappings of files that hold nothing but what the file does. A range
// that may be written to does not count, nor one with a page of its own: the loader
// writes to some before it protects them, and a debugger to code.
func clean(smaps io.Reader) (found []mapping) {
	lines := bufio.NewScanner(smaps)
	var m mapping
	of := false // the lines are about a candidate
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		switch {
		case !strings.HasSuffix(name, ":"): // FROM-TO PERMISSIONS OFFSET DEVICE INODE PATH
			fields := strings.Fields(rest)
			_, err := fmt.Sscanf(name, "%x-%x", &m.from, &m.to)
			of = err == nil && len(fields) >= 5 && fields[0][1] == '-' && fields[3] != "0" && strings.HasPrefix(fields[4], "/")
		case of && name == "Anonymous:" && strings.TrimSpace(rest) == "0 kB":
			found = append(found, m)
		}
	}
	if lines.Err() != nil {
		return nil // half a description says nothing
	}
	return found
}
