package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/value"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// operation is one of the document.
type operation struct {
	id, method, path string
	node             map[string]any
}

// operations are all of a document by their paths.
func operations(doc map[string]any) (list []operation) {
	paths := doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for method, node := range paths[path].(map[string]any) {
			if m, ok := node.(map[string]any); ok {
				list = append(list, operation{m["operationId"].(string), strings.ToUpper(method), path, m})
			}
		}
	}
	return list
}

// base is the id of the operation that an alias stands for.
func (o operation) base() string {
	parts := strings.Split(o.id, "_")
	return strings.Join(parts[:2], "_")
}

// strict makes the schemas of a document say that nothing else is in an answer, and that
// everything is which is always there: a client may see more later, the test may not.
func strict(doc map[string]any) {
	for name, node := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		m := node.(map[string]any)
		m["additionalProperties"] = false
		if name == "Error" {
			continue
		}
		var required []any
		for field, s := range m["properties"].(map[string]any) {
			p := s.(map[string]any)
			_, typed := p["type"]
			if p["$ref"] != nil || p["format"] == "date-time" || !typed || p["pattern"] == `^-?[0-9]+(\.[0-9]+)?s$` || p["type"] == "object" && p["additionalProperties"] == nil {
				continue // a message, which may be absent
			}
			required = append(required, field)
		}
		m["required"] = required
	}
}

// answers compiles the schema of each documented answer of an operation.
func answers(t *testing.T, doc map[string]any, o operation) map[string]*schema.Schema {
	t.Helper()
	components := doc["components"].(map[string]any)
	out := map[string]*schema.Schema{}
	for code, node := range o.node["responses"].(map[string]any) {
		r := node.(map[string]any)
		if ref, ok := r["$ref"].(string); ok {
			r = components["responses"].(map[string]any)[strings.TrimPrefix(ref, "#/components/responses/")].(map[string]any)
		}
		all, _ := r["content"].(map[string]any)
		content, ok := all["application/json"].(map[string]any)
		if !ok {
			out[code] = nil
			continue
		}
		whole := map[string]any{"components": components}
		maps.Copy(whole, content["schema"].(map[string]any))
		s, err := schema.Compile(whole, schema.Options{Draft: schema.Draft2020})
		if err != nil {
			t.Fatalf("%s %s: %v", o.id, code, err)
		}
		out[code] = s
	}
	return out
}

// request is how an operation is called: with these parameters in its path and query,
// and this body.
type request struct {
	id    string
	in    map[string]string
	query string
	body  string
}

func TestTheServerAnswersAsItsDocumentSays(t *testing.T) {
	n := start(t)
	doc, ops := document(t, n)
	run, waiting, file := world(n)
	digest := n.bundle()
	sources := fmt.Sprintf(`{"source":{"bundle":%q,"flows":[{"file":"flows/hello.testmesh.yaml"}],"priority":2}}`, digest)
	one := map[string]string{"id": run.GetId(), "run_id": run.GetId(), "batch_id": run.GetBatchId()}
	token, agentID := "", ""
	for _, r := range []request{
		{id: "Flow_MissingBlobs", body: fmt.Sprintf(`{"sha256":[%q,%q]}`, sumOf([]byte(helloFlow)), sumOf(nil))},
		{id: "Flow_PutBundle", body: fmt.Sprintf(`{"files":[{"path":"a.yaml","sha256":%q,"size":%d}]}`, sumOf([]byte(helloFlow)), len(helloFlow))},
		{id: "Flow_GetBundle", in: map[string]string{"digest": digest}},
		{id: "Flow_Push", body: fmt.Sprintf(`{"bundle":%q,"force":true}`, digest)},
		{id: "Flow_ListFlows", query: "tags=smoke&page_size=1"},
		{id: "Flow_GetFlow", in: map[string]string{"file": "flows/hello.testmesh.yaml"}, query: "index=0"},
		{id: "Flow_ListRevisions", in: map[string]string{"file": "flows/hello.testmesh.yaml"}, query: "page_size=1"},
		{id: "Environment_PutEnvironment", in: map[string]string{"name": "staging"}, body: `{"text":"env:\n  A: b\n","secrets":{"PASSWORD":"hunter22"}}`},
		{id: "Environment_ListEnvironments"},
		{id: "Environment_GetEnvironment", in: map[string]string{"name": "staging"}},
		{id: "Environment_DeleteEnvironment", in: map[string]string{"name": "staging"}},
		{id: "Run_CreateBatch", body: sources},
		{id: "Run_PreviewBatch", body: `{"source":{"priority":2},"stored":{"tags":"smoke"},"rows":{"name":"rows.csv","content":"bmFtZSxxdHkKYWRhLDIK"}}`},
		{id: "Run_ListBatches", query: "page_size=1"},
		{id: "Run_GetBatch", in: map[string]string{"id": run.GetBatchId()}, query: "read=READ_STRONG"},
		{id: "Run_ListRuns", query: "status=RUN_STATUS_PASSED&status=RUN_STATUS_QUEUED&since=2020-01-01T00:00:00Z&page_size=2"},
		{id: "Run_GetRun", in: one},
		{id: "Run_GetRunSource", in: one},
		{id: "Run_Cancel", body: fmt.Sprintf(`{"run_ids":[%q],"reason":"enough"}`, run.GetId())},
		{id: "Run_Rerun", in: one, body: "{}"},
		{id: "Run_SetPriority", body: fmt.Sprintf(`{"run_ids":[%q],"priority":4}`, waiting.GetId())},
		{id: "Run_Why", in: map[string]string{"run_id": waiting.GetId()}},
		{id: "Run_ListQuarantine"},
		{id: "Run_QueueStats"},
		{id: "Agent_CreateJoinToken", body: `{"pins":{"zone":"eu"},"ttl":"60s"}`},
		{id: "Agent_ListJoinTokens"},
		{id: "Agent_ListAgents", query: "labels[zone]=one"},
		{id: "Agent_GetAgent", in: map[string]string{"id": "AGENT"}},
		{id: "Agent_MatchAgents", body: `{"target":{"match":{"zone":{"values":["one","two"]}}},"flows":{"tags":"smoke"}}`},
		{id: "Agent_SetAgent", in: map[string]string{"id": "AGENT"}, body: `{"change":"AGENT_CHANGE_PAUSE","note":"a while","duration":"60s"}`},
		{id: "Agent_RevokeJoinToken", in: map[string]string{"id": "TOKEN"}},
		{id: "Log_ListArtifacts", in: one},
		{id: "Plugin_ListPlugins"},
		{id: "Cluster_GetCluster"},
		{id: "Cluster_CreateNodeToken", body: `{"ttl":"60s"}`},
		{id: "Blob_Put", in: map[string]string{"sha256": sumOf(file)}, body: string(file)},
		{id: "Blob_Get", in: map[string]string{"sha256": sumOf(file)}},
	} {
		switch r.in["id"] {
		case "TOKEN":
			r.in["id"] = token
		case "AGENT":
			r.in["id"] = agentID
		}
		found := false
		for _, o := range ops {
			if o.base() != r.id {
				continue
			}
			found = true
			delete(ops, o.id)
			got := n.call(o.method, r.address(o), r.body)
			check(t, doc, o, got, http.StatusOK, http.StatusNoContent)
			token, agentID = remember(got.body, token, agentID)
		}
		if !found {
			t.Errorf("the document has no %s", r.id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ops)) {
		switch id {
		case "Run_Release", "Cluster_RemoveNode", "Cluster_TransferLeadership":
			// They need a quarantined run or a second node: their errors are tried below.
		default:
			t.Errorf("%s was not tried: give it a request", id)
		}
	}
}

// document reads the document of a server, strictly.
func document(t *testing.T, n *node) (map[string]any, map[string]operation) {
	t.Helper()
	raw := n.call(http.MethodGet, "/api/v1/openapi.json", "", anonymous)
	v, err := value.Decode(raw.body)
	if err != nil || raw.status != http.StatusOK {
		t.Fatalf("got status %d: %v", raw.status, err)
	}
	doc := v.(map[string]any)
	strict(doc)
	ops := map[string]operation{}
	for _, o := range operations(doc) {
		ops[o.id] = o
	}
	return doc, ops
}

// world has a run that has passed, with a file, and one that waits.
func world(n *node) (passed, waiting *apiv1.Run, file []byte) {
	a := n.join("one")
	run := n.queue()
	lease, _ := a.take()
	file = []byte("what the step saw")
	text := event(run.GetId(), "step.artifact", fmt.Sprintf(`,"step_id":"greet","name":"seen.txt","media_type":"text/plain","size":%d,"sha256":%q`, len(file), sumOf(file)))
	a.finish(lease, apiv1.RunStatus_RUN_STATUS_PASSED, text)
	return run, n.queue(), file
}

// remember keeps ids that later requests name.
func remember(body []byte, token, agent string) (string, string) {
	var got struct {
		Token  struct{ ID string }
		Agents []struct{ ID string }
	}
	if json.Unmarshal(body, &got) == nil {
		if got.Token.ID != "" {
			token = got.Token.ID
		}
		if len(got.Agents) > 0 && got.Agents[0].ID != "" {
			agent = got.Agents[0].ID
		}
	}
	return token, agent
}

func (r request) address(o operation) string {
	path := o.path
	for name, v := range r.in {
		path = strings.ReplaceAll(path, "{"+name+"}", strings.ReplaceAll(url.PathEscape(v), "%2F", "/"))
	}
	if r.query != "" {
		path += "?" + r.query
	}
	return path
}

// check holds an answer against the document.
func check(t *testing.T, doc map[string]any, o operation, got answer, want ...int) {
	t.Helper()
	if !slices.Contains(want, got.status) {
		t.Errorf("%s %s: got status %d, want %v: %s", o.method, o.path, got.status, want, got.body)
		return
	}
	documented := answers(t, doc, o)
	s, ok := documented[fmt.Sprint(got.status)]
	if !ok {
		t.Errorf("%s: status %d is not in its document", o.id, got.status)
	}
	if s == nil {
		return
	}
	v, err := value.Decode(got.body)
	if err != nil {
		t.Errorf("%s: %v in %q", o.id, err, got.body)
		return
	}
	for _, problem := range s.Validate(v) {
		t.Errorf("%s: %v\n%s", o.id, problem, indent(got.body))
	}
}

// Each operation refuses nobody, who is not known, and who may not, as it says; and says
// which field is wrong of a request that names what is not there.
func TestErrorsAreAsTheDocumentSays(t *testing.T) {
	n := start(t)
	doc, ops := document(t, n)
	a := n.join("one")
	const nowhere = "01990000-0000-7000-8000-000000000000"
	for _, o := range ops {
		r := request{in: map[string]string{
			"id": nowhere, "run_id": nowhere, "batch_id": nowhere, "digest": sumOf([]byte("nothing")), "name": "none", "file": "none.yaml", "sha256": sumOf([]byte("nothing")),
		}, body: ""}
		if o.node["requestBody"] != nil && o.id != "Blob_Put" {
			r.body = "{}"
		}
		path := r.address(o)
		check(t, doc, o, n.call(o.method, path, r.body, anonymous), http.StatusUnauthorized)
		check(t, doc, o, n.call(o.method, path, r.body, bearer("tma_wrong")), http.StatusUnauthorized)
		if !strings.HasPrefix(o.id, "Blob_") { // which agents read and write
			check(t, doc, o, n.call(o.method, path, r.body, a.sign(t)), http.StatusForbidden)
		}
		if !strings.Contains(o.path, "{") || o.id == "Blob_Put" || o.base() == "Agent_SetAgent" || o.base() == "Environment_PutEnvironment" {
			continue // it names nothing in its path, or its body is looked at first
		}
		got := n.call(o.method, path, r.body)
		check(t, doc, o, got, http.StatusNotFound)
		if p := got.problem(t); p.Code != "not_found" || p.field() == "" || p.RequestID == "" {
			t.Errorf("%s: got %+v, want not_found with a field and the id of the request", o.id, p)
		}
	}
}
