package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/structpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// complaint is what an error of Connect says: its code, the field and the reason.
func complaint(err error) (code connect.Code, field, reason string) {
	var known *connect.Error
	if !errors.As(err, &known) {
		return 0, "", ""
	}
	for _, d := range known.Details() {
		v, err := d.Value()
		if err != nil {
			continue
		}
		switch m := v.(type) {
		case *errdetails.BadRequest:
			field = m.GetFieldViolations()[0].GetField()
		case *errdetails.ErrorInfo:
			reason = m.GetReason()
		}
	}
	return known.Code(), field, reason
}

func TestWrongRequestsAreRefusedByField(t *testing.T) {
	n := start(t)
	digest := n.bundle()
	long := strings.Repeat("x", 101)
	const nowhere = "01990000-0000-7000-8000-000000000000"
	tests := map[string]struct {
		method, path, body string
		status             int
		field              string
		words              string
	}{
		"no JSON":                {"POST", "/api/v1/batches", "{", 400, "body", "the body is no such request"},
		"an unknown field":       {"POST", "/api/v1/batches", `{"sauce":{}}`, 400, "sauce", `unknown field "sauce"`},
		"a wrong type":           {"POST", "/api/v1/batches", `{"source":{"priority":"high"}}`, 400, "priority", "invalid value"},
		"a rule of the proto":    {"POST", "/api/v1/batches", `{"source":{"bundle":"x","flows":[{"file":"a"}]}}`, 400, "source.bundle", "pattern"},
		"nothing":                {"POST", "/api/v1/batches", "", 400, "source", "required"},
		"an unknown parameter":   {"GET", "/api/v1/runs?stauts=x", "", 400, "stauts", "no parameter"},
		"a wrong parameter":      {"GET", "/api/v1/runs?page_size=many", "", 400, "page_size", "many"},
		"a parameter twice":      {"GET", "/api/v1/runs/" + nowhere + "?id=" + nowhere, "", 400, "id", "in the path"},
		"a query with a body":    {"POST", "/api/v1/runs:cancel?reason=x", "{}", 400, "reason", "in the body"},
		"a page that is none":    {"GET", "/api/v1/runs?page_token=x", "", 400, "page_token", "page token"},
		"a page of flows":        {"GET", "/api/v1/flows?page_token=x", "", 400, "page_token", "page token"},
		"a tag that is none":     {"GET", "/api/v1/runs?tags=a%2B%2B", "", 400, "tags", ""},
		"an id that is none":     {"GET", "/api/v1/runs/12", "", 400, "id", "UUID"},
		"an unknown run":         {"GET", "/api/v1/runs/" + nowhere, "", 404, "id", "no run " + nowhere},
		"an unknown run in list": {"POST", "/api/v1/runs:cancel", `{"run_ids":["` + nowhere + `"]}`, 404, "run_ids[0]", "no run"},
		"an unknown batch":       {"POST", "/api/v1/runs:priority", `{"batch_id":"` + nowhere + `"}`, 404, "batch_id", "no batch"},
		"nobody to cancel":       {"POST", "/api/v1/runs:cancel", `{}`, 400, "run_ids", "which runs"},
		"nobody to prefer":       {"POST", "/api/v1/runs:priority", `{}`, 400, "run_ids", "which runs"},
		"an unknown environment": {"POST", "/api/v1/batches", `{"source":{"bundle":"` + digest + `","flows":[{"file":"flows/hello.testmesh.yaml"}],"environment":"moon"}}`, 404, "source.environment", "moon"},
		"an unknown flow":        {"POST", "/api/v1/batches", `{"source":{"bundle":"` + digest + `","flows":[{"file":"no.yaml"}]}}`, 400, "source.flows", "no.yaml"},
		"an unknown step":        {"POST", "/api/v1/batches", `{"source":{"bundle":"` + digest + `","flows":[{"file":"flows/hello.testmesh.yaml"}],"from":"gret"}}`, 400, "source.flows", "no step gret"},
		"a path that leads out":  {"POST", "/api/v1/bundles", `{"files":[{"path":"../etc/passwd","sha256":"` + sumOf(nil) + `"}]}`, 400, "files", "leads out"},
		"a file that was not sent": {
			"POST", "/api/v1/bundles", `{"files":[{"path":"a","sha256":"` + sumOf([]byte("never sent")) + `","size":"10"}]}`, 400, "files", "was not sent",
		},
		"a size that is wrong": {
			"POST", "/api/v1/bundles", fmt.Sprintf(`{"files":[{"path":"a","sha256":%q,"size":1}]}`, sumOf([]byte(helloFlow))), 400, "files", "the list says 1",
		},
		"an unknown bundle":       {"POST", "/api/v1/flows:push", `{"bundle":"` + sumOf([]byte("?")) + `"}`, 404, "bundle", "no bundle"},
		"a secret that is short":  {"PUT", "/api/v1/environments/e", `{"secrets":{"PIN":"123"}}`, 400, "secrets.PIN", "at least 4"},
		"an environment of noise": {"PUT", "/api/v1/environments/e", `{"text":"env: ["}`, 400, "text", ""},
		"a key that is long":      {"POST", "/api/v1/agent-tokens", `{"idempotency_key":"` + long + `"}`, 400, "idempotency_key", "100"},
		"an unknown path":         {"GET", "/api/v1/sausages", "", 404, "", "/api/v1/openapi.json"},
		"a method that is not":    {"DELETE", "/api/v1/runs", "", 405, "", "does not take the method DELETE"},
		"an unknown blob":         {"GET", "/api/v1/blobs/" + sumOf([]byte("?")), "", 404, "sha256", "no such blob"},
		"a blob that is another":  {"PUT", "/api/v1/blobs/" + sumOf([]byte("a")), "b", 400, "sha256", "another sha256"},
		"a blob without a sum":    {"PUT", "/api/v1/blobs/a", "b", 400, "sha256", "in hex"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := n.call(test.method, test.path, test.body)
			p := got.problem(t)
			if got.status != test.status || p.field() != test.field || !strings.Contains(strings.ReplaceAll(p.Message, "\u00a0", " "), test.words) {
				t.Errorf("got status %d, field %q: %s", got.status, p.field(), got.body)
			}
			if p.RequestID == "" || p.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("got the id %q, and %q in the header", p.RequestID, got.header.Get("X-Request-Id"))
			}
		})
	}
}

func TestRequestsThatAreTooLarge(t *testing.T) {
	n := start(t)
	large := `{"sha256":["` + strings.Repeat("x", 9<<20) + `"]}`
	if got := n.call("POST", "/api/v1/blobs:missing", large); got.status != http.StatusRequestEntityTooLarge || got.problem(t).Code != "resource_exhausted" || got.problem(t).field() != "body" {
		t.Errorf("REST: got status %d: %s", got.status, got.body)
	}
	_, err := n.admin.Flows.MissingBlobs(t.Context(), &apiv1.MissingBlobsRequest{Sha256: []string{strings.Repeat("x", 9<<20)}})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("Connect: got %v", err)
	}
	// Who may not is told so before his request is read.
	if got := n.call("POST", "/api/v1/blobs:missing", "{", anonymous); got.status != http.StatusUnauthorized {
		t.Errorf("nobody: got status %d", got.status)
	}
	var squeezed bytes.Buffer
	z := gzip.NewWriter(&squeezed)
	if _, err := io.WriteString(z, large); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	got := n.call("POST", "/testmesh.api.v1.FlowService/MissingBlobs", squeezed.String(), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
	if p := got.problem(t); p.Code != "resource_exhausted" {
		t.Errorf("what grows when it is unpacked: got status %d: %s", got.status, got.body)
	}
}

func TestBodiesAreJSON(t *testing.T) {
	n := start(t)
	for what, edit := range map[string]func(*http.Request){
		"a form":     func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") },
		"nothing":    func(r *http.Request) { r.Header.Del("Content-Type") },
		"compressed": func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
	} {
		got := n.call("POST", "/api/v1/blobs:missing", `{"sha256":[]}`, edit)
		if p := got.problem(t); got.status != http.StatusBadRequest || p.field() != "body" {
			t.Errorf("%s: got status %d: %s", what, got.status, got.body)
		}
	}
}

func TestOneKeyIsOneRequest(t *testing.T) {
	n := start(t)
	ctx, digest := t.Context(), n.bundle()
	first, err := n.admin.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: source(digest), IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.admin.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: source(digest), IdempotencyKey: "k"})
	if err != nil || again.GetBatch().GetId() != first.GetBatch().GetId() {
		t.Errorf("got batch %s and %v, want the first again", again.GetBatch().GetId(), err)
	}
	other := source(digest)
	other.Seed = 7
	_, err = n.admin.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: other, IdempotencyKey: "k"})
	if code, field, reason := complaint(err); code != connect.CodeAlreadyExists || field != "idempotency_key" || reason != "idempotency_conflict" {
		t.Errorf("got %v (%s, %s)", err, field, reason)
	}
	// Inputs are a map: the order in which it is written says nothing.
	for range 20 {
		s := source(digest)
		if s.Inputs, err = structpb.NewStruct(map[string]any{"a": 1, "b": 2, "c": 3, "d": map[string]any{"x": 1, "y": 2}}); err != nil {
			t.Fatal(err)
		}
		s.Vars = map[string]string{"a": "1", "b": "2", "c": "3"}
		if _, err := n.admin.Runs.CreateBatch(ctx, &apiv1.CreateBatchRequest{Source: s, IdempotencyKey: "maps"}); err != nil {
			t.Fatal(err)
		}
	}
	token, err := n.admin.Agents.CreateJoinToken(ctx, &apiv1.CreateJoinTokenRequest{IdempotencyKey: "t"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.admin.Agents.CreateJoinToken(ctx, &apiv1.CreateJoinTokenRequest{IdempotencyKey: "t"})
	if code, field, _ := complaint(err); code != connect.CodeFailedPrecondition || field != "idempotency_key" {
		t.Errorf("a secret that was shown is not shown again: got %v", err)
	}
	list, err := n.admin.Agents.ListJoinTokens(ctx, &apiv1.ListJoinTokensRequest{})
	if err != nil || len(list.GetTokens()) != 1 || list.GetTokens()[0].GetId() != token.GetToken().GetId() {
		t.Errorf("got %v and %v, want the one token", list, err)
	}
}

func TestStaleRevisionsAreRefused(t *testing.T) {
	n := start(t)
	ctx, digest := t.Context(), n.bundle()
	stale := func(what string, err error) {
		t.Helper()
		if code, field, reason := complaint(err); code != connect.CodeAborted || field != "base" || reason != "stale_revision" {
			t.Errorf("%s: got %v (%s, %s)", what, err, field, reason)
		}
	}
	pushed, err := n.admin.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest})
	if err != nil || pushed.GetRevision() != 1 || pushed.GetAdded() != 1 {
		t.Fatalf("got %v and %v", pushed, err)
	}
	_, err = n.admin.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest})
	stale("a push that knows of nothing", err)
	if _, err := n.admin.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest, Base: 1}); err != nil {
		t.Error(err)
	}
	_, err = n.admin.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest, Base: 1})
	stale("a push of an older one", err)
	if _, err := n.admin.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest, Base: 1, Force: true}); err != nil {
		t.Error(err)
	}
	put := &apiv1.PutEnvironmentRequest{Name: "staging", Text: "env: {A: b}\n"}
	for range 2 {
		if _, err := n.admin.Environments.PutEnvironment(ctx, put); err != nil {
			t.Fatal(err)
		}
	}
	put.Base = 1
	_, err = n.admin.Environments.PutEnvironment(ctx, put)
	stale("an environment", err)
	if got := n.call("PUT", "/api/v1/environments/staging", `{"text":"","base":"1"}`); got.status != http.StatusConflict || got.problem(t).Reason != "stale_revision" {
		t.Errorf("REST: got status %d: %s", got.status, got.body)
	}
}

func TestSecretsAreNeverShownAgain(t *testing.T) {
	n := start(t)
	const secret = "correct horse battery"
	put := n.call("PUT", "/api/v1/environments/staging", `{"text":"env: {A: b}\n","secrets":{"PASSWORD":"`+secret+`","OTHER":"`+secret+`2"}}`)
	for _, a := range []answer{
		put, n.call("GET", "/api/v1/environments/staging", ""), n.call("GET", "/api/v1/environments", ""),
		n.call("PUT", "/api/v1/environments/staging", `{"text":"","secrets":{"OTHER":""}}`),
	} {
		if a.status != http.StatusOK || bytes.Contains(a.body, []byte(secret)) || !bytes.Contains(a.body, []byte("PASSWORD")) {
			t.Errorf("got status %d: %s", a.status, a.body)
		}
	}
	e, err := n.admin.Environments.GetEnvironment(t.Context(), &apiv1.GetEnvironmentRequest{Name: "staging"})
	if err != nil || len(e.GetEnvironment().GetSecrets()) != 1 || e.GetEnvironment().GetText() != "" {
		t.Errorf("got %v and %v, want PASSWORD alone", e, err)
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	n := start(t, "https://mesh.example.com")
	from := func(origin string, more ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Origin", origin)
			for i := 0; i+1 < len(more); i += 2 {
				r.Header.Set(more[i], more[i+1])
			}
		}
	}
	preflight := n.call(http.MethodOptions, "/testmesh.api.v1.RunService/ListRuns", "", anonymous,
		from("https://mesh.example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,connect-protocol-version"))
	h := preflight.header
	if preflight.status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://mesh.example.com" ||
		!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Errorf("got status %d: %v", preflight.status, h)
	}
	got := n.call("GET", "/api/v1/runs", "", from("https://mesh.example.com"))
	if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "https://mesh.example.com" || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "X-Request-Id") {
		t.Errorf("got status %d: %v", got.status, got.header)
	}
	for _, a := range []answer{
		n.call("GET", "/api/v1/runs", "", from("https://evil.example.com")),
		n.call(http.MethodOptions, "/api/v1/runs", "", anonymous, from("https://evil.example.com", "Access-Control-Request-Method", "DELETE")),
	} {
		if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("another origin: got %v", a.header)
		}
	}
	if a := start(t).call("GET", "/api/v1/runs", "", from("https://mesh.example.com")); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without configuration: got %v", a.header)
	}
}

func TestAnswersAreCompressed(t *testing.T) {
	n := start(t)
	packed := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }
	n.queue()
	for _, a := range []answer{
		n.call("GET", "/api/v1/openapi.json", "", packed), n.call("GET", "/api/v1/runs?page_size=50", "", packed),
		n.call("POST", "/testmesh.api.v1.RunService/ListRuns", "{}", packed),
	} {
		if a.header.Get("Content-Encoding") == "" && len(a.body) > 2000 || a.status != http.StatusOK {
			t.Errorf("got status %d, %d bytes and %v", a.status, len(a.body), a.header)
		}
	}
	list := func(size string, edit ...func(*http.Request)) answer {
		return n.call("POST", "/testmesh.api.v1.RunService/ListRuns", `{"pageSize": `+size+`}`, edit...)
	}
	for range 10 {
		n.queue()
	}
	if a := list("1", packed); a.header.Get("Content-Encoding") != "" || !json.Valid(a.body) {
		t.Errorf("an answer of one packet: got it as %q, %d bytes", a.header.Get("Content-Encoding"), len(a.body))
	}
	a, plain := list("10", packed), list("10")
	if a.header.Get("Content-Encoding") != "gzip" || len(a.body) >= len(plain.body) {
		t.Errorf("an answer of several packets: got it as %q, %d bytes of %d", a.header.Get("Content-Encoding"), len(a.body), len(plain.body))
	}
	if z, err := gzip.NewReader(bytes.NewReader(a.body)); err != nil {
		t.Error(err)
	} else if text, err := io.ReadAll(z); err != nil || !json.Valid(text) {
		t.Errorf("unpacked it is no JSON: %v", err)
	}
	doc := n.call("GET", "/api/v1/openapi.json", "", packed)
	z, err := gzip.NewReader(bytes.NewReader(doc.body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, n.call("GET", "/api/v1/openapi.json", "").body) {
		t.Errorf("unpacked it is another: %v", err)
	}
}

func TestACallerMayNameItsRequest(t *testing.T) {
	n := start(t)
	named := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Request-Id", id) }
	}
	for id, kept := range map[string]bool{"build-17/step:3": true, strings.Repeat("x", 101): false, "two words": false} {
		if got := n.call("GET", "/api/v1/runs", "", named(id)).header.Get("X-Request-Id"); (got == id) != kept || got == "" {
			t.Errorf("%q: got %q", id, got)
		}
	}
}

// One port answers Connect, gRPC, gRPC-Web and REST, and tells tools what it has.
func TestOnePortSpeaksAll(t *testing.T) {
	n := start(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer h2.CloseIdleConnections()
	for name, opt := range map[string]connect.ClientOption{"gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb(), "Connect": connect.WithProtoJSON()} {
		c := apiv1connect.NewClusterServiceClient(h2, n.url, opt, connect.WithInterceptors(key{}))
		if got, err := c.GetCluster(t.Context(), &apiv1.GetClusterRequest{}); err != nil || got.GetVersion() != "test" {
			t.Errorf("%s: got %v and %v", name, got, err)
		}
		nobody := apiv1connect.NewRunServiceClient(h2, n.url, opt)
		s, err := nobody.Watch(t.Context(), &apiv1.WatchRequest{RunId: "01990000-0000-7000-8000-000000000000"})
		if err == nil {
			s.Receive()
			err = errors.Join(s.Err(), s.Close())
		}
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s: a stream for nobody gave %v", name, err)
		}
	}
	reflected := grpcreflect.NewClient(h2, n.url, connect.WithGRPC()).NewStream(t.Context())
	services, err := reflected.ListServices()
	if _, closing := reflected.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	if got := fmt.Sprint(services); !strings.Contains(got, "testmesh.api.v1.RunService") || !strings.Contains(got, "testmesh.api.v1.GatewayService") {
		t.Errorf("got services %s", got)
	}
}
