package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
	"github.com/testmesh/testmesh/sdk/client"
)

// The control plane's figures with much in it.
const (
	parkedAgents = 500
	parkedGoal   = 512 << 20
	hotRuns      = 200_000
	hotBatch     = 10_000
	readTimes    = 1_000
	readGoal     = 10 * time.Millisecond
	ingestGoal   = 100.0 // MB/s
)

// scale measures a node with many agents that wait, and one with many runs.
func (b *bench) scale() error {
	if err := b.ingest(); err != nil {
		return err
	}
	stop, nodes, err := b.cluster(1)
	if err != nil {
		return err
	}
	defer stop()
	_, address, err := waited(filepath.Join(b.dir, "ready-1-0.json"))
	if err != nil {
		return err
	}
	leave, err := park(nodes[0], address)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // all of them wait
	memory, err := resident(b.servers[len(b.servers)-1])
	leave()
	if err != nil {
		return err
	}
	b.judged(fmt.Sprintf("%d agents that wait, node's memory", parkedAgents), mib(memory), "", 0, "512 MiB", float64(memory)/parkedGoal)
	return b.reads(nodes[0])
}

// ingest is the benchmark of the package: frames of a stream, until they are in blobs.
func (b *bench) ingest() error {
	out, err := exec.Command("go", "test", "./controlplane/stream", "-run", "^$", "-bench", "^BenchmarkIngest$", "-benchtime", "2s").CombinedOutput()
	if err != nil {
		return fmt.Errorf("measure ingest: %w\n%s", err, tail(string(out)))
	}
	found := regexp.MustCompile(`(?m)^BenchmarkIngest(\S*)\s.*?([\d.]+) MB/s`).FindAllStringSubmatch(string(out), -1)
	if len(found) == 0 {
		return fmt.Errorf("measure ingest: no figure in\n%s", tail(string(out)))
	}
	for _, one := range found {
		rate, err := strconv.ParseFloat(one[2], 64)
		if err != nil {
			return err
		}
		b.judged("log ingest "+strings.Trim(one[1], "/-0123456789"), fmt.Sprintf("%.0f MB/s", rate), "", 0, "100 MB/s", ingestGoal/rate)
	}
	return nil
}

// signing proves an agent in each of its requests.
type signing struct {
	signer *client.Signer
	next   http.RoundTripper
}

func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.signer.AgentID != "" {
		req = req.Clone(req.Context())
		if err := s.signer.Sign(req); err != nil {
			return nil, err
		}
	}
	return s.next.RoundTrip(req)
}

// park has agents join and wait, each over a connection of its own.
func park(c *client.Client, address string) (leave func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	leave = func() { cancel(); waiting.Wait() }
	token, err := c.Agents.CreateJoinToken(ctx, &apiv1.CreateJoinTokenRequest{Uses: parkedAgents})
	if err != nil {
		return leave, fmt.Errorf("make a join token: %w", err)
	}
	for n := range parkedAgents {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return leave, err
		}
		s := &client.Signer{Session: uuid.Must(uuid.NewV7()).String(), Key: private}
		g := apiv1connect.NewGatewayServiceClient(&http.Client{Transport: signing{s, &http.Transport{}}}, address)
		joined, err := g.Join(ctx, &apiv1.JoinRequest{Token: token.GetSecret(), PublicKey: public, Name: fmt.Sprintf("parked-%d", n)})
		if err != nil {
			return leave, fmt.Errorf("join agent %d: %w", n, err)
		}
		s.AgentID = joined.GetAgentId()
		if _, err := g.Hello(ctx, &apiv1.HelloRequest{Session: s.Session, Slots: 4, Facts: map[string]string{"os": "linux"}}); err != nil {
			return leave, fmt.Errorf("greet as agent %d: %w", n, err)
		}
		waiting.Go(func() {
			for ctx.Err() == nil {
				// Without room, so that none of them is given anything.
				_, _ = g.Poll(ctx, &apiv1.PollRequest{Session: s.Session, PollId: uuid.NewString(), Hold: durationpb.New(30 * time.Second)})
			}
		})
	}
	return leave, nil
}

// resident is the memory of a process as the system shows it.
func resident(cmd *exec.Cmd) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, err
	}
	return pages * int64(os.Getpagesize()), nil
}

// reads lists and gets runs of a state that is full of them.
func (b *bench) reads(c *client.Client) error {
	ctx := context.Background()
	src, err := uploaded(c, "flow:\n  name: Hot\n  tags: [hot]\n  steps: [{action: log, config: {message: hello}}]\n")
	if err != nil {
		return err
	}
	src.Repeat = hotBatch
	var batches []string
	for range hotRuns / hotBatch {
		res, err := c.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: src})
		if err != nil {
			return fmt.Errorf("queue %d runs: %w", hotBatch, err)
		}
		id := res.GetBatch().GetId()
		batches = append(batches, id)
		if err := poll("the runs of a batch", func() error {
			got, err := c.Runs.GetBatch(ctx, &apiv1.GetBatchRequest{Id: id})
			if err == nil && !got.GetBatch().GetExpanded() {
				err = errors.New("they are not all made yet")
			}
			return err
		}); err != nil {
			return err
		}
	}
	page, err := c.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{PageSize: 200, BatchId: batches[0]})
	if err != nil {
		return err
	}
	waiting := []apiv1.RunStatus{apiv1.RunStatus_RUN_STATUS_QUEUED, apiv1.RunStatus_RUN_STATUS_FAILED}
	kinds := []struct {
		name string
		call func(n int) error
	}{
		{"list of 50 runs, p95", func(n int) error {
			req := &apiv1.ListRunsRequest{PageSize: 50}
			switch n % 6 { // the slowest of six is in the p95
			case 1:
				req.BatchId = batches[n%len(batches)]
			case 2:
				req.Flow = "Hot"
			case 3:
				req.Status = waiting
			case 4:
				req.BatchId, req.Status = batches[n%len(batches)], waiting
			case 5:
				req.Flow, req.Status = "Hot", waiting
			}
			res, err := c.Runs.ListRuns(ctx, req)
			if err == nil && len(res.GetRuns()) != 50 {
				err = fmt.Errorf("%d runs came", len(res.GetRuns()))
			}
			return err
		}},
		{"get of a run, p95", func(int) error {
			_, err := c.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: page.GetRuns()[mathrand.IntN(len(page.GetRuns()))].GetId()})
			return err
		}},
	}
	for _, kind := range kinds {
		var took []time.Duration
		for n := range readTimes {
			began := time.Now()
			if err := kind.call(n); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		p95 := took[len(took)*95/100]
		b.judged(fmt.Sprintf("%s (%d hot)", kind.name, hotRuns), ms(p95), "", 0, "10 ms", over(p95, readGoal))
	}
	return nil
}
