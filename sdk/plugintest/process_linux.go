package plugintest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// canMeasure says whether the kit can look into a process here.
const canMeasure = true

// stat reads the state and the process group of a process, "" where there is
// none.
func stat(pid int) (state string, group int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// The name in parentheses may hold anything, so count from its end.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 3 {
		return "", 0
	}
	group, _ = strconv.Atoi(fields[2])
	return fields[0], group
}

func zombie(pid int) bool {
	state, _ := stat(pid)
	return state == "Z"
}

// left lists the processes that came of p and still live: those of its group,
// and those that left it but carry the marker in their environment.
func (p *process) left() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		state, group := stat(pid)
		if state == "" || state == "Z" {
			continue
		}
		if group == p.cmd.Process.Pid || p.marked(pid) {
			found = append(found, pid)
		}
	}
	return found
}

func (p *process) marked(pid int) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	return err == nil && bytes.Contains(environ, []byte(p.marker))
}

// usage counts memory that is in no file: what is read in of a program comes and
// goes with what it runs and what the system has room for.
func (p *process) usage() (usage, error) {
	dir, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return usage{}, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		return usage{}, err
	}
	var size, resident, shared int
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		return usage{}, fmt.Errorf("read memory: statm is %q: %w", text, err)
	}
	return usage{files: float64(len(dir)), memory: float64((resident - shared) * (os.Getpagesize() >> 10))}, nil
}
