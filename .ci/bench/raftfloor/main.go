// Command raftfloor is a cluster of three bare nodes: hashicorp/raft on raft-wal, a
// state that counts, HTTP in front. What TestMesh costs to queue runs is what it takes
// more than this for as many commits. It never links the product.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "cluster":
		err = cluster(os.Args[2])
	case len(os.Args) == 7 && os.Args[1] == "node":
		err = node(os.Args[2], os.Args[3], os.Args[4:7])
	default:
		err = errors.New("usage: raftfloor cluster FOLDER")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raftfloor:", err)
		os.Exit(1)
	}
}

// cluster starts three nodes as processes, prints the address of the first, which leads,
// and ends with its standard input.
func cluster(dir string) error {
	var peers []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		peers = append(peers, l.Addr().String())
		if err := l.Close(); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i := 2; i >= 0; i-- { // the first is the last, because it begins
		cmd := exec.Command(self, append([]string{"node", filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i)}, peers...)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// counter is the state.
type counter struct{ n uint64 }

func (c *counter) Apply(*raft.Log) any { c.n++; return c.n }

func (c *counter) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	for i, l := range logs {
		out[i] = c.Apply(l)
	}
	return out
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("there are none") }
func (c *counter) Restore(io.ReadCloser) error         { return errors.New("there are none") }

// node is one of them; the first begins the cluster.
func node(dir, number string, peers []string) error {
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
	cfg.CommitTimeout, cfg.BatchApplyCh, cfg.MaxAppendEntries, cfg.Logger = 20*time.Millisecond, true, 256, hclog.NewNullLogger()
	r, err := raft.NewRaft(cfg, &counter{}, log, log, raft.NewDiscardSnapshotStore(), wire)
	if err != nil {
		return err
	}
	if number != "0" {
		select {} // until it is killed
	}
	var all raft.Configuration
	for _, p := range peers {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(p), Address: raft.ServerAddress(p)})
	}
	if err := r.BootstrapCluster(all).Error(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	for r.State() != raft.Leader {
		if lead, _ := r.LeaderWithID(); lead != "" && string(lead) != me {
			return errors.New("another node leads: try again")
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		data, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		if err == nil {
			err = r.Apply(data, 5*time.Second).Error()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
}
