package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestAPluginThatAllocatesWithoutEndIsEnded(t *testing.T) {
	for name, grouped := range map[string]bool{"in a control group": true, "watched": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			greedy := programOf("good", "good")
			greedy.MemoryBytes = 200 << 20
			p := poolOf(t, Config{Programs: []pluginhost.Program{greedy, programOf("other", "other")}})
			if !grouped {
				p.caps.once.Do(func() {})
			}
			if _, err := run(p, "r9", "other.echo", ""); err != nil {
				t.Fatal(err)
			}
			_, err := run(p, "r1", "good.allocate", "")
			e := faultOf(t, err)
			// Without a group, the bound of what it may ask for can come first.
			ended := e.Message == "plugin good was ended because it used more than its 200 MiB of memory"
			refused := !grouped && strings.HasPrefix(e.Message, "plugin good ran out of memory, of which it may use 200 MiB: ")
			// The race detector in the plugin takes many times as much, and ends in its
			// own ways.
			other := patiently > 1 && !grouped
			if e.Blame != plugin.BlamePlugin || !ended && !refused && !other {
				t.Errorf("got %s: %s %q", e.Blame, e.Message, e.Details)
			}
			if _, err := run(p, "r9", "other.echo", ""); err != nil {
				t.Errorf("another run: %v", err)
			}
			if _, err := run(p, "r2", "good.echo", ""); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestLimitsOfAProcess(t *testing.T) {
	p := good(t)
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Fatal(err)
	}
	id := pid(t, p, "good")
	for resource, want := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxOpen} {
		var got unix.Rlimit
		if err := unix.Prlimit(id, resource, nil, &got); err != nil || got.Max > want {
			t.Errorf("limit %d is %d (%v), want at most %d", resource, got.Max, err, want)
		}
	}
	groups := findGroups("/proc/self/mountinfo", "/proc/self/cgroup")
	mine := serving(p, "good").child.guard.groups
	for _, g := range groups {
		for _, s := range g.limits(defaultMemory) {
			for _, dir := range mine {
				if filepath.Dir(dir) != g.dir {
					continue
				}
				if text, err := os.ReadFile(filepath.Join(dir, s.file)); err == nil && strings.TrimSpace(string(text)) != s.value {
					t.Errorf("%s is %s, want %s", s.file, text, s.value)
				}
				if text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err != nil || !strings.Contains(string(text), strconv.Itoa(id)) {
					t.Errorf("the group has %q (%v), want %d in it", text, err, id)
				}
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range mine {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
}

func TestGroupsAreOurOwn(t *testing.T) {
	type found struct {
		Dir    string
		Memory bool
		Limits []string
	}
	tests := map[string]struct {
		mounts, own string
		subtree     string // of the unified group
		want        []found
	}{
		"version 1": {
			mounts: "30 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n31 20 0:28 / /cg/pids rw - cgroup cgroup rw,pids\n32 20 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n",
			own:    "9:memory:/user/a\n8:pids:/b\n3:cpu:/\n0::/\n",
			want: []found{
				{"/cg/memory/user/a", true, []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}},
				{"/cg/pids/b", false, []string{"pids.max"}},
			},
		},
		"controllers together": {
			mounts: "30 20 0:27 / /cg/cpu,memory rw - cgroup cgroup rw,cpu,memory\n",
			own:    "9:cpu,memory:/a\n",
			want:   []found{{"/cg/cpu,memory/a", true, []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}}},
		},
		"a container sees a part": {
			mounts: "30 20 0:27 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n",
			own:    "9:memory:/docker/abc/x\n",
			want:   []found{{"/cg/memory/x", true, []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}}},
		},
		"a container sees another part": {
			mounts: "30 20 0:27 /docker/abc /cg/memory rw - cgroup cgroup rw,memory\n",
			own:    "9:memory:/\n",
		},
		"outside of what is seen": {
			mounts: "30 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n",
			own:    "9:memory:/../other\n",
		},
		"version 2 that hands on": {
			mounts:  "30 20 0:27 / DIR rw - cgroup2 cgroup2 rw\n",
			own:     "0::/a\n",
			subtree: "cpu memory pids\n",
			want:    []found{{"DIR/a", true, []string{"memory.max", "memory.swap.max", "memory.oom.group", "pids.max"}}},
		},
		"version 2 without pids": {
			mounts:  "30 20 0:27 / DIR rw - cgroup2 cgroup2 rw\n",
			own:     "0::/a\n",
			subtree: "memory\n",
			want:    []found{{"DIR/a", true, []string{"memory.max", "memory.swap.max", "memory.oom.group"}}},
		},
		"version 2 that keeps all to itself": {
			mounts: "30 20 0:27 / DIR rw - cgroup2 cgroup2 rw\n",
			own:    "0::/a\n",
		},
		"nonsense": {mounts: "x\n - \n1 2 3 4 5 6 - cgroup\n", own: "::\n:\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "mountinfo"), strings.ReplaceAll(test.mounts, "DIR", dir))
			write(t, filepath.Join(dir, "cgroup"), test.own)
			write(t, filepath.Join(dir, "a", "cgroup.subtree_control"), test.subtree)
			var got []found
			for _, g := range findGroups(filepath.Join(dir, "mountinfo"), filepath.Join(dir, "cgroup")) {
				f := found{Dir: strings.ReplaceAll(g.dir, dir, "DIR"), Memory: g.memory}
				for _, s := range g.limits(1) {
					f.Limits = append(f.Limits, s.file)
				}
				got = append(got, f)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKillsForMemoryAreCounted(t *testing.T) {
	tests := map[string]struct {
		text string
		want int
	}{
		"version 1":   {"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2},
		"version 2":   {"low 0\nhigh 0\nmax 12\noom 3\noom_kill 1\noom_group_kill 1\n", 1},
		"none":        {"oom_kill 0\n", 0},
		"an old file": {"oom_kill_disable 0\n", 0},
		"nonsense":    {"oom_kill x\n", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := oomKills(test.text); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
