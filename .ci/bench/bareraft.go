package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// likeness is what a bare raft must do for its figure to be one of the same thing.
type likeness struct {
	command, answer int     // bytes of an entry of the log, and of an answer
	entries         float64 // of the log, for each run
}

// queued queues batches of one run: at all nodes, and at the one that leads alone.
func (b *bench) queued(nodes []*client.Client) (all, one load, like likeness, err error) {
	src, err := uploaded(nodes[0], "flow:\n  name: Queued\n  steps: [{action: log, config: {message: hello}}]\n")
	if err != nil {
		return all, one, like, err
	}
	queue := func(kind string, at []*client.Client) (load, error) {
		return drive(func(ctx context.Context, worker, n int) error {
			_, err := at[worker%len(at)].Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: src, IdempotencyKey: fmt.Sprintf("%s-%d-%d", kind, worker, n)})
			return err
		})
	}
	_, before, err := leader(nodes)
	if err != nil {
		return all, one, like, err
	}
	if all, err = queue("all", nodes); err != nil {
		return all, one, like, err
	}
	lead, after, err := leader(nodes)
	if err != nil {
		return all, one, like, err
	}
	like.entries = float64(after-before) / float64(all.calls)
	if one, err = queue("one", []*client.Client{lead}); err != nil {
		return all, one, like, err
	}
	like.command, like.answer, err = sizes(lead, src)
	return all, one, like, err
}

// leader is the node that leads, and up to which entry it has applied the log.
func leader(nodes []*client.Client) (c *client.Client, applied uint64, err error) {
	err = poll("a leader", func() error {
		res, err := nodes[0].Cluster.GetCluster(context.Background(), &apiv1.GetClusterRequest{})
		if err != nil {
			return err
		}
		for _, m := range res.GetMembers() {
			at := slices.IndexFunc(nodes, func(n *client.Client) bool { return n.Address() == m.GetApiAddress() })
			if m.GetLeader() && at >= 0 {
				c, applied = nodes[at], m.GetAppliedIndex()
				return nil
			}
		}
		return fmt.Errorf("no node leads: %v", res.GetMembers())
	})
	return c, applied, err
}

// sizes are those of the entry and of the answer that queue one run.
func sizes(c *client.Client, src *apiv1.Source) (command, answer int, err error) {
	ctx, key := context.Background(), "as-long-as-the-others"
	res, err := c.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: src, IdempotencyKey: key})
	if err != nil {
		return 0, 0, err
	}
	runs, err := c.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{BatchId: res.GetBatch().GetId(), Read: apiv1.Read_READ_STRONG})
	if err != nil {
		return 0, 0, err
	}
	create := &clusterv1.CreateBatch{Id: res.GetBatch().GetId(), Source: src}
	for _, r := range runs.GetRuns() {
		create.Runs = append(create.Runs, &clusterv1.NewRun{Id: r.GetId(), Spec: r.GetSpec()})
	}
	return proto.Size(&clusterv1.Command{
		Version: 1, RequestId: "key/admin/CreateBatchRequest/" + key, RequestDigest: make([]byte, sha256.Size), Time: res.GetBatch().GetCreated(), Workspace: "default",
		Actor: "admin", Body: &clusterv1.Command_CreateBatch{CreateBatch: create},
	}), proto.Size(res), nil
}

func uploaded(c *client.Client, text string) (*apiv1.Source, error) {
	const file = "bench.testmesh.yaml"
	digest, err := c.Upload(context.Background(), map[string][]byte{file: []byte(text)})
	return &apiv1.Source{Bundle: digest, Flows: []*apiv1.FlowRef{{File: file}}, Priority: 2}, err
}

// bareRaft has the floor commit the same: as many bytes an entry, by as many clients, at
// all nodes and at the leader alone, with answers as large. Its nodes hand on to the leader
// and answer once they have applied the entry themselves, as those of TestMesh do.
func (b *bench) bareRaft(like likeness) (all, one load, err error) {
	program, err := b.build("raftfloor")
	if err != nil {
		return all, one, err
	}
	cmd := exec.Command(program, "cluster", filepath.Join(b.dir, "raftfloor-data"), fmt.Sprint(like.answer))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return all, one, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return all, one, err
	}
	if err := cmd.Start(); err != nil {
		return all, one, err
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return all, one, fmt.Errorf("read the floor's addresses: %w", err)
	}
	urls := strings.Fields(line) // the leader's is the first
	body := bytes.Repeat([]byte("x"), like.command)
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: meshClients}}
	commit := func(urls []string) (load, error) {
		return drive(func(ctx context.Context, worker, _ int) error {
			return post(ctx, c, urls[worker%len(urls)], body, like.answer)
		})
	}
	if all, err = commit(urls); err != nil {
		return all, one, err
	}
	one, err = commit(urls[:1])
	return all, one, err
}

// post sends a body and wants an answer of so many bytes.
func post(ctx context.Context, c *http.Client, url string, body []byte, answer int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && (res.StatusCode != http.StatusOK || n != int64(answer)) {
		err = fmt.Errorf("the floor answered %s with %d bytes", res.Status, n)
	}
	return err
}
