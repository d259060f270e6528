package api_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/zstd"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// liveFrame is a frame as a page reads it.
type liveFrame struct {
	V       int               `json:"v"`
	Type    string            `json:"type"`
	ID      string            `json:"id"`
	Version string            `json:"version"`
	BeatMS  int64             `json:"beat_ms"`
	Items   []json.RawMessage `json:"items"`
	Gone    []string          `json:"gone"`
	Order   []string          `json:"order"`
	Value   json.RawMessage   `json:"value"`
	Attempt int32             `json:"attempt"`
	Offset  int64             `json:"offset"`
	Next    int64             `json:"next"`
	Text    string            `json:"text"`
	Error   *problem          `json:"error"`
}

// page is a browser's tab, as far as the socket goes.
type page struct {
	t    *testing.T
	conn *websocket.Conn
}

// open opens a socket; edit may change its request before.
func (n *node) open(edit ...func(http.Header, *websocket.Dialer)) (*page, *http.Response, error) {
	n.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + adminKey}}
	d := &websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	for _, one := range edit {
		one(header, d)
	}
	conn, res, err := d.DialContext(n.t.Context(), "ws"+strings.TrimPrefix(n.url, "http")+"/api/v1/live", header)
	if res != nil {
		n.t.Cleanup(func() { _ = res.Body.Close() }) // of a refusal
	}
	if err != nil {
		return nil, res, err
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	p := &page{n.t, conn}
	if hello := p.next(); hello.Type != "hello" || hello.V != 1 || hello.BeatMS <= 0 {
		n.t.Errorf("it begins with %+v", hello)
	}
	return p, res, nil
}

func (n *node) page() *page {
	n.t.Helper()
	p, _, err := n.open()
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

func (p *page) ask(text string) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) subscribe(id, topic, request string) {
	p.t.Helper()
	p.ask(fmt.Sprintf(`{"op":"subscribe","id":%q,"topic":%q,"request":%s}`, id, topic, request))
}

// next is the next frame but for those that only say that the socket lives.
func (p *page) next() liveFrame {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		var f liveFrame
		if err := p.conn.ReadJSON(&f); err != nil {
			p.t.Fatal(err)
		}
		if f.Type != "beat" {
			return f
		}
	}
}

// wait skips frames until one fits.
func (p *page) wait(what string, fits func(liveFrame) bool) liveFrame {
	p.t.Helper()
	for range 1000 {
		if f := p.next(); fits(f) {
			return f
		}
	}
	p.t.Fatalf("%s did not come", what)
	return liveFrame{}
}

func status(t *testing.T, raw json.RawMessage) (id, status string) {
	t.Helper()
	var r struct{ ID, Status string }
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r.ID, r.Status
}

func TestAListComesWholeAndThenItsChanges(t *testing.T) {
	n := start(t)
	old := n.queue()
	p := n.page()
	p.subscribe("a", "runs", `{"page_size":10}`)
	first := p.next()
	if id, is := status(t, first.Items[0]); first.Type != "snapshot" || first.ID != "a" || id != old.GetId() || is != "RUN_STATUS_QUEUED" {
		t.Errorf("first came %+v", first)
	}
	young := n.queue()
	added := p.wait("the new run", func(f liveFrame) bool { return len(f.Order) == 2 })
	if id, _ := status(t, added.Items[0]); added.Type != "delta" || len(added.Items) != 1 || id != young.GetId() || !slices.Equal(added.Order, []string{young.GetId(), old.GetId()}) {
		t.Errorf("then came %+v", added)
	}
	if _, err := n.admin.Runs.Cancel(t.Context(), &apiv1.CancelRequest{RunIds: []string{old.GetId()}}); err != nil {
		t.Fatal(err)
	}
	changed := p.wait("the cancelled run", func(f liveFrame) bool { return len(f.Items) > 0 })
	if id, is := status(t, changed.Items[0]); id != old.GetId() || is != "RUN_STATUS_CANCELLED" || len(changed.Order) != 0 {
		t.Errorf("then came %+v", changed)
	}
	p.subscribe("b", "runs", `{"status":["RUN_STATUS_QUEUED"]}`)
	if f := p.wait("the list that is filtered", func(f liveFrame) bool { return f.ID == "b" }); len(f.Items) != 1 {
		t.Errorf("filtered it is %+v", f)
	}
	if _, err := n.admin.Runs.Cancel(t.Context(), &apiv1.CancelRequest{RunIds: []string{young.GetId()}}); err != nil {
		t.Fatal(err)
	}
	if f := p.wait("what left the list", func(f liveFrame) bool { return f.ID == "b" && len(f.Gone) > 0 }); !slices.Equal(f.Gone, []string{young.GetId()}) {
		t.Errorf("it is %+v", f)
	}
}

func TestAPageThatComesBackIsSentWhatIsNew(t *testing.T) {
	n := start(t)
	n.queue()
	p := n.page()
	p.subscribe("a", "runs", `{}`)
	version := p.next().Version
	_ = p.conn.Close()
	p = n.page()
	again := fmt.Sprintf(`{"op":"subscribe","id":"a","topic":"runs","version":%q}`, version)
	p.ask(again)
	if f := p.next(); f.Type != "same" || f.Version != version || len(f.Items) != 0 {
		t.Errorf("nothing has changed, and %+v came", f)
	}
	n.queue()
	if f := p.wait("the change", func(f liveFrame) bool { return f.Type == "delta" }); len(f.Items) == 0 {
		t.Errorf("got %+v", f)
	}
	p = n.page()
	p.ask(again)
	if f := p.next(); f.Type != "snapshot" || len(f.Items) != 2 {
		t.Errorf("much has changed, and %+v came", f)
	}
}

func TestUpdatesAreNotFasterThanAPersonReads(t *testing.T) {
	n := start(t)
	p := n.page()
	p.subscribe("a", "batches", `{}`)
	p.next()
	digest := n.bundle()
	began := time.Now()
	for range 30 {
		if _, err := n.admin.Runs.CreateBatch(t.Context(), &apiv1.CreateBatchRequest{Source: source(digest)}); err != nil {
			t.Fatal(err)
		}
	}
	updates := 0
	p.wait("all of them", func(f liveFrame) bool { updates++; return len(f.Order) == 30 })
	if most := int(time.Since(began)/(100*time.Millisecond)) + 1; updates > most {
		t.Errorf("%d updates in %v", updates, time.Since(began))
	}
}

func TestEveryTopicHasSomethingToShow(t *testing.T) {
	n := start(t)
	run := n.queue()
	n.join("eu-1")
	p := n.page()
	for topic, request := range map[string]string{
		"runs": `{}`, "batches": `{}`, "agents": `{}`, "queue": `{}`, "cluster": `{}`, "quarantine": `{}`,
		"run": `{"id":"` + run.GetId() + `"}`, "batch": `{"batch_id":"` + run.GetBatchId() + `"}`,
	} {
		p.subscribe(topic, topic, request)
		f := p.wait(topic, func(f liveFrame) bool { return f.ID == topic })
		if shows := len(f.Items) > 0 || len(f.Value) > 0; f.Type != "snapshot" || !shows && topic != "quarantine" {
			t.Errorf("%s: %+v", topic, f)
		}
	}
}

func TestABatchEnds(t *testing.T) {
	n := start(t)
	run := n.queue()
	p := n.page()
	p.subscribe("b", "batch", `{"batch_id":"`+run.GetBatchId()+`"}`)
	p.next()
	a := n.join("eu-1")
	lease, _ := a.take()
	a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, event(run.GetId(), "run.started", ""))
	passed := false
	p.wait("the end", func(f liveFrame) bool {
		for _, one := range f.Items {
			_, is := status(t, one)
			passed = passed || is == "RUN_STATUS_PASSED"
		}
		return f.Type == "end"
	})
	if !passed {
		t.Error("nothing said that the run passed")
	}
}

func TestWhatIsNoSubscription(t *testing.T) {
	n := start(t)
	p := n.page()
	tests := map[string]struct{ ask, code, want string }{
		"topic":   {`{"op":"subscribe","id":"x","topic":"secrets"}`, "invalid_argument", "there are agents, batch, batches"},
		"op":      {`{"op":"delete","id":"x"}`, "invalid_argument", `there is no op "delete"`},
		"field":   {`{"op":"subscribe","id":"x","topic":"runs","request":{"colour":"red"}}`, "invalid_argument", "colour"},
		"value":   {`{"op":"subscribe","id":"x","topic":"runs","request":{"page_size":5000}}`, "invalid_argument", "page_size"},
		"run":     {`{"op":"subscribe","id":"x","topic":"run","request":{"id":"0198c5b2-0000-7000-8000-000000000000"}}`, "not_found", "0198c5b2"},
		"stream":  {`{"op":"subscribe","id":"x","topic":"stream","request":{"run_id":"nonsense"}}`, "invalid_argument", "run_id"},
		"nothing": {`{}`, "invalid_argument", "there are subscribe and unsubscribe"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p.ask(test.ask)
			f := p.next()
			if f.Type != "error" || f.Error == nil || f.Error.Code != test.code || !strings.Contains(f.Error.Message, test.want) {
				t.Errorf("got %+v %+v", f, f.Error)
			}
		})
	}
	for i := range 65 {
		p.subscribe(fmt.Sprint(i), "queue", `{}`)
	}
	if f := p.wait("a refusal", func(f liveFrame) bool { return f.Type == "error" }); f.ID != "64" || !strings.Contains(f.Error.Message, "as many subscriptions") {
		t.Errorf("got %+v", f)
	}
	p.ask(`{"op":"unsubscribe","id":"3"}`)
	p.subscribe("more", "queue", `{}`)
	p.wait("one more", func(f liveFrame) bool { return f.ID == "more" && f.Type == "snapshot" })
	p.ask(`no JSON`)
	for {
		if _, _, err := p.conn.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, 4000) {
				t.Errorf("it was closed with %v", err)
			}
			return
		}
	}
}

func TestWhoMayOpenALiveSocket(t *testing.T) {
	n := start(t, "https://ui.example.com")
	tests := map[string]struct {
		edit   func(http.Header, *websocket.Dialer)
		status int // 0: it is opened
	}{
		"a program with a key":         {func(http.Header, *websocket.Dialer) {}, 0},
		"nobody":                       {func(h http.Header, _ *websocket.Dialer) { h.Del("Authorization") }, http.StatusUnauthorized},
		"a wrong key":                  {func(h http.Header, _ *websocket.Dialer) { h.Set("Authorization", "Bearer tma_other") }, http.StatusUnauthorized},
		"a page of this server":        {func(h http.Header, _ *websocket.Dialer) { h.Set("Origin", n.url) }, 0},
		"a page of an origin that may": {func(h http.Header, _ *websocket.Dialer) { h.Set("Origin", "https://ui.example.com") }, 0},
		"a page of another origin":     {func(h http.Header, _ *websocket.Dialer) { h.Set("Origin", "https://evil.example.com") }, http.StatusForbidden},
		"a page, by its protocol": {func(h http.Header, d *websocket.Dialer) {
			h.Del("Authorization")
			d.Subprotocols = []string{"testmesh.live.v1", "testmesh.key." + adminKey}
		}, 0},
		"a page with a wrong key": {func(h http.Header, d *websocket.Dialer) {
			h.Del("Authorization")
			d.Subprotocols = []string{"testmesh.live.v1", "testmesh.key.tma_other"}
		}, http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, res, err := n.open(test.edit)
			if (err == nil) != (test.status == 0) || test.status != 0 && (res == nil || res.StatusCode != test.status) {
				t.Fatalf("got %v, %v", res, err)
			}
			if p != nil && strings.Contains(p.conn.Subprotocol(), adminKey) {
				t.Error("the key was sent back")
			}
		})
	}
}

// write sends a part of a run's stream.
func (a *agent) write(lease *apiv1.Lease, offset int, text string) {
	a.node.t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		a.node.t.Fatal(err)
	}
	_, err = a.gateway.Append(a.node.t.Context(), &apiv1.AppendRequest{Frames: []*apiv1.Frame{{
		Lease: lease, Offset: int64(offset), Data: enc.EncodeAll([]byte(text), nil), Length: int32(len(text)),
		Crc: crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)),
	}}})
	if err != nil {
		a.node.t.Fatal(err)
	}
}

func TestAPageThatIsCutTwentyTimesSeesEveryByteOnce(t *testing.T) {
	n := start(t)
	run := n.queue()
	a := n.join("eu-1")
	lease, _ := a.take()
	random := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for i := range 2000 {
		b.WriteString(event(run.GetId(), "step.log", fmt.Sprintf(`,"message":"Zeile %d – %s"`, i, strings.Repeat("é", random.IntN(300)))))
	}
	text := b.String()
	more := make(chan struct{}, 1000)
	go func() {
		for at := 0; at < len(text)-1; { // the rest comes with the verdict
			<-more
			part := min(1+random.IntN(6_000), len(text)-1-at)
			a.write(lease, at, text[at:at+part])
			at += part
		}
		a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, text)
	}()
	var got strings.Builder
	attempt, next, cuts := int32(0), int64(0), 0
	for ended := false; !ended; {
		for range 10 + 1000*(cuts/20) {
			select {
			case more <- struct{}{}:
			default:
			}
		}
		p := n.page()
		p.subscribe("s", "stream", fmt.Sprintf(`{"run_id":%q,"attempt":%d,"offset":%d}`, run.GetId(), attempt, next))
		for left := 1 + cuts%5; ; left-- {
			if left == 0 && cuts < 20 {
				cuts++
				_ = p.conn.Close()
				break
			}
			f := p.next()
			if f.Type == "end" {
				if _, is := status(t, f.Value); is != "RUN_STATUS_PASSED" || f.Next != int64(len(text)) {
					t.Errorf("it ended with %+v", f)
				}
				ended = true
				break
			}
			if f.Type != "stream" || f.Offset != next || !strings.HasSuffix(f.Text, "\n") {
				t.Fatalf("at %d came %s at %d: %.80q", next, f.Type, f.Offset, f.Text)
			}
			got.WriteString(f.Text)
			attempt, next = f.Attempt, f.Next
		}
	}
	if cuts != 20 || got.String() != text {
		t.Errorf("after %d cuts %d bytes were seen of %d", cuts, got.Len(), len(text))
	}
}

func TestANodeThatEndsTellsItsPages(t *testing.T) {
	var p *page
	t.Run("a node", func(t *testing.T) {
		n := start(t)
		conn, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(n.url, "http")+"/api/v1/live", http.Header{"Authorization": {"Bearer " + adminKey}})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // of an upgrade: there is none
		p = &page{t, conn}
		p.subscribe("a", "runs", `{}`)
		p.wait("the list", func(f liveFrame) bool { return f.ID == "a" })
	})
	defer p.conn.Close()
	for {
		if _, _, err := p.conn.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("it was closed with %v", err)
			}
			return
		}
	}
}
