package auth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/testmesh/testmesh/controlplane/auth"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// keys are those of a test: agents and the tokens of runs.
type keys struct {
	agents  map[string]ed25519.PublicKey
	session string
	runs    map[string]string
	behind  bool
	asked   int
}

func (k *keys) AgentKey(_ context.Context, id string) ([]byte, string, error) {
	k.asked++
	if k.behind {
		return nil, "", auth.ErrBehind
	}
	if key, ok := k.agents[id]; ok {
		return key, k.session, nil
	}
	return nil, "", errors.New("there is none")
}

func (k *keys) RunOfToken(_ context.Context, sum []byte) (string, error) {
	if k.behind {
		return "", auth.ErrBehind
	}
	if run, ok := k.runs[string(sum)]; ok {
		return run, nil
	}
	return "", errors.New("there is none")
}

func (k *keys) Fresh(context.Context) error {
	if k.behind {
		return auth.ErrBehind
	}
	return nil
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// gate says who comes through a guard.
type gate struct {
	guard http.Handler
	who   auth.Identity
}

func newGate(cfg auth.Config) *gate {
	g := &gate{}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return noon }
	}
	g.guard = auth.New(cfg).Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { g.who = auth.From(r.Context()) }))
	return g
}

func (g *gate) ask(req *http.Request) (status int, body string) {
	g.who = auth.Identity{}
	w := httptest.NewRecorder()
	g.guard.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func TestWhoCalls(t *testing.T) {
	admin, token := sha256.Sum256([]byte("tma_key")), sha256.Sum256([]byte("tmr_token"))
	k := &keys{runs: map[string]string{string(token[:]): "r1"}}
	tests := map[string]struct {
		bearer string
		status int
		who    string
	}{
		"nobody":                   {"", 200, "nobody"},
		"the administrator":        {"Bearer tma_key", 200, "admin"},
		"another key":              {"Bearer tma_other", 401, ""},
		"a key that begins as it":  {"Bearer tma_key2", 401, ""},
		"a run":                    {"Bearer tmr_token", 200, "run r1"},
		"a run that has ended":     {"Bearer tmr_ended", 401, ""},
		"another kind of password": {"Basic tma_key", 200, "nobody"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGate(auth.Config{Keys: k, AdminSHA256: admin[:]})
			req := httptest.NewRequest(http.MethodPost, "/x", nil)
			if test.bearer != "" {
				req.Header.Set("Authorization", test.bearer)
			}
			status, body := g.ask(req)
			if status != test.status || status == 200 && g.who.String() != test.who || strings.Contains(body, "tma_") {
				t.Errorf("got status %d, %s: %s", status, g.who, body)
			}
		})
	}
	g := newGate(auth.Config{Keys: &keys{behind: true}, AdminSHA256: admin[:]})
	req := httptest.NewRequest(http.MethodPost, "/x", nil)
	req.Header.Set("Authorization", "Bearer tmr_token")
	if status, _ := g.ask(req); status != http.StatusServiceUnavailable {
		t.Errorf("a node that cannot say who calls: got status %d", status)
	}
	none := newGate(auth.Config{Keys: k})
	req = httptest.NewRequest(http.MethodGet, "/x", nil)
	req.Header.Set("Authorization", "Bearer ")
	if status, _ := none.ask(req); status != 401 {
		t.Errorf("an empty key where there is no administrator: got status %d", status)
	}
}

// An open control plane answers programs and pages of this machine, and nobody else: not
// a page of elsewhere by a name that points here, either.
func TestOpenIsForThisMachine(t *testing.T) {
	tests := map[string]struct {
		host, origin, site string
		status             int
	}{
		"a program":                         {"127.0.0.1:7070", "", "", 200},
		"a name of this machine":            {"localhost:7070", "", "", 200},
		"a name below it":                   {"mesh.localhost", "", "", 200},
		"another address of the loopback":   {"[::1]:7070", "", "", 200},
		"a page of this machine":            {"localhost:7070", "http://localhost:5173", "", 200},
		"a name of elsewhere":               {"evil.example.com:7070", "", "", 403},
		"an address of elsewhere":           {"192.0.2.1:7070", "", "", 403},
		"a page of elsewhere":               {"localhost:7070", "https://evil.example.com", "", 403},
		"a page whose origin is none":       {"localhost:7070", "null", "", 403},
		"a page that sends no origin":       {"localhost:7070", "", "cross-site", 403},
		"a page that looks like one of its": {"localhost:7070", "https://localhost.evil.example.com", "", 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGate(auth.Config{Keys: &keys{}, Open: true})
			req := httptest.NewRequest(http.MethodGet, "/api/v1/runs", nil)
			req.Host = test.host
			if test.origin != "" {
				req.Header.Set("Origin", test.origin)
			}
			if test.site != "" {
				req.Header.Set("Sec-Fetch-Site", test.site)
			}
			if status, body := g.ask(req); status != test.status || status == 200 && g.who.Kind != auth.Administrator {
				t.Errorf("got status %d, %s: %s", status, g.who, body)
			}
		})
	}
}

func TestAgentsProveThemselves(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := noon
	k := &keys{agents: map[string]ed25519.PublicKey{"a1": public}, session: "s1"}
	g := newGate(auth.Config{Keys: k, Now: func() time.Time { return now }})
	signed := func(path, body string, s client.Signer) *http.Request {
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		if s.Now == nil {
			s.Now = func() time.Time { return now }
		}
		if err := s.Sign(req); err != nil {
			t.Fatal(err)
		}
		return req
	}
	mine := client.Signer{AgentID: "a1", Session: "s1", Key: private}
	req := signed("/x/Poll", "body", mine)
	if status, body := g.ask(req); status != 200 || g.who != (auth.Identity{Kind: auth.Agent, ID: "a1", Session: "s1"}) {
		t.Fatalf("got status %d, %v: %s", status, g.who, body)
	}
	refused := map[string]*http.Request{
		"sent twice":            req,
		"of another key":        signed("/x/Poll", "", client.Signer{AgentID: "a1", Session: "s1", Key: foreign}),
		"of nobody":             signed("/x/Poll", "", client.Signer{AgentID: "a2", Session: "s1", Key: private}),
		"of an older session":   signed("/x/Poll", "", client.Signer{AgentID: "a1", Session: "s0", Key: private}),
		"of a clock that jumps": signed("/x/Poll", "", client.Signer{AgentID: "a1", Session: "s1", Key: private, Now: func() time.Time { return noon.Add(time.Hour) }}),
	}
	other := signed("/x/Poll", "body", mine)
	other.URL.Path = "/x/Finish"
	refused["for another method"] = other
	changed := signed("/x/Poll", "body", mine)
	changed.Body = http.NoBody
	refused["with another body"] = changed
	unsigned := signed("/x/Poll", "body", mine)
	unsigned.Header.Del(client.HeaderSignature)
	refused["without a signature"] = unsigned
	for name, req := range refused {
		if status, body := g.ask(req); status != http.StatusUnauthorized || g.who.Kind != auth.Nobody {
			t.Errorf("%s: got status %d, %v: %s", name, status, g.who, body)
		}
	}
	// Hello makes its session the newest.
	if status, _ := g.ask(signed("/x/Hello", "", client.Signer{AgentID: "a1", Session: "s2", Key: private})); status != 200 {
		t.Errorf("Hello of a new session: got status %d", status)
	}
	// A request stays known for as long as its time would be accepted, and not longer.
	late := signed("/x/Poll", "late", mine)
	if status, _ := g.ask(late); status != 200 {
		t.Fatalf("got status %d", status)
	}
	again := late.Clone(t.Context())
	again.Body = http.NoBody
	now = noon.Add(client.MaxSkew - time.Second)
	if status, _ := g.ask(again); status != http.StatusUnauthorized {
		t.Errorf("the same request later: got status %d", status)
	}
	now = noon.Add(3 * client.MaxSkew)
	if status, _ := g.ask(signed("/x/Poll", "", mine)); status != 200 {
		t.Errorf("after what was seen is forgotten: got status %d", status)
	}
	k.behind = true
	if status, _ := g.ask(signed("/x/Poll", "", mine)); status != http.StatusServiceUnavailable {
		t.Errorf("a node that cannot say who calls: got status %d", status)
	}
}

func TestAMethodWithoutAPermissionStopsTheStart(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("x.proto"), Package: proto.String("x"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: proto.String("Open"), InputType: proto.String(".x.M"), OutputType: proto.String(".x.M")},
		}}},
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.ReadRules(d); err == nil || !strings.Contains(err.Error(), "/x.S/Open") {
		t.Errorf("got %v, want it to name /x.S/Open", err)
	}
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, apiv1.E_Permission, apiv1.Permission_PERMISSION_READ)
	file.Service[0].Method[0].Options = options
	if d, err = protodesc.NewFile(file, nil); err != nil {
		t.Fatal(err)
	}
	rules, err := auth.ReadRules(d)
	if err != nil || rules["/x.S/Open"] != apiv1.Permission_PERMISSION_READ {
		t.Errorf("got %v and %v", rules, err)
	}
}

func TestRulesAreKept(t *testing.T) {
	rules, err := auth.ReadRules(apiv1.File_testmesh_api_v1_api_proto, apiv1.File_testmesh_api_v1_gateway_proto)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		kind   auth.Kind
		method string
		code   connect.Code // 0: he may
	}{
		"nobody joins":             {auth.Nobody, "/testmesh.api.v1.GatewayService/Join", 0},
		"nobody reads":             {auth.Nobody, "/testmesh.api.v1.RunService/ListRuns", connect.CodeUnauthenticated},
		"the administrator reads":  {auth.Administrator, "/testmesh.api.v1.RunService/ListRuns", 0},
		"the administrator polls":  {auth.Administrator, "/testmesh.api.v1.GatewayService/Poll", connect.CodePermissionDenied},
		"an agent polls":           {auth.Agent, "/testmesh.api.v1.GatewayService/Poll", 0},
		"an agent reads":           {auth.Agent, "/testmesh.api.v1.RunService/ListRuns", connect.CodePermissionDenied},
		"a run reads":              {auth.Run, "/testmesh.api.v1.RunService/ListRuns", connect.CodePermissionDenied},
		"a method that nobody has": {auth.Administrator, "/testmesh.api.v1.RunService/Guess", connect.CodeUnimplemented},
	}
	for name, test := range tests {
		err := rules.Check(auth.With(t.Context(), auth.Identity{Kind: test.kind}), test.method)
		if got := connect.CodeOf(err); err == nil && test.code != 0 || err != nil && got != test.code {
			t.Errorf("%s: got %v, want code %v", name, err, test.code)
		}
	}
	for kind, want := range map[auth.Kind]int{auth.Nobody: 401, auth.Agent: 403, auth.Administrator: 200} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/api/v1/blobs/x", nil)
		auth.Require(apiv1.Permission_PERMISSION_READ, func(http.ResponseWriter, *http.Request) {})(w, req.WithContext(auth.With(t.Context(), auth.Identity{Kind: kind})))
		if w.Code != want || want != 200 && (w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `"code"`)) {
			t.Errorf("%s: got status %d: %s", auth.Identity{Kind: kind}, w.Code, w.Body)
		}
	}
}

func TestSecretsAreSealedForAPurpose(t *testing.T) {
	file := filepath.Join(t.TempDir(), "below", "seal.key")
	key, err := auth.LoadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v and %v", info.Mode(), err)
	}
	again, err := auth.LoadKey(file)
	if err != nil || string(again) != string(key) {
		t.Errorf("the key is another one when it is read again: %v", err)
	}
	seal, err := auth.NewSeal(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal.Close([]byte("hunter22"), "secret", "default", "staging", "PASSWORD")
	if strings.Contains(string(sealed), "hunter22") || string(sealed) == string(seal.Close([]byte("hunter22"), "secret", "default", "staging", "PASSWORD")) {
		t.Error("it can be read, or two of the same value are seen to be")
	}
	if got, err := seal.Open(sealed, "secret", "default", "staging", "PASSWORD"); err != nil || string(got) != "hunter22" {
		t.Errorf("got %q and %v", got, err)
	}
	other, err := auth.NewSeal(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), sealed...)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"of another environment": func() ([]byte, error) { return seal.Open(sealed, "secret", "default", "live", "PASSWORD") },
		"by another key":         func() ([]byte, error) { return other.Open(sealed, "secret", "default", "staging", "PASSWORD") },
		"changed":                func() ([]byte, error) { return seal.Open(changed, "secret", "default", "staging", "PASSWORD") },
		"nothing":                func() ([]byte, error) { return seal.Open(nil, "secret", "default", "staging", "PASSWORD") },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: it opened as %q", name, got)
		}
	}
	if _, err := auth.NewSeal([]byte("short")); err == nil {
		t.Error("a short key makes a seal")
	}
	if err := auth.WriteKey(file, key); err == nil {
		t.Error("a key that is there is written over")
	}
	if err := os.WriteFile(file, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.LoadKey(file); err == nil || !strings.Contains(err.Error(), "3 bytes") {
		t.Errorf("a key file that was cut: got %v", err)
	}
}
