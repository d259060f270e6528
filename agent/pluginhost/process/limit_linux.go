package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxTasks bounds the processes and threads of a plugin in a control group;
	// a browser has a few hundred.
	maxTasks = 4096
	// maxOpen bounds the open files of each process.
	maxOpen = 65536
	// watchMemory is how often the memory of a plugin is read where there is no
	// control group to bound it.
	watchMemory = 200 * time.Millisecond
	// dataSlack is what a runtime reserves beyond what it uses. Measured with
	// 100 MiB in use: 40 MiB in Go, 42 in Node, 2 in Python. A bound of the
	// address space cannot be used instead: Go takes 1.3 GiB of it and Node, with
	// one WebAssembly memory, 11.
	dataSlack = 256 << 20
)

// capabilities are what this machine lets a host do to its plugins. The zero
// value finds out.
type capabilities struct {
	denied atomic.Bool // to make a PID namespace

	once   sync.Once
	groups []group
}

func (c *capabilities) mayIsolate() bool { return !c.denied.Load() }
func (c *capabilities) noIsolation()     { c.denied.Store(true) }

// group is a control group below which we may make our own.
type group struct {
	dir    string
	memory bool
	// limits are files and what is written to them; optional ones may be missing.
	limits func(memory int64) []setting
	events string // has the count of processes that were killed for memory
}

type setting struct {
	file, value string
	optional    bool
}

// guard bounds one process with everything that it starts.
type guard struct {
	groups []string
	events string // of the group that bounds memory
	stop   chan struct{}
	ended  chan struct{}
}

// guard sets the limits of a process that has just started. overran is called
// where the host itself has to end it.
func (c *capabilities) guard(pid int, cmd command, overran func()) guard {
	c.once.Do(func() { c.groups = findGroups("/proc/self/mountinfo", "/proc/self/cgroup") })
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	lower(pid, unix.RLIMIT_NOFILE, maxOpen)
	var g guard
	name := filepath.Base(filepath.Dir(cmd.dir)) + "-" + filepath.Base(cmd.dir)
	for _, parent := range c.groups {
		dir := filepath.Join(parent.dir, name)
		if err := parent.enter(dir, pid, cmd.memory); err != nil {
			_ = os.Remove(dir)
			continue
		}
		g.groups = append(g.groups, dir)
		if parent.memory {
			g.events = filepath.Join(dir, parent.events)
		}
	}
	if g.events == "" {
		lower(pid, unix.RLIMIT_DATA, uint64(cmd.memory)+dataSlack)
		g.stop, g.ended = make(chan struct{}), make(chan struct{})
		go g.watch(pid, cmd.memory, overran)
	}
	return g
}

// lower lowers a limit of a process; it never raises it.
func lower(pid, resource int, to uint64) {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &now); err != nil || now.Max <= to {
		return
	}
	_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: min(now.Cur, to), Max: to}, nil)
}

func (g group) enter(dir string, pid int, memory int64) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, s := range g.limits(memory) {
		if err := writeFile(filepath.Join(dir, s.file), s.value); err != nil && !s.optional {
			return err
		}
	}
	return writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
}

// writeFile writes to a file that must be there.
func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// watch reads the memory of a process and what is below it until release.
func (g guard) watch(pid int, limit int64, overran func()) {
	defer close(g.ended)
	tick := time.NewTicker(watchMemory)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
			if treeMemory(pid) > limit {
				overran()
				return
			}
		}
	}
}

// treeMemory is the memory of a process and its descendants that is nobody
// else's, in bytes.
func treeMemory(pid int) int64 {
	total := processMemory(pid)
	for _, p := range descendants(pid) {
		total += processMemory(p.pid)
		p.release()
	}
	return total
}

func processMemory(pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		if key == "RssAnon" || key == "RssShmem" {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			total += kib << 10
		}
	}
	return total
}

// release undoes the limits of a process that has ended, and says whether the
// kernel ended one of its processes for its memory.
func (g guard) release() (overrun bool) {
	if g.stop != nil {
		close(g.stop)
		<-g.ended
	}
	if text, err := os.ReadFile(g.events); err == nil {
		overrun = oomKills(string(text)) > 0
	}
	for _, dir := range g.groups {
		removeGroup(dir)
	}
	return overrun
}

// oomKills reads the count in memory.oom_control or memory.events.
func oomKills(text string) int {
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			kills, _ := strconv.Atoi(n)
			return kills
		}
	}
	return 0
}

// removeGroup removes a control group, whose processes may be ending still.
func removeGroup(dir string) {
	for range 500 {
		if err := os.Remove(dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// removeGroups removes the control groups of a host that was killed.
func removeGroups(name string) {
	for _, g := range findGroups("/proc/self/mountinfo", "/proc/self/cgroup") {
		dirs, err := filepath.Glob(filepath.Join(g.dir, name+"-*"))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			removeGroup(dir)
		}
	}
}

// findGroups gives the control groups of this process in which it may make
// groups with limits: its own, never a parent's, which may have limits that are
// not ours to leave.
func findGroups(mountinfo, own string) []group {
	mounts, err := os.ReadFile(mountinfo)
	if err != nil {
		return nil
	}
	paths := ownGroups(own)
	var out []group
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		sep := slices.Index(fields, "-")
		if sep < 6 || len(fields) < sep+4 {
			continue
		}
		root, mount, kind, options := fields[3], fields[4], fields[sep+1], strings.Split(fields[sep+3], ",")
		dir := func(controller string) (string, bool) {
			path, ok := paths[controller]
			if !ok || strings.Contains(path, "..") {
				return "", false
			}
			rel, below := strings.CutPrefix(path, strings.TrimSuffix(root, "/"))
			return filepath.Join(mount, rel), below
		}
		switch {
		case kind == "cgroup2":
			if d, ok := dir(""); ok {
				out = append(out, unified(d)...)
			}
		case kind == "cgroup" && slices.Contains(options, "memory"):
			if d, ok := dir("memory"); ok {
				out = append(out, group{dir: d, memory: true, limits: memoryV1, events: "memory.oom_control"})
			}
		case kind == "cgroup" && slices.Contains(options, "pids"):
			if d, ok := dir("pids"); ok {
				out = append(out, group{dir: d, limits: tasks})
			}
		}
	}
	return out
}

// ownGroups are the paths of this process, by controller; "" is version 2.
func ownGroups(file string) map[string]string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			for controller := range strings.SplitSeq(parts[1], ",") {
				out[controller] = parts[2]
			}
		}
	}
	return out
}

func tasks(int64) []setting { return []setting{{"pids.max", strconv.Itoa(maxTasks), false}} }

func memoryV1(memory int64) []setting {
	text := strconv.FormatInt(memory, 10)
	return []setting{{"memory.limit_in_bytes", text, false}, {"memory.memsw.limit_in_bytes", text, true}}
}

// unified is a group of version 2 that hands its controllers on to the groups
// below it. One that has processes of its own cannot.
func unified(dir string) []group {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil
	}
	controllers := strings.Fields(string(text))
	if !slices.Contains(controllers, "memory") {
		return nil
	}
	hasTasks := slices.Contains(controllers, "pids")
	return []group{{dir: dir, memory: true, events: "memory.events", limits: func(memory int64) []setting {
		out := []setting{
			{"memory.max", fmt.Sprint(memory), false}, {"memory.swap.max", "0", true}, {"memory.oom.group", "1", true},
		}
		if hasTasks {
			out = append(out, tasks(0)...)
		}
		return out
	}}}
}
