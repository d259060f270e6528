// Command raftfloor is a cluster of three bare nodes: hashicorp/raft on raft-wal, a
// state that counts, HTTP in front of each. A node that does not lead hands on to the one
// that does, and answers once it has applied the entry itself. What TestMesh costs to
// queue runs is what it takes more than this for as many entries of the same size. It
// never links the product, and has neither TLS nor keys.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "cluster":
		err = cluster(os.Args[2], os.Args[3])
	case len(os.Args) == 11 && os.Args[1] == "node":
		err = node(os.Args[2], os.Args[3], os.Args[4], os.Args[5:8], os.Args[8:11])
	default:
		err = errors.New("usage: raftfloor cluster FOLDER BYTES-OF-AN-ANSWER")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raftfloor:", err)
		os.Exit(1)
	}
}

// cluster starts three nodes as processes, of which the first prints the addresses of
// all, its own, who leads, before the others'. It ends with its standard input.
func cluster(dir, answer string) error {
	raftAt, err := free()
	if err != nil {
		return err
	}
	httpAt, err := free()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i := 2; i >= 0; i-- { // the first is the last, because it begins
		args := append([]string{"node", filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i), answer}, append(raftAt, httpAt...)...)
		cmd := exec.Command(self, args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// free are three addresses that nobody has.
func free() (list []string, err error) {
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// counter is the state: how many entries there were, and which was the newest.
type counter struct {
	mu    sync.Mutex
	n     uint64
	index uint64
	moved chan struct{}
}

func (c *counter) Apply(l *raft.Log) any { return c.ApplyBatch([]*raft.Log{l})[0] }

func (c *counter) ApplyBatch(logs []*raft.Log) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]any, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			c.n++
			out[i] = l.Index
		}
		c.index = l.Index
	}
	close(c.moved)
	c.moved = make(chan struct{})
	return out
}

// wait returns once an entry was applied.
func (c *counter) wait(ctx context.Context, index uint64) error {
	for {
		c.mu.Lock()
		has, moved := c.index >= index, c.moved
		c.mu.Unlock()
		if has {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("there are none") }
func (c *counter) Restore(io.ReadCloser) error         { return errors.New("there are none") }

// node is one of them; the first begins the cluster.
func node(dir, number, answer string, peers, doors []string) error {
	size, err := strconv.Atoi(answer)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return err
	}
	me := peers[number[0]-'0']
	wire, err := raft.NewTCPTransportWithLogger(me, nil, 3, 10*time.Second, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(me)
	// Long: who leads stays the leader, also on a machine that is busy.
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = 5*time.Second, 5*time.Second, 5*time.Second
	cfg.CommitTimeout, cfg.BatchApplyCh, cfg.MaxAppendEntries, cfg.Logger = 5*time.Millisecond, true, 256, hclog.NewNullLogger()
	state := &counter{moved: make(chan struct{})}
	r, err := raft.NewRaft(cfg, state, log, log, raft.NewDiscardSnapshotStore(), wire)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", doors[number[0]-'0'])
	if err != nil {
		return err
	}
	d := &door{raft: r, state: state, answer: bytes.Repeat([]byte("y"), size)}
	if number != "0" {
		d.leader, d.http = "http://"+doors[0], &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
		return http.Serve(l, d)
	}
	if err := begin(r, me, peers, doors); err != nil {
		return err
	}
	fmt.Println("http://" + strings.Join(doors, " http://"))
	return http.Serve(l, d)
}

// begin makes a cluster of which this node is the leader, and waits for the others.
func begin(r *raft.Raft, me string, peers, doors []string) error {
	var all raft.Configuration
	for _, p := range peers {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(p), Address: raft.ServerAddress(p)})
	}
	if err := r.BootstrapCluster(all).Error(); err != nil {
		return err
	}
	for r.State() != raft.Leader {
		if lead, _ := r.LeaderWithID(); lead != "" && string(lead) != me {
			return errors.New("another node leads: try again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, other := range doors[1:] {
		c, err := net.DialTimeout("tcp", other, 5*time.Second)
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// headerIndex says which entry a command became.
const headerIndex = "Index"

// door is HTTP in front of a node.
type door struct {
	raft   *raft.Raft
	state  *counter
	answer []byte
	leader string // "": this node leads
	http   *http.Client
}

func (d *door) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	index, err := d.commit(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set(headerIndex, strconv.FormatUint(index, 10))
	_, _ = w.Write(d.answer) // the caller has gone
}

func (d *door) commit(req *http.Request) (index uint64, err error) {
	data, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	if d.leader == "" {
		f := d.raft.Apply(data, 5*time.Second)
		return f.Index(), f.Error()
	}
	res, err := d.http.Post(d.leader, "", bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the leader answered %s: %w", res.Status, err)
	}
	if index, err = strconv.ParseUint(res.Header.Get(headerIndex), 10, 64); err != nil {
		return 0, err
	}
	return index, d.state.wait(req.Context(), index)
}
