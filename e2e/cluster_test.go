package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nodes are the three processes of a cluster, and what was started beside them.
type nodes struct {
	*site
	list []*process
}

// process is a node, as its ready file has it.
type process struct {
	cmd  *exec.Cmd
	dir  string
	ID   string `json:"node"`
	API  string `json:"api"`
	Peer string `json:"cluster"`
}

// node starts a node, one of before where it listened before, with more of its flags.
func (n *nodes) node(i int, args ...string) *process {
	n.t.Helper()
	p := &process{dir: filepath.Join(n.dir, fmt.Sprint("node-", i))}
	ready := p.dir + ".json"
	_ = os.Remove(ready) // of the process before
	api, peer := "127.0.0.1:0", "127.0.0.1:0"
	if i < len(n.list) {
		api, peer = strings.TrimPrefix(n.list[i].API, "http://"), n.list[i].Peer
	}
	p.cmd = n.process(append([]string{
		"server", "--data", p.dir, "--addr", api, "--cluster-addr", peer, "--ready-file", ready,
		"--accept-blob-loss", "--cluster-steady", "10ms", "--cluster-heartbeat", "300ms",
	}, args...)...)
	if err := p.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	until(n.t, "a node", func() error {
		data, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, p)
	})
	if i < len(n.list) {
		n.list[i] = p
	} else {
		n.list = append(n.list, p)
	}
	return p
}

// threeNodes starts a cluster, and waits until all of its nodes vote.
func threeNodes(t *testing.T) *nodes {
	t.Helper()
	dir := t.TempDir()
	n := &nodes{site: &site{t: t, dir: dir}}
	n.env = append(environment(dir), "TESTMESH_ADMIN_KEY=tma_of_this_test", "TESTMESH_KEY=tma_of_this_test")
	first := n.node(0, "--bootstrap")
	n.use(first)
	for i := 1; i < 3; i++ {
		n.node(i, "--join", first.API, "--node-token", strings.TrimSpace(n.run(0, "cluster", "token")))
	}
	n.members(3)
	return n
}

// use makes commands ask a node.
func (n *nodes) use(p *process) {
	n.url = p.API
	n.env = append(n.env, "TESTMESH_SERVER="+p.API)
}

type member struct {
	ID                       string
	Leader, Voter, Reachable bool
}

// members waits until so many nodes vote and answer, and gives all that there are.
func (n *nodes) members(want int) (list []member) {
	n.t.Helper()
	until(n.t, fmt.Sprint(want, " members"), func() error {
		var res struct{ Members []member }
		out, err := n.command("cluster", "status", "-o", "json")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if err := json.Unmarshal(out, &res); err != nil {
			return err
		}
		list = res.Members
		well, leader := 0, false
		for _, m := range list {
			if m.Voter && m.Reachable {
				well++
			}
			leader = leader || m.Leader && m.Reachable
		}
		if well != want || !leader {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	return list
}

func (n *nodes) command(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, "testmesh"), args...)
	cmd.Env, cmd.Dir = n.env, n.dir
	return cmd.CombinedOutput()
}

// leader is the node that leads, and the others.
func (n *nodes) leader(want int) (leader int, others []int) {
	n.t.Helper()
	for _, m := range n.members(want) {
		for i, p := range n.list {
			switch {
			case p.ID != m.ID:
			case m.Leader:
				leader = i
			case m.Reachable:
				others = append(others, i)
			}
		}
	}
	return leader, others
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
}

// stop ends a node in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("a node that was stopped in order: %v", err)
	}
}

// agentAt starts an agent that knows one node only.
func (n *nodes) agentAt(name string, p *process) *exec.Cmd {
	n.t.Helper()
	a := n.process("agent", "--server", p.API, "--token", strings.TrimSpace(n.run(0, "agents", "token")), "--data", filepath.Join(n.dir, name), "--name", name)
	if err := a.Start(); err != nil {
		n.t.Fatal(err)
	}
	return a
}

// What was queued at one node runs at an agent of another, each run once, although the
// leader is killed while they run; and a node that comes back is one of them again.
func TestThreeNodesLoseTheirLeader(t *testing.T) {
	w, n := newWitness(t), threeNodes(t)
	leader, others := n.leader(3)
	n.use(n.list[others[0]])
	n.agentAt("one", n.list[others[0]])
	n.agentAt("two", n.list[others[1]])
	n.file("pays.testmesh.yaml", `flow:
  name: Pays
  steps:
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
`)
	const runs = 24
	ended := n.background("pays.testmesh.yaml", "--repeat", fmt.Sprint(runs))
	until(t, "work", func() error {
		if w.atWork() < 4 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	n.list[leader].kill(t)
	close(w.hold)
	if code := <-ended; code != 0 {
		t.Errorf("the batch ended with exit code %d", code)
	}
	w.mu.Lock()
	for run, times := range w.pays {
		if times != 1 {
			t.Errorf("run %s paid %d times", run, times)
		}
	}
	if len(w.pays) != runs || w.overlap != 0 {
		t.Errorf("%d runs paid, and %d requests overlapped", len(w.pays), w.overlap)
	}
	w.mu.Unlock()
	for _, r := range n.records() {
		if r.Status != "PASSED" || len(r.Attempts) != 1 {
			t.Errorf("got %v", r)
		}
	}
	// It needs no token any more.
	back := n.node(leader)
	n.members(3)
	// A node that is taken out ends, by itself and with a reason.
	n.run(0, "cluster", "remove", back.ID)
	if err := back.cmd.Wait(); err == nil {
		t.Error("the node that was removed ended as if nothing had happened")
	}
	log, err := os.ReadFile(back.cmd.Stderr.(*os.File).Name())
	if err != nil || !bytes.Contains(log, []byte("this node was removed from its cluster")) {
		t.Errorf("it said %s (%v)", log, err)
	}
	n.members(2)
	// A new machine takes its place.
	n.node(3, "--join", n.url, "--node-token", strings.TrimSpace(n.run(0, "cluster", "token")))
	n.members(3)
	// The lead is handed over on request, and where its node is stopped.
	_, others = n.leader(3)
	n.use(n.list[others[0]])
	n.run(0, "cluster", "transfer", n.list[others[1]].ID)
	if now, _ := n.leader(3); now != others[1] {
		t.Errorf("node %d leads, and not %d", now, others[1])
	}
	began := time.Now()
	n.list[others[1]].stop(t)
	n.members(2)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the others had no leader for %s", took)
	}
}

// A snapshot becomes a cluster of its own, in which nothing counts that agents still do
// for the one before; and a node whose others are lost goes on alone.
func TestASnapshotAndASurvivor(t *testing.T) {
	w, n := newWitness(t), threeNodes(t)
	first := n.list[0]
	n.use(first)
	n.agentAt("old", first)
	n.file("work.testmesh.yaml", `flow:
  name: Works
  steps:
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
`)
	n.background("work.testmesh.yaml")
	until(t, "work", func() error {
		if w.atWork() != 1 {
			return errors.New("nobody works")
		}
		return nil
	})
	n.run(0, "cluster", "snapshot", "monday.snapshot")
	for _, p := range n.list {
		p.kill(t)
	}
	// Restored: the run begins anew, and what the agent of before says counts no more.
	out := n.run(0, "cluster", "restore", "monday.snapshot", "--data", "restored")
	if !strings.Contains(out, "leases of before have ended") {
		t.Errorf("restore said %q", out)
	}
	n.run(2, "cluster", "restore", "monday.snapshot", "--data", "restored")
	data, err := os.ReadFile(filepath.Join(n.dir, "monday.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	n.file("half.snapshot", string(data[:len(data)/2]))
	if out := n.run(2, "cluster", "restore", "half.snapshot", "--data", "restored", "--force"); !strings.Contains(out, "ends early") {
		t.Errorf("half a snapshot: %q", out)
	}
	if err := os.Rename(filepath.Join(n.dir, "restored"), filepath.Join(n.dir, "node-0")+"-restored"); err != nil {
		t.Fatal(err)
	}
	// Where the agent of before finds it.
	restored := n.process("server", "--data", first.dir+"-restored", "--addr", strings.TrimPrefix(first.API, "http://"), "--blobs", "dir:"+filepath.Join(first.dir, "blobs"))
	if err := restored.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the second attempt", func() error {
		out, err := n.command("runs", "-o", "json")
		if err != nil || !bytes.Contains(out, []byte(`"outcome":"fenced"`)) || !bytes.Contains(out, []byte(`"number":2`)) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	close(w.hold)
	until(t, "its end", func() error {
		r := n.records()
		if len(r) != 1 || r[0].Status != "PASSED" || len(r[0].Attempts) != 2 || r[0].Attempts[0].Outcome != "fenced" || r[0].Attempts[1].Outcome != "finished" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	if err := restored.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = restored.Wait() // it was killed
	// Recovered: one of the old nodes is a cluster of its own.
	if out := n.run(2, "cluster", "recover", "--data", n.list[1].dir); !strings.Contains(out, "--others-are-lost") {
		t.Errorf("got %q", out)
	}
	n.run(0, "cluster", "recover", "--data", n.list[1].dir, "--others-are-lost")
	n.use(n.node(1))
	n.members(1)
	if r := n.records(); len(r) != 1 || r[0].Attempts[0].Outcome != "fenced" {
		t.Errorf("got %v", r)
	}
	n.node(3, "--join", n.url, "--node-token", strings.TrimSpace(n.run(0, "cluster", "token")))
	n.members(2)
}

func TestServerMistakes(t *testing.T) {
	dir := t.TempDir()
	s := &site{t: t, dir: dir, env: environment(dir)}
	s.file("server.yaml", "adr: x\nslots: 1\nleases:\n  ttl: soon\n")
	s.file("good.yaml", "addr: 127.0.0.1:0\ntls: {cert: c.pem}\n")
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.file("data/format", "99\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free := []string{"--addr", "127.0.0.1:0", "--data", "d"}
	// What is wrong in the settings themselves: starting again would change nothing.
	lasting := []string{"a file of settings", "no such file", "half of TLS", "both beginnings", "no address", "blobs in folders", "renewals too rare"}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"a file of settings":   {[]string{"--config", "server.yaml"}, []string{`server.yaml:1:1: there is no setting "adr"`, `did you mean "addr"?`, `server.yaml:2:1: there is no setting "slots"`, `server.yaml:4:8: leases.ttl: "soon" is no time`}},
		"no such file":         {[]string{"--config", "none.yaml"}, []string{"none.yaml"}},
		"half of TLS":          {[]string{"--config", "good.yaml"}, []string{"tls.cert and tls.key belong together"}},
		"no certificate":       {append(free, "--tls-cert", "c.pem", "--tls-key", "k.pem"), []string{"read certificate"}},
		"both beginnings":      {append(free, "--bootstrap", "--join", "https://x"), []string{"give one of them"}},
		"no address":           {append(free, "--bootstrap"), []string{"--cluster-addr"}},
		"blobs in folders":     {append(free, "--bootstrap", "--cluster-addr", "127.0.0.1:0"), []string{"--accept-blob-loss"}},
		"an address of none":   {append(free, "--bootstrap", "--cluster-addr", "0.0.0.0:0", "--accept-blob-loss"), []string{"--cluster-advertise"}},
		"of no cluster":        {append(free, "--cluster-addr", "127.0.0.1:0", "--accept-blob-loss"), []string{"--bootstrap begins one"}},
		"renewals too rare":    {append(free, "--leases-renew", "20s"), []string{"a third of leases.ttl"}},
		"a port that is taken": {[]string{"--data", "d", "--addr", l.Addr().String()}, []string{"listen at"}},
		"a newer format":       {[]string{"--data", "data", "--addr", "127.0.0.1:0"}, []string{"written by a newer version"}},
		"a bucket of none":     {append(free, "--blobs", "ftp://x"), []string{"there are dir and s3"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			code := 2
			if slices.Contains(lasting, name) {
				code = 78
			}
			out := s.run(code, append([]string{"server"}, c.args...)...)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("got %s\nwant %s", out, want)
				}
			}
		})
	}
	out := s.run(0, "server", "--config", "good.yaml", "--leases-ttl", "1m", "--print-config")
	for _, want := range []string{"addr: 127.0.0.1:0 # good.yaml:1:7", "ttl: 1m0s # --leases-ttl", "grace: 15s # default"} {
		if !strings.Contains(out, want) {
			t.Errorf("--print-config lacks %q:\n%s", want, out)
		}
	}
}

// certify writes a certificate of an authority for 127.0.0.1, and gives its number.
func certify(t *testing.T, dir string, number int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "node"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "PRIVATE KEY", Bytes: private}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Duration(number) * time.Second) // the clock of files may be coarse
	if err := os.Chtimes(filepath.Join(dir, "cert.pem"), later, later); err != nil {
		t.Fatal(err)
	}
}

// By https:// a node joins, and people are answered, with a certificate that is read
// again when it is renewed.
func TestNodesWithACertificate(t *testing.T) {
	dir := t.TempDir()
	n := &nodes{site: &site{t: t, dir: dir}}
	n.env = append(environment(dir), "TESTMESH_ADMIN_KEY=tma_of_this_test", "TESTMESH_KEY=tma_of_this_test")
	certify(t, dir, 1)
	first := n.node(0, "--bootstrap", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
	n.use(first)
	token := strings.TrimSpace(n.run(0, "cluster", "token", "--ca-file", "cert.pem"))
	n.run(6, "cluster", "status") // an authority that is not known here
	n.node(1, "--join", first.API, "--ca-file", "cert.pem", "--node-token", token, "--tls-cert", "cert.pem", "--tls-key", "key.pem")
	if out := n.run(0, "cluster", "status", "--ca-file", "cert.pem"); strings.Count(out, "https://127.0.0.1:") != 2 {
		t.Errorf("got %s", out)
	}
	certify(t, dir, 2)
	c, err := tls.Dial("tcp", strings.TrimPrefix(first.API, "https://"), &tls.Config{InsecureSkipVerify: true}) // its number is looked at
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != 2 {
		t.Errorf("got certificate %d, want the new one", got)
	}
}
