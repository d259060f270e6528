package command

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"runtime/debug"
	"strconv"

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

// mapped is how many bytes of files are resident; 0: nobody says. It is asked so often
// that it leaves nothing on the heap.
func mapped() (bytes int64) {
	fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	var text [256]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return 0
	}
	field, pages := 0, int64(0) // SIZE RESIDENT SHARED ..., in pages
	for _, c := range text[:n] {
		switch {
		case c == ' ':
			field++
		case field == 2 && c >= '0' && c <= '9':
			pages = 10*pages + int64(c-'0')
		}
	}
	return pages * int64(os.Getpagesize())
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// clean finds the mappings of files that hold nothing but what the file does. A range
// that may be written to does not count, nor one with a page of its own: the loader
// writes to some before it protects them, and a debugger to code. It leaves next to
// nothing on the heap.
func clean(smaps io.Reader) (found []mapping) {
	lines := bufio.NewScanner(smaps)
	var m mapping
	of := false // the lines are about a candidate
	for lines.Scan() {
		name, rest, _ := bytes.Cut(lines.Bytes(), space)
		switch {
		case !bytes.HasSuffix(name, colon):
			m, of = candidate(name, rest)
		case of && string(name) == "Anonymous:" && string(bytes.TrimSpace(rest)) == "0 kB":
			found = append(found, m)
		}
	}
	if lines.Err() != nil {
		return nil // half a description says nothing
	}
	return found
}

var space, colon, dash = []byte(" "), []byte(":"), []byte("-")

// candidate reads the first line of a mapping: FROM-TO PERMISSIONS OFFSET DEVICE INODE PATH.
func candidate(addresses, rest []byte) (m mapping, ok bool) {
	low, high, _ := bytes.Cut(addresses, dash)
	from, err := strconv.ParseUint(string(low), 16, 64)
	to, toErr := strconv.ParseUint(string(high), 16, 64)
	permissions, rest, _ := bytes.Cut(rest, space)
	_, rest, _ = bytes.Cut(rest, space) // offset
	_, rest, _ = bytes.Cut(rest, space) // device
	inode, path, _ := bytes.Cut(rest, space)
	ok = err == nil && toErr == nil && len(permissions) > 1 && permissions[1] == '-' && string(inode) != "0" && bytes.HasPrefix(bytes.TrimSpace(path), []byte("/"))
	return mapping{uintptr(from), uintptr(to)}, ok
}
