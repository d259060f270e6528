package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// The control plane's figures.
const (
	meshFor     = 8 * time.Second
	meshClients = 32
	meshWarm    = time.Second
	queueGoal   = 1000.0
	queueP99    = 50 * time.Millisecond
	floorShare  = 0.9
	firstGoal   = 10 * time.Millisecond
	firstTimes  = 101
	agentRSS    = 25 << 20
	agentCPU    = 0.001
	adminKey    = "tma_0123456789abcdef0123456789abcdef0123456789abcdef"
)

// mesh measures a control plane of three nodes, and an agent of one.
func (b *bench) mesh() error {
	stop, nodes, err := b.cluster(3)
	if err != nil {
		return err
	}
	all, one, like, err := b.queued(nodes)
	stop()
	if err != nil {
		return err
	}
	bare, bareOne, err := b.bareRaft(like)
	if err != nil {
		return err
	}
	share := all.perSecond / bare.perSecond
	perSecond := func(l load) string { return fmt.Sprintf("%.0f/s", l.perSecond) }
	b.judged("runs queued, three nodes", perSecond(all), perSecond(bare), share, "1000/s", queueGoal/all.perSecond)
	b.judged("runs queued, p99", ms(all.p99), ms(bare.p99), over(all.p99, bare.p99), "50 ms", over(all.p99, queueP99))
	b.row("  of bare raft, same entries", fmt.Sprintf("%.2f a run", like.entries), fmt.Sprintf("%d B each", like.command), share, "0.90", share >= floorShare)
	b.row("  only the leader is asked", perSecond(one), perSecond(bareOne), one.perSecond/bareOne.perSecond, "", true)
	return b.oneAgent()
}

// load is what many clients did at once.
type load struct {
	perSecond float64
	p99       time.Duration
	calls     int // in all, also before it was measured
}

// drive has clients repeat a call for a while.
func drive(call func(ctx context.Context, worker, n int) error) (load, error) {
	ctx := context.Background()
	from := time.Now().Add(meshWarm)
	end := from.Add(meshFor)
	var mu sync.Mutex
	var took []time.Duration
	var fault error
	var calls int
	var all sync.WaitGroup
	for worker := range meshClients {
		all.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				began := time.Now()
				err := call(ctx, worker, n)
				mu.Lock()
				calls++
				if began.After(from) && err == nil {
					took = append(took, time.Since(began))
				}
				fault = errors.Join(fault, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if fault != nil || len(took) == 0 {
		return load{}, fmt.Errorf("%d calls: %w", len(took), errors.Join(fault, errors.New("some of them failed")))
	}
	slices.Sort(took)
	return load{perSecond: float64(len(took)) / meshFor.Seconds(), p99: took[len(took)*99/100], calls: calls}, nil
}

// started starts a program of the product that ends with stop.
func (b *bench) started(log string, env []string, args ...string) (cmd *exec.Cmd, stop func(), err error) {
	f, err := os.Create(filepath.Join(b.dir, log))
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.Command(b.testmesh, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), append(env, "TESTMESH_ADMIN_KEY="+adminKey)...), f, f
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return cmd, func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		_ = f.Close()
	}, nil
}

// cluster starts so many nodes.
func (b *bench) cluster(size int) (stop func(), nodes []*client.Client, err error) {
	var stops []func()
	stop = func() {
		for _, one := range stops {
			one()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	first := ""
	for i := range size {
		ready := filepath.Join(b.dir, fmt.Sprintf("ready-%d-%d.json", size, i))
		args := []string{"server", "--data", filepath.Join(b.dir, fmt.Sprintf("node-%d-%d", size, i)), "--addr", "127.0.0.1:0", "--ready-file", ready}
		var env []string
		if size > 1 {
			args = append(args, "--cluster-addr", "127.0.0.1:0", "--accept-blob-loss", "--cluster-steady", "500ms")
			if i == 0 {
				args = append(args, "--bootstrap")
			} else {
				token, err := nodes[0].Cluster.CreateNodeToken(context.Background(), &apiv1.CreateNodeTokenRequest{})
				if err != nil {
					return stop, nil, fmt.Errorf("make a node token: %w", err)
				}
				args, env = append(args, "--join", first), []string{"TESTMESH_NODE_TOKEN=" + token.GetSecret()}
			}
		}
		cmd, end, err := b.started(fmt.Sprintf("node-%d-%d.log", size, i), env, args...)
		if err != nil {
			return stop, nil, err
		}
		stops, b.servers = append(stops, end), append(b.servers, cmd)
		c, address, err := waited(ready)
		if err != nil {
			return stop, nil, err
		}
		if i == 0 {
			first = address
		}
		nodes = append(nodes, c)
	}
	return stop, nodes, poll("votes of all nodes", func() error {
		res, err := nodes[0].Cluster.GetCluster(context.Background(), &apiv1.GetClusterRequest{})
		for _, m := range res.GetMembers() {
			if !m.GetVoter() {
				err = errors.New("one has no vote yet")
			}
		}
		if len(res.GetMembers()) < size && size > 1 {
			err = errors.New("not all are members yet")
		}
		return err
	})
}

// waited reads where a node listens, and waits until it answers.
func waited(ready string) (c *client.Client, address string, err error) {
	var where struct {
		API string `json:"api"`
	}
	err = poll("node", func() error {
		text, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &where); err != nil {
			return err
		}
		if c, err = client.New(client.Config{Address: where.API, Key: adminKey}); err != nil {
			return err
		}
		_, err = c.Runs.ListRuns(context.Background(), &apiv1.ListRunsRequest{PageSize: 1})
		return err
	})
	return c, where.API, err
}

// poll waits for a claim, and says why it did not hold.
func poll(what string, holds func() error) error {
	for end := time.Now().Add(30 * time.Second); ; {
		err := holds()
		if err == nil || time.Now().After(end) {
			if err != nil {
				err = fmt.Errorf("wait for %s: %w", what, err)
			}
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// oneAgent measures from the queue to the first step, and an agent that has nothing to do.
func (b *bench) oneAgent() error {
	stop, nodes, err := b.cluster(1)
	if err != nil {
		return err
	}
	defer stop()
	arrived := make(chan time.Time, 1)
	system := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- time.Now() }))
	defer system.Close()
	src, err := uploaded(nodes[0], "flow:\n  name: First\n  steps: [{action: http.request, config: {url: "+system.URL+"}}]\n")
	if err != nil {
		return err
	}
	token, err := nodes[0].Agents.CreateJoinToken(context.Background(), &apiv1.CreateJoinTokenRequest{})
	if err != nil {
		return err
	}
	_, address, err := waited(filepath.Join(b.dir, "ready-1-0.json"))
	if err != nil {
		return err
	}
	cmd, end, err := b.started("agent.log", nil, "agent", "--server", address, "--token", token.GetSecret(), "--data", filepath.Join(b.dir, "agent"), "--name", "bench")
	if err != nil {
		return err
	}
	defer end()
	var took []time.Duration
	for range firstTimes {
		asked := time.Now()
		if _, err := nodes[0].Runs.CreateBatch(context.Background(), &apiv1.CreateBatchRequest{Source: src}); err != nil {
			return err
		}
		select {
		case at := <-arrived:
			took = append(took, at.Sub(asked))
		case <-time.After(30 * time.Second):
			return errors.New("queue to first step: no step came")
		}
		time.Sleep(30 * time.Millisecond) // the agent is idle again
	}
	slices.Sort(took)
	half := took[len(took)/2]
	b.judged("queue to first step, p50", ms(half), "", 0, "10 ms", over(half, firstGoal))
	return b.idle(cmd)
}

// idle looks at a process that has nothing to do. An agent that is at rest has let go of
// the pages of its program's file, which is most of what is resident after the start: see
// giveBack in agent/command.
func (b *bench) idle(cmd *exec.Cmd) error {
	const watch = 10 * time.Second
	time.Sleep(10 * time.Second) // at rest it is eight seconds after its start
	before, err := processor(cmd)
	if err != nil {
		return err
	}
	var memory []int64
	for range watch / time.Second {
		time.Sleep(time.Second)
		now, err := resident(cmd)
		if err != nil {
			return err
		}
		memory = append(memory, now)
	}
	after, err := processor(cmd)
	if err != nil {
		return err
	}
	share := float64(after-before) / float64(watch)
	slices.Sort(memory)
	half := memory[len(memory)/2]
	b.judged("agent at rest, resident", mib(half), "", 0, "25 MiB", float64(half)/agentRSS)
	b.row("  at most, after a poll", mib(memory[len(memory)-1]), "", 0, "", true)
	b.judged("agent at rest, CPU", fmt.Sprintf("%.2f %%", 100*share), "", 0, "0.1 %", share/agentCPU)
	return nil
}

// processor is the time that the threads of a process have had. The kernel's count of it
// in hundredths of a second is as coarse as what is looked for.
func processor(cmd *exec.Cmd) (total time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("find the threads of %d: %w", cmd.Process.Pid, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return 0, err
		}
		var had time.Duration // nanoseconds
		if _, err := fmt.Sscan(string(text), &had); err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		total += had
	}
	if total == 0 {
		return 0, errors.New("this kernel does not count the time of a thread")
	}
	return total, nil
}
