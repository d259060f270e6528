package process

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
)

// bound is when nothing may be left of a plugin whose host has ended. Tests
// allow ten times as long, for machines that do much else.
const bound = 3 * time.Second

// left are the processes that have an argument with the text, or a variable that
// begins with it.
func left(text string) []string {
	var out []string
	for _, pid := range processes() {
		args, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil || pid == os.Getpid() {
			continue
		}
		if bytes.Contains(args, []byte(text)) || isMarked(pid, text) {
			out = append(out, strconv.Itoa(pid)+" "+string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
		}
	}
	return out
}

// noneLeft waits until nothing is left of what has the text, and says how long
// that took.
func noneLeft(t *testing.T, text string) {
	t.Helper()
	begin := time.Now()
	for {
		processes := left(text)
		took := time.Since(begin)
		if len(processes) == 0 {
			t.Logf("nothing was left after %v, the bound is %v", took.Round(time.Millisecond), bound)
			return
		}
		if took > 10*bound {
			t.Fatalf("%v later there is still %s", took, strings.Join(processes, ", "))
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	for _, kind := range []string{"good", "stubborn"} {
		t.Run(kind, func(t *testing.T) {
			for _, way := range []string{"alone", "shared"} {
				t.Run(way, func(t *testing.T) {
					t.Parallel()
					dir := shortDir(t)
					p, err := New(Config{Programs: []pluginhost.Program{programOf(kind, kind)}, Dir: dir})
					if err != nil {
						t.Fatal(err)
					}
					if way == "shared" {
						p.caps.noIsolation()
					}
					if _, err := run(p, "r1", kind+".daemons", dir); err != nil {
						t.Fatal(err)
					}
					if n := len(left(marker(dir))); n < 4 {
						t.Fatalf("%d processes run, want the plugin and three that it daemonized", n)
					}
					begin := time.Now()
					if err := p.Close(); err != nil {
						t.Error(err)
					}
					took := time.Since(begin)
					t.Logf("closed in %v, the bound is %v", took.Round(time.Millisecond), bound)
					if took > 10*bound {
						t.Errorf("closed in %v", took)
					}
					noneLeft(t, marker(dir))
					noneLeft(t, dir) // as an argument
					if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
						t.Errorf("its folder still holds %v (%v)", entries, err)
					}
				})
			}
		})
	}
}

// What a plugin daemonized ends with its host by the kernel where it is alone in
// a namespace, by the host's guardian where it shares ours, and by the next host
// where the guardian was killed too.
func TestNothingIsLeftAfterTheHostWasKilled(t *testing.T) {
	for _, kind := range []string{"good", "stubborn"} {
		for _, way := range []string{"alone", "shared", "unguarded"} {
			t.Run(kind+" "+way, func(t *testing.T) {
				t.Parallel()
				dir := shortDir(t)
				mark := marker(dir)
				t.Cleanup(func() { endMarked(mark) })
				groups := killedHost(t, dir, kind, way)
				if way == "unguarded" {
					noPluginLeft(t, mark)
					if n := len(left(mark)); n != 3 {
						t.Errorf("%d daemons live before the next host starts, want 3: what clears them away is not tried", n)
					}
					sweep(dir)
				}
				noneLeft(t, mark)
				noneLeft(t, dir) // the guardian too
				sweep(dir)
				if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
					t.Errorf("its folder still holds %v (%v)", entries, err)
				}
				for _, g := range groups {
					if _, err := os.Stat(g); err == nil {
						t.Errorf("the control group %s is left", g)
					}
				}
			})
		}
	}
}

// killedHost starts a host with a plugin that daemonizes, and kills it. It gives
// the control groups that the host had made.
func killedHost(t *testing.T, dir, kind, way string) (groups []string) {
	t.Helper()
	host := exec.Command("/proc/self/exe", "plugin", "host", dir, kind, way)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Wait() }()
	defer func() { _ = host.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("the host said %q, %v", line, err)
	}
	if n := len(left(marker(dir))); n < 4 {
		t.Fatalf("%d processes run, want the plugin and three that it daemonized", n)
	}
	runtimes, err := filepath.Glob(filepath.Join(dir, dirPrefix+"*"))
	if err != nil || len(runtimes) != 1 {
		t.Fatalf("got %v, %v", runtimes, err)
	}
	for _, g := range findGroups("/proc/self/mountinfo", "/proc/self/cgroup") {
		found, err := filepath.Glob(filepath.Join(g.dir, filepath.Base(runtimes[0])+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, found...)
	}
	t.Logf("it made %d control groups", len(groups))
	return groups
}

// noPluginLeft waits until the plugin itself has ended with its host.
func noPluginLeft(t *testing.T, mark string) {
	t.Helper()
	begin := time.Now()
	for {
		all := strings.Join(left(mark), "\n")
		if !strings.Contains(all, "plugin good") && !strings.Contains(all, "plugin stubborn") {
			t.Logf("the plugin had ended after %v, the bound is %v", time.Since(begin).Round(time.Millisecond), bound)
			return
		}
		if time.Since(begin) > 10*bound {
			t.Fatalf("there is still %s", all)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestWhatIsNoRuntimeDirectoryIsLeftAlone(t *testing.T) {
	dir := shortDir(t)
	others := map[string]os.FileMode{
		"testmesh-abcdef/data":               0o700, // no lock of ours
		"testmesh-cache/" + lockName:         0o700, // no name of ours
		"testmesh-shared/x/" + lockName:      0o700,
		"testmesh-public/" + lockName:        0o755, // for everybody
		"other-abcdef/" + lockName:           0o700,
		"testmesh-123456":                    0o700, // a file
		"testmesh-plugins/" + lockName + "x": 0o700,
	}
	for name, mode := range others {
		write(t, filepath.Join(dir, name), "x")
		if top, _, folder := strings.Cut(name, "/"); folder {
			if err := os.Chmod(filepath.Join(dir, top), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := filepath.Join(dir, "testmesh-a1b2c3")
	write(t, filepath.Join(ours, lockName), "")
	if err := os.Chmod(ours, 0o700); err != nil {
		t.Fatal(err)
	}
	sweep(dir)
	for name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(ours); err == nil {
		t.Error("what a killed host left is there still")
	}
}

func TestALivingHostsFolderIsLeftAlone(t *testing.T) {
	p := good(t)
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Fatal(err)
	}
	sweep(p.cfg.Dir)
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Errorf("another host's start ended it: %v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(p.cfg.Dir, dirPrefix+"*", lockName)); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}
