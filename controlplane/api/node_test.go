package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/testmesh/testmesh/controlplane"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
	"github.com/testmesh/testmesh/sdk/client"
)

const adminKey = "tma_0123456789"

// node is a control plane of one node, at a port of this machine.
type node struct {
	t   *testing.T
	url string
	// admin are the services as the administrator calls them.
	admin *client.Client
}

func start(t *testing.T, origins ...string) *node {
	t.Helper()
	return startAt(t, nil, origins...)
}

// startAt starts one that has a clock of its own.
func startAt(t *testing.T, now func() time.Time, origins ...string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	one, err := controlplane.New(controlplane.Config{
		Dir: t.TempDir(), Listener: l, AdminKey: adminKey, Version: "test", Origins: origins, Now: now, Logger: slog.New(slog.DiscardHandler),
		Exit: func(why string) { t.Errorf("the node ended: %s", why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, url: "http://" + l.Addr().String()}
	if n.admin, err = client.New(client.Config{Address: n.url, Key: adminKey}); err != nil {
		t.Fatal(err)
	}
	n.until("the lead", func() error {
		_, err := n.admin.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{Read: apiv1.Read_READ_STRONG})
		return err
	})
	return n
}

// until polls a claim, and reports why it did not hold in time.
func (n *node) until(what string, holds func() error) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("waited for %s: %v", what, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is the error of REST.
type problem struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Reason    string `json:"reason"`
	RequestID string `json:"request_id"`
	Fields    []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"fields"`
}

func (a answer) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return p
}

// field is that of the first complaint.
func (p problem) field() string {
	if len(p.Fields) == 0 {
		return ""
	}
	return p.Fields[0].Field
}

// call sends a request as somebody: edit may change it before.
func (n *node) call(method, path, body string, edit ...func(*http.Request)) answer {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	for _, one := range edit {
		one(req)
	}
	// A connection of its own, so that a test ends when its node has.
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}).Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, data}
}

const helloFlow = "flow:\n  name: Hello\n  suite: first\n  tags: [smoke]\n  steps:\n    - {id: greet, action: log, config: {message: hello}}\n"

// bundle stores one flow.
func (n *node) bundle() string {
	n.t.Helper()
	digest, err := n.admin.Upload(n.t.Context(), map[string][]byte{"flows/hello.testmesh.yaml": []byte(helloFlow)})
	if err != nil {
		n.t.Fatal(err)
	}
	return digest
}

func source(bundle string) *apiv1.Source {
	return &apiv1.Source{Bundle: bundle, Flows: []*apiv1.FlowRef{{File: "flows/hello.testmesh.yaml"}}, Priority: 2}
}

// queue makes a batch of one run, and gives the run once it is made.
func (n *node) queue() *apiv1.Run {
	n.t.Helper()
	b, err := n.admin.Runs.CreateBatch(n.t.Context(), &apiv1.CreateBatchRequest{Source: source(n.bundle())})
	if err != nil {
		n.t.Fatal(err)
	}
	var run *apiv1.Run
	n.until("the run", func() error {
		list, err := n.admin.Runs.ListRuns(n.t.Context(), &apiv1.ListRunsRequest{BatchId: b.GetBatch().GetId()})
		if err == nil && len(list.GetRuns()) == 0 {
			err = errors.New("there is none")
		}
		if err == nil {
			run = list.GetRuns()[0]
		}
		return err
	})
	return run
}

// agent is one that does what a test says, by its own key.
type agent struct {
	node    *node
	id      string
	token   string
	signer  *client.Signer
	gateway apiv1connect.GatewayServiceClient
}

type signing struct{ *agent }

func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if err := s.signer.Sign(req); err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(req)
}

// join makes an agent, and begins its session.
func (n *node) join(name string) *agent {
	n.t.Helper()
	token, err := n.admin.Agents.CreateJoinToken(n.t.Context(), &apiv1.CreateJoinTokenRequest{Pins: map[string]string{"zone": name}})
	if err != nil {
		n.t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	a := &agent{node: n, token: token.GetSecret(), signer: &client.Signer{Session: uuid.Must(uuid.NewV7()).String(), Key: private}}
	a.gateway = apiv1connect.NewGatewayServiceClient(&http.Client{Transport: signing{a}}, n.url)
	joined, err := apiv1connect.NewGatewayServiceClient(http.DefaultClient, n.url).Join(n.t.Context(), &apiv1.JoinRequest{Token: a.token, PublicKey: public, Name: name})
	if err != nil {
		n.t.Fatal(err)
	}
	a.id, a.signer.AgentID = joined.GetAgentId(), joined.GetAgentId()
	if _, err := a.gateway.Hello(n.t.Context(), &apiv1.HelloRequest{Session: a.signer.Session, Slots: 4, Facts: map[string]string{"os": "linux"}}); err != nil {
		n.t.Fatal(err)
	}
	return a
}

// take waits for an offer, and starts it.
func (a *agent) take() (*apiv1.Lease, *apiv1.StartResponse) {
	a.node.t.Helper()
	var lease *apiv1.Lease
	a.node.until("an offer", func() error {
		res, err := a.gateway.Poll(a.node.t.Context(), &apiv1.PollRequest{
			Session: a.signer.Session, PollId: uuid.Must(uuid.NewV7()).String(), FreeSlots: 1, Hold: durationpb.New(time.Second),
		})
		if err == nil && len(res.GetOffers()) == 0 {
			err = errors.New("none came")
		}
		if err == nil {
			lease = res.GetOffers()[0].GetLease()
		}
		return err
	})
	started, err := a.gateway.Start(a.node.t.Context(), &apiv1.StartRequest{Session: a.signer.Session, Lease: lease})
	if err != nil {
		a.node.t.Fatal(err)
	}
	return lease, started
}

// finish sends the stream of a run, and its verdict.
func (a *agent) finish(lease *apiv1.Lease, status apiv1.RunStatus, events string) {
	a.node.t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		a.node.t.Fatal(err)
	}
	frame := &apiv1.Frame{
		Lease: lease, Seq: 1, Data: enc.EncodeAll([]byte(events), nil), Length: int32(len(events)),
		Crc: crc32.Checksum([]byte(events), crc32.MakeTable(crc32.Castagnoli)),
	}
	if _, err := a.gateway.Append(a.node.t.Context(), &apiv1.AppendRequest{Frames: []*apiv1.Frame{frame}}); err != nil {
		a.node.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(events))
	req := &apiv1.FinishRequest{
		Lease: lease, Status: status, DurationMs: 1.5, Steps: &apiv1.Counts{Passed: 1}, StepCount: 1, Outputs: `{"a":1}`,
		StepSummaries: []*apiv1.StepSummary{{StepId: "greet", Action: "log", Phase: "steps", Path: []string{"greet"}, Status: "passed", Tries: 1}},
		StreamBytes:   int64(len(events)), StreamSha256: hex.EncodeToString(sum[:]),
	}
	a.node.until("the verdict", func() error {
		_, err := a.gateway.Finish(a.node.t.Context(), req)
		return err
	})
}

func event(run, kind, rest string) string {
	return `{"v":1,"type":"` + kind + `","seq":1,"time":"2026-11-30T12:00:00Z","batch_id":"b","run_id":"` + run + `","attempt":1,"flow":"Hello"` + rest + "}\n"
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func indent(data []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, data, "", " ") != nil {
		return string(data)
	}
	return out.String()
}
