package api_test

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

var update = flag.Bool("update", false, "write testdata/permissions.csv anew; a person reviews what changed")

// caller is somebody who asks.
type caller struct {
	name    string
	edit    func(*http.Request)
	session string // of an agent
}

func anonymous(req *http.Request) { req.Header.Del("Authorization") }

func bearer(key string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+key) }
}

// sign lets the agent make a request.
func (a *agent) sign(t *testing.T) func(*http.Request) {
	return func(req *http.Request) {
		req.Header.Del("Authorization")
		if err := a.signer.Sign(req); err != nil {
			t.Error(err)
		}
	}
}

// The whole table of who may do what, as a running server has it: every method of every
// service, the socket of agents, and the addresses of contents. A node proves itself by
// its certificate at another port, where the methods of nodes are: here they are absent,
// and what a node is given to join with opens nothing but JoinNode.
func TestWhoMayDoWhat(t *testing.T) {
	n := start(t)
	mine, other, revoked := n.join("mine"), n.join("other"), n.join("revoked")
	if _, err := n.admin.Agents.SetAgent(t.Context(), &apiv1.SetAgentRequest{Id: other.id, Change: apiv1.AgentChange_AGENT_CHANGE_PAUSE}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.admin.Agents.SetAgent(t.Context(), &apiv1.SetAgentRequest{Id: revoked.id, Change: apiv1.AgentChange_AGENT_CHANGE_REVOKE}); err != nil {
		t.Fatal(err)
	}
	nodeToken, err := n.admin.Cluster.CreateNodeToken(t.Context(), &apiv1.CreateNodeTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	n.queue()
	lease, started := mine.take()
	if err := n.admin.PutBlob(t.Context(), sumOf([]byte("x")), []byte("x")); err != nil {
		t.Fatal(err)
	}
	callers := []caller{ // whose run it is comes last, because it ends it
		{"nobody", anonymous, ""},
		{"administrator", bearer(adminKey), ""},
		{"other agent", other.sign(t), other.signer.Session},
		{"node token", bearer(nodeToken.GetSecret()), ""},
		{"run token", bearer(started.GetRunToken()), ""},
		{"revoked agent", revoked.sign(t), revoked.signer.Session},
		{"used join token", bearer(mine.token), ""},
		{"agent of the run", mine.sign(t), mine.signer.Session},
	}
	header := []string{"address"}
	for _, c := range callers {
		header = append(header, c.name)
	}
	table := [][]string{header}
	for _, a := range addresses(t, mine, lease) {
		row := []string{a.name}
		for _, c := range callers {
			row = append(row, verdict(n.call(a.method, a.path, strings.ReplaceAll(a.body, "SESSION", c.session), c.edit)))
		}
		table = append(table, row)
	}
	compare(t, "testdata/permissions.csv", table)
}

// verdict is what an answer says of the caller, whatever else it says of the request.
func verdict(a answer) string {
	var p problem
	_ = json.Unmarshal(a.body, &p) // an answer that is no error has no code
	switch {
	case a.status == http.StatusUnauthorized, p.Code == "unauthenticated":
		return "unauthenticated"
	case a.status == http.StatusForbidden, p.Code == "permission_denied":
		return "denied"
	case p.Code == "aborted" && strings.Contains(p.Message, "is not this agent's"), strings.Contains(string(a.body), `"fenced":true`):
		return "not its run"
	case a.status == http.StatusNotFound && p.Code == "":
		return "absent"
	}
	return "may"
}

// address is one that can be asked.
type address struct{ name, method, path, body string }

// addresses are all that there are. Those of an agent are asked about a run that is its own.
func addresses(t *testing.T, a *agent, l *apiv1.Lease) (list []address) {
	t.Helper()
	for _, f := range []protoreflect.FileDescriptor{apiv1.File_testmesh_api_v1_api_proto, apiv1.File_testmesh_api_v1_gateway_proto, clusterv1.File_testmesh_cluster_v1_node_proto} {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				path := fmt.Sprintf("/%s/%s", s.FullName(), m.Name())
				list = append(list, address{string(s.Name()) + "." + string(m.Name()), http.MethodPost, path, body(t, a, l, m)})
			}
		}
	}
	slices.SortFunc(list, func(a, b address) int { return strings.Compare(a.name, b.name) })
	x := sumOf([]byte("x"))
	list = append(list,
		address{"PUT /api/v1/blobs", http.MethodPut, "/api/v1/blobs/" + x, "x"},
		address{"GET /api/v1/blobs", http.MethodGet, "/api/v1/blobs/" + x, ""},
		address{"PUT /api/v1/blobs for a run", http.MethodPut, "/api/v1/blobs/" + x + ofLease(l), "x"},
		address{"GET /api/v1/blobs for a run, a file of it", http.MethodGet, "/api/v1/blobs/" + sumOf([]byte(helloFlow)) + ofLease(l), ""},
		address{"GET /api/v1/blobs for a run, another file", http.MethodGet, "/api/v1/blobs/" + x + ofLease(l), ""},
		address{"GET /api/v1/agent/stream", http.MethodGet, "/api/v1/agent/stream", ""},
		address{"GET /api/v1/live", http.MethodGet, "/api/v1/live", ""},
		address{"GET /api/v1/runs (REST)", http.MethodGet, "/api/v1/runs", ""},
		address{"GET /api/v1/openapi.json", http.MethodGet, "/api/v1/openapi.json", ""},
		address{"POST /grpc.reflection.v1", http.MethodPost, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ""},
		address{"GET /healthz", http.MethodGet, "/healthz", ""},
		address{"GET /readyz", http.MethodGet, "/readyz", ""},
	)
	// What ends the run, or its token, comes last.
	ends := func(a address) bool {
		return strings.HasSuffix(a.name, ".Return") || strings.HasSuffix(a.name, ".Finish") || strings.HasSuffix(a.name, ".Start")
	}
	var last []address
	for _, one := range list {
		if ends(one) {
			last = append(last, one)
		}
	}
	return append(slices.DeleteFunc(list, ends), last...)
}

// ofLease says for which run an agent asks.
func ofLease(l *apiv1.Lease) string {
	return fmt.Sprintf("?run=%s&attempt=%d&fence=%d", l.GetRunId(), l.GetAttempt(), l.GetFence())
}

// body is a request that is about the run of an agent, where it is about a run at all.
func body(t *testing.T, a *agent, l *apiv1.Lease, m protoreflect.MethodDescriptor) string {
	t.Helper()
	raw, err := protojson.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	lease := string(raw)
	switch m.Name() {
	case "Dirty", "Return":
		return `{"lease":` + lease + `}`
	case "Hello":
		return `{"session":"SESSION","slots":1}`
	case "Start":
		return `{"lease":` + lease + `,"session":"SESSION"}`
	case "Checkpoint":
		return `{"lease":` + lease + `,"number":1,"data":"AAAA"}`
	case "Finish":
		return `{"lease":` + lease + `,"status":"RUN_STATUS_PASSED"}`
	case "OnceClaim", "OnceSettle":
		return `{"lease":` + lease + `,"key":"k","outcome":"{}"}`
	case "Append":
		return `{"frames":[{"lease":` + lease + `,"seq":1}]}`
	case "Renew":
		return `{"session":"SESSION","leases":[` + lease + `]}`
	case "Join":
		return `{"token":"` + a.token + `","publicKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","name":"n"}`
	}
	return "{}"
}

// compare holds a table against the one that was reviewed.
func compare(t *testing.T, file string, table [][]string) {
	t.Helper()
	if *update {
		var out strings.Builder
		if err := csv.NewWriter(&out).WriteAll(table); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	reviewed := map[string][]string{}
	for _, row := range want {
		reviewed[row[0]] = row
	}
	for _, row := range table {
		old, known := reviewed[row[0]]
		if !known {
			t.Errorf("%s has no row in %s: say there who may call it, or run the test with -update and review what it wrote", row[0], file)
		} else if !slices.Equal(row, old) {
			t.Errorf("%s:\n got %q\nwant %q", row[0], row, old)
		}
		delete(reviewed, row[0])
	}
	for name := range reviewed {
		t.Errorf("%s has a row in %s, and is not there", name, file)
	}
}
