package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func streamRows() []row {
	return []row{
		{
			name: "R19", title: "the way of a log is cut a hundred times, and the node killed", full: 90 * time.Second, ci: 60 * time.Second,
			red: []string{"no_offset_check"}, run: cutLog,
		},
		{
			name: "R20", title: "a run writes more than its spool may hold while the node is away, and nobody reads", full: 20 * time.Second, ci: 12 * time.Second,
			red: []string{"no_spool_bound"}, run: logBomb,
		},
	}
}

// noise is text that does not get smaller, the same for the same step.
func noise(step string, kib int) string {
	sum := sha256.Sum256([]byte(step))
	data := make([]byte, kib<<10*3/4)
	_, _ = rand.NewChaCha8(sum).Read(data) // it never errs
	return base64.StdEncoding.EncodeToString(data)
}

// viewer reads a stream to its end, over as many connections as that takes.
type viewer struct {
	got   []byte
	tries int
	err   error
}

// watch reads a run's stream from a node at an address.
func watch(ctx context.Context, address, key, run string) (v viewer) {
	for ctx.Err() == nil {
		v.tries++
		c, err := client.New(client.Config{Address: address, Key: key})
		if err != nil {
			v.err = err
			return v
		}
		done, err := v.read(ctx, c, run)
		if done {
			return v
		}
		v.err = err
		pause(ctx, 50*time.Millisecond)
	}
	return v
}

func (v *viewer) read(ctx context.Context, c *client.Client, run string) (done bool, err error) {
	stream, err := c.Runs.Watch(ctx, &apiv1.WatchRequest{RunId: run, Offset: int64(len(v.got))})
	if err != nil {
		return false, err
	}
	defer func() { _ = stream.Close() }() // what it says has been read
	for stream.Receive() {
		m := stream.Msg()
		if m.GetRestarted() {
			v.got = nil
		}
		switch at := m.GetOffset(); {
		case len(m.GetData()) == 0:
		case at != int64(len(v.got)):
			return true, fmt.Errorf("the stream goes on at %d, and %d bytes are here", at, len(v.got))
		default:
			v.got = append(v.got, m.GetData()...)
		}
		if r := m.GetRun(); r != nil && terminal(r) {
			return true, nil
		}
	}
	return false, stream.Err()
}

const (
	cutKiB  = 48
	cutMost = 100
)

// text is how many steps of cutKiB a run has, and after how much of it a connection is
// cut: the cuts are to come before the end, and most of them after a whole frame, of
// 192 KiB, which gets a sender on.
func (t *trial) text() (steps int, after int64) {
	if t.short {
		return 250, 300 << 10
	}
	return 450, 300 << 10
}

// cutLog sends megabytes over a proxy that cuts the agent's connections in the middle of
// frames, kills the node on the way, and reads along over another one that cuts too.
func cutLog(ctx context.Context, t *trial) {
	w := t.witness
	var agents *proxy
	s := newSite(ctx, t, plan{nodes: 1, agents: 1, slots: 1, lease: 15 * time.Second, grace: 5 * time.Second, through: func(_ int, address string) string {
		if agents == nil {
			agents = newProxy(t, strings.TrimPrefix(address, "http://"))
		}
		return agents.url()
	}})
	viewers := newProxy(t, s.nodes[0].address)
	count, after := t.text()
	var steps []string
	for i := range count {
		steps = append(steps, w.read(fmt.Sprintf("s%d", i), 20, fmt.Sprintf("&noise=%d", cutKiB)))
	}
	src := s.upload(ctx, flow{name: "Text", steps: steps})
	agents.cutAfter(after, cutMost)
	viewers.cutAfter(after, cutMost/2)
	batch := s.queue(ctx, "text", src)
	run := s.firstRun(ctx, batch)
	read := make(chan viewer, 1)
	go func() { read <- watch(ctx, viewers.url(), s.key, run) }()
	kills := 0
	for _, share := range []int{20, 50} {
		t.until(ctx, 60*time.Second, "a part of the stream", func() error {
			if visits, _, _, _ := w.of(run); len(visits) < count*share/100 {
				return fmt.Errorf("%d of %d steps", len(visits), count)
			}
			return nil
		})
		s.nodes[0].kill()
		kills++
		s.startNode(s.nodes[0], "")
		s.ready(ctx, s.nodes[0])
	}
	byBatch, _ := s.settled(ctx, 120*time.Second, false)
	v := <-read
	o := s.judge(byBatch, 0)
	t.observed(agents.count(), cutMost, "connections of the agent cut")
	t.observed(viewers.count(), 10, "connections of the viewer cut")
	t.observed(kills, 2, "nodes killed")
	t.none(len(o.list)-o.passed, "runs that did not pass")
	s.judgeStream(ctx, o.list[0], v, count)
	s.finish()
}

// judgeStream compares what a viewer got, piece by piece, with what a reader gets who
// comes afterwards, with the sum that the agent gave, and with what the witness sent.
func (s *site) judgeStream(ctx context.Context, r *apiv1.Run, v viewer, steps int) {
	t := s.t
	last := r.GetAttempts()[len(r.GetAttempts())-1]
	late := watch(ctx, "http://"+s.nodes[0].address, s.key, r.GetId())
	if late.err != nil {
		t.failf("read the stream at the end: %v", late.err)
	}
	sum := sha256.Sum256(late.got)
	if got := hex.EncodeToString(sum[:]); got != last.GetStreamSha256() || int64(len(late.got)) != last.GetStreamBytes() {
		t.failf("the stream has %d bytes of sha256 %s, and the agent sent %d of %s", len(late.got), got, last.GetStreamBytes(), last.GetStreamSha256())
	}
	if !bytes.Equal(v.got, late.got) {
		t.failf("a viewer over %d connections has %d bytes, which are not the %d that are kept", v.tries, len(v.got), len(late.got))
	}
	missing, order := 0, []string{}
	for line := range bytes.Lines(late.got) {
		var e struct {
			Type   string `json:"type"`
			StepID string `json:"step_id"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.failf("a line of the stream is no event: %v", err)
			return
		}
		if e.Type == "step.finished" {
			order = append(order, e.StepID)
			if !bytes.Contains(line, []byte(noise(e.StepID, cutKiB))) {
				missing++
			}
		}
	}
	want := make([]string, steps)
	for i := range want {
		want[i] = fmt.Sprintf("s%d", i)
	}
	if strings.Join(order, " ") != strings.Join(want, " ") {
		t.failf("the steps of the stream are not each there once, in their order: %d of %d", len(order), len(want))
	}
	t.none(missing, "answers of the witness that the stream does not have as they were sent")
	t.note("%d bytes, by %d connections of the viewer", len(late.got), v.tries)
}

// cutAfter cuts connections after so many bytes, on average, so often.
func (p *proxy) cutAfter(bytes int64, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after, p.most, p.cuts = bytes, most, 0
	for c := range p.open {
		_ = c.Close() // those that were opened before are not cut in the middle
	}
}

// firstRun is the run of a batch.
func (s *site) firstRun(ctx context.Context, batch string) (id string) {
	s.t.until(ctx, 30*time.Second, "the run of a batch", func() error {
		byBatch, err := s.runs(ctx)
		if err == nil && len(byBatch[batch]) == 0 {
			err = errors.New("there is none")
		}
		if err == nil {
			id = byBatch[batch][0].GetId()
		}
		return err
	})
	return id
}

const (
	// spoolBound is that of one run; a marker and what verdicts need come on top.
	spoolBound = 64 << 20
	spoolSlack = 4 << 20
	stalled    = 50
)

// bombRounds are of two requests with 60 KiB each: more than the spool holds.
func (t *trial) bombRounds() int {
	if t.short {
		return 650
	}
	return 900
}

// logBomb has a run write a hundred megabytes while its node is away.
func logBomb(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 1, agents: 2, slots: 1, lease: 60 * time.Second, grace: 10 * time.Second})
	src := s.upload(ctx, flow{name: "Bomb", steps: []string{
		w.read("first", 10, ""),
		fmt.Sprintf(`- {id: each, action: for_each, config: {range: {start: 1, end: %d}, steps: [`, t.bombRounds()) +
			fmt.Sprintf(`{id: one, action: http.request, config: {method: PUT, url: "%[1]s/read/one", body: "%[2]s"}}, {id: two, action: http.request, config: {method: PUT, url: "%[1]s/read/two", body: "%[2]s"}}]}}`,
				w.URL, strings.Repeat("bang ", 12<<10)),
	}})
	small := s.upload(ctx, flow{name: "Small", steps: []string{w.pay("small", 5)}})
	batch := s.queue(ctx, "bomb", src)
	run := s.firstRun(ctx, batch)
	t.until(ctx, 30*time.Second, "the first step", func() error {
		if visits, _, _, _ := w.of(run); len(visits) < 3 {
			return fmt.Errorf("%d requests", len(visits))
		}
		return nil
	})
	closeAll := s.stall(ctx, run)
	defer closeAll()
	s.nodes[0].kill()
	most, steps := s.spooled(ctx, run)
	s.startNode(s.nodes[0], "")
	s.ready(ctx, s.nodes[0])
	back := time.Now()
	before := s.nodes[0].resident()
	closeMore := s.stall(ctx, run)
	defer closeMore()
	// Others are served meanwhile.
	var waits []time.Duration
	for n := range 20 {
		began := time.Now()
		one := s.queue(ctx, fmt.Sprintf("small-%d", n), small)
		t.until(ctx, 60*time.Second, "a small run", func() error {
			res, err := s.nodes[0].client.Runs.GetBatch(ctx, &apiv1.GetBatchRequest{Id: one})
			if err == nil && res.GetBatch().GetStatus() <= apiv1.BatchStatus_BATCH_STATUS_ACTIVE {
				err = errors.New("it has not ended")
			}
			return err
		})
		waits = append(waits, time.Since(began))
	}
	byBatch, _ := s.settled(ctx, 120*time.Second, false)
	t.took(time.Since(back), 30*time.Second, "the result is there after the node is")
	grown := max(0, s.nodes[0].resident()-before)
	o := s.judge(byBatch, 0)
	t.none(len(o.list)-o.passed, "runs that did not pass")
	t.observed(steps, t.bombRounds(), "steps while the node was away")
	t.within(most, spoolBound+spoolSlack, "bytes of the spool")
	t.took(percentile(waits, 99), 2*time.Second, "a small run beside it, p99,")
	t.note("the node grew by %d MiB with %d viewers that do not read", grown>>20, stalled)
	s.judgeMarkers(ctx, byBatch[batch][0])
	s.finish()
}

// spooled waits until the run has made all its requests, with the node away, and gives
// how large its spool became.
func (s *site) spooled(ctx context.Context, run string) (most int64, steps int) {
	s.t.until(ctx, 120*time.Second, "the end of the bomb", func() error {
		files, err := filepath.Glob(filepath.Join(s.dir, "agent-*", "spool", "*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				most = max(most, info.Size())
			}
		}
		visits, _, _, _ := s.t.witness.of(run)
		if steps = len(visits); steps < 2*s.t.bombRounds() {
			return fmt.Errorf("%d of %d requests", steps, 2*s.t.bombRounds())
		}
		return nil
	})
	return most, steps
}

// stall opens connections that ask for a stream and never read it.
func (s *site) stall(ctx context.Context, run string) (closeAll func()) {
	var open []net.Conn
	body := fmt.Sprintf(`{"runId":%q}`, run)
	envelope := append([]byte{0, 0, 0, 0, byte(len(body))}, body...)
	for range stalled {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", s.nodes[0].address)
		s.t.must(err, "open a viewer")
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10) // a wish
		_, err = fmt.Fprintf(c, "POST /testmesh.api.v1.RunService/Watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/connect+json\r\nConnect-Protocol-Version: 1\r\nContent-Length: %d\r\n\r\n%s", s.key, len(envelope), envelope)
		s.t.must(err, "ask for a stream")
		line, err := bufio.NewReaderSize(io.LimitReader(c, 64), 16).ReadString('\n')
		if err != nil || !strings.Contains(line, "200") {
			s.t.failf("a viewer was not served: %q %v", line, err)
		}
		open = append(open, c)
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			for _, c := range open {
				_ = c.Close()
			}
		})
	}
}

// judgeMarkers wants the stream to say what is missing in it: what the agent wrote is
// what is kept and what the markers count.
func (s *site) judgeMarkers(ctx context.Context, r *apiv1.Run) {
	v := watch(ctx, "http://"+s.nodes[0].address, s.key, r.GetId())
	markers, dropped, finished, exchanges, size := 0, int64(0), 0, 0, int64(0)
	for line := range bytes.Lines(v.got) {
		var e struct {
			Type    string `json:"type"`
			Dropped int64  `json:"dropped_bytes"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.failf("a line of the stream is no event: %v", err)
			return
		}
		switch e.Type {
		case "stream.cut":
			markers++
			dropped += e.Dropped
		case "step.finished":
			finished++
		case "step.exchange":
			exchanges++
			size += int64(len(line))
		}
	}
	s.t.observed(markers, 1, "markers of what was left out")
	s.t.none(2*s.t.bombRounds()+2-finished, "ends of steps left out")
	lost := 2*s.t.bombRounds() + 1 - exchanges
	s.t.observed(lost, 1, "exchanges left out")
	// All exchanges of the loop are of one size, but for digits of numbers and times.
	if exchanges > 0 && lost > 0 {
		each := size / int64(exchanges)
		if wrong := dropped/int64(lost) - each; wrong > each/20 || wrong < -each/20 {
			s.t.failf("the markers count %d bytes for %d exchanges of %d", dropped, lost, each)
		}
	}
	s.t.note("%d bytes are kept, %d in %d markers", len(v.got), dropped, markers)
}
