package e2e

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// addresses are those of all nodes, as --server takes them.
func (n *nodes) addresses() string {
	var list []string
	for _, p := range n.list {
		list = append(list, p.API)
	}
	return strings.Join(list, ",")
}

// An agent that knows all nodes goes on at another one when the one that it asks is
// killed: what it runs is not begun anew, and it takes new work. The
// command line does the same.
func TestAnAgentGoesOnAtAnotherNode(t *testing.T) {
	w, n := newWitness(t), threeNodes(t)
	n.file("pays.testmesh.yaml", `flow:
  name: Pays
  steps:
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
`)
	// In the environment of the site: every command knows all of them from now on.
	n.env = append(n.env, "TESTMESH_SERVER="+n.addresses())
	listen := freeAddress(t)
	a := n.process("agent", "--server", n.addresses(), "--token", strings.TrimSpace(n.run(0, "agents", "token")), "--data", filepath.Join(n.dir, "a"), "--listen", listen, "--slots", "2")
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	asks := func() int {
		var st struct {
			Server string
			Ready  bool
		}
		until(t, "the agent", func() error {
			if out, err := n.command("agent", "status", "--data", filepath.Join(n.dir, "a"), "--listen", listen); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		n.decode(&st, "agent", "status", "--data", filepath.Join(n.dir, "a"), "--listen", listen)
		return slices.IndexFunc(n.list, func(p *process) bool { return p.API == st.Server })
	}
	ended := n.background("pays.testmesh.yaml", "--repeat", "2")
	until(t, "work", func() error {
		if got := w.atWork(); got != 2 {
			return fmt.Errorf("%d at work", got)
		}
		return nil
	})
	first := asks()
	if first < 0 {
		t.Fatal("the agent asks none of the nodes")
	}
	n.list[first].kill(t)
	until(t, "another node", func() error {
		if now := asks(); now == first {
			return errors.New("it asks the node that is gone")
		}
		return nil
	})
	close(w.hold)
	if code := <-ended; code != 0 {
		t.Errorf("the batch ended with exit code %d", code)
	}
	for _, r := range n.records() {
		if r.Status != "PASSED" || len(r.Attempts) != 1 {
			t.Errorf("got %v", r)
		}
	}
	if code := <-n.background("pays.testmesh.yaml"); code != 0 {
		t.Errorf("new work ended with exit code %d", code)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.overlap != 0 || len(w.pays) != 3 {
		t.Errorf("%d runs paid, and %d requests overlapped", len(w.pays), w.overlap)
	}
}

// freeAddress is one that nothing listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Addresses that are none are told at once.
func TestAnAgentsAddresses(t *testing.T) {
	s := newSite(t)
	for _, address := range []string{"mesh.example.com", "http://", s.url + ",", s.url + "?x=1"} {
		if out := s.run(2, "agent", "--server", address, "--data", filepath.Join(s.dir, "a")); !strings.Contains(out, "is no address of a control plane") {
			t.Errorf("%s: got %s", address, out)
		}
	}
	out := s.run(1, "agent", "doctor", "--server", s.url+",http://127.0.0.1:1", "--data", filepath.Join(s.dir, "a"))
	if !strings.Contains(out, "http://127.0.0.1:1") || !strings.Contains(out, "✓  control plane") || !strings.Contains(out, "✗  connection") {
		t.Errorf("got %s", out)
	}
}
