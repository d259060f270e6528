package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const orderFlow = `flow:
  name: Order
  suite: shop
  tags: [shop, slow]
  target: {match: {zone: shop}}
  input:
    sku: {type: string, required: true, description: what is ordered}
    qty: {type: integer, default: 2}
    size: {type: string, enum: [s, m], default: m}
    pin: {type: string, secret: true, default: "1234567"}
  steps:
    - {id: order, action: log, config: {message: "${input.sku} ${input.qty}"}}
    - {id: paid, action: log, config: {message: paid}}
`

// push stores files as the flows of the workspace.
func (n *node) push(files map[string]string) *apiv1.PushResponse {
	n.t.Helper()
	all := map[string][]byte{}
	for name, text := range files {
		all[name] = []byte(text)
	}
	digest, err := n.admin.Upload(n.t.Context(), all)
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := n.admin.Flows.Push(n.t.Context(), &apiv1.PushRequest{Bundle: digest, Force: true})
	if err != nil {
		n.t.Fatal(err)
	}
	return res
}

const helloFile, orderFile = "flows/hello.testmesh.yaml", "flows/order.testmesh.yaml"

func TestRevisionsOfAFlow(t *testing.T) {
	n := start(t)
	second := strings.Replace(helloFlow, "message: hello", "message: hello again", 1)
	for i, test := range []struct {
		files                   map[string]string
		added, changed, deleted int32
	}{
		{map[string]string{helloFile: helloFlow}, 1, 0, 0},
		{map[string]string{helloFile: helloFlow, orderFile: orderFlow}, 1, 0, 0}, // Hello is as it was
		{map[string]string{helloFile: second, orderFile: orderFlow}, 0, 1, 0},
		{map[string]string{helloFile: second}, 0, 0, 1},
		{map[string]string{helloFile: helloFlow, orderFile: orderFlow}, 1, 1, 0},
	} {
		if got := n.push(test.files); got.GetRevision() != int64(i+1) || got.GetAdded() != test.added || got.GetChanged() != test.changed || got.GetDeleted() != test.deleted {
			t.Errorf("push %d: got %v, want %d added, %d changed, %d deleted", i+1, got, test.added, test.changed, test.deleted)
		}
	}
	var got []string
	req := &apiv1.ListRevisionsRequest{File: helloFile, PageSize: 2}
	for pages := 1; ; pages++ {
		res, err := n.admin.Flows.ListRevisions(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.GetRevisions() {
			got = append(got, fmt.Sprintf("%d %s %d %t", r.GetRevision(), r.GetActor(), r.GetFiles(), r.GetCurrent()))
			if len(r.GetDigest()) != 64 || r.GetSize() == 0 || r.GetPushed().AsTime().IsZero() || r.GetName() != "Hello" {
				t.Errorf("got %v", r)
			}
		}
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			if pages != 2 {
				t.Errorf("3 revisions came in %d pages of 2", pages)
			}
			break
		}
	}
	if want := []string{"5 admin 1 true", "3 admin 1 false", "1 admin 1 false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for revision, want := range map[int64]string{0: helloFlow, 1: helloFlow, 3: second, 5: helloFlow} {
		res, err := n.admin.Flows.GetFlow(t.Context(), &apiv1.GetFlowRequest{File: helloFile, Revision: revision})
		if err != nil {
			t.Fatal(err)
		}
		if current := revision == 0 || revision == 5; res.GetSource() != want || res.GetCurrent() != current || len(res.GetFiles()) != 1 || res.GetFiles()[0].GetSha256() != sumOf([]byte(want)) {
			t.Errorf("revision %d: got %v", revision, res)
		}
	}
	for revision, field := range map[int64]string{2: "revision", 99: "revision", -1: "revision"} {
		_, err := n.admin.Flows.GetFlow(t.Context(), &apiv1.GetFlowRequest{File: helloFile, Revision: revision})
		if connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), field) {
			t.Errorf("revision %d: got %v", revision, err)
		}
	}
	if _, err := n.admin.Flows.ListRevisions(t.Context(), &apiv1.ListRevisionsRequest{File: helloFile, PageToken: "x"}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a page token of another: got %v", err)
	}
	// What was deleted is known still.
	n.push(map[string]string{helloFile: helloFlow})
	if _, err := n.admin.Flows.GetFlow(t.Context(), &apiv1.GetFlowRequest{File: orderFile}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a flow that was deleted: got %v", err)
	}
	if res, err := n.admin.Flows.GetFlow(t.Context(), &apiv1.GetFlowRequest{File: orderFile, Revision: 2}); err != nil || res.GetSource() != orderFlow || res.GetCurrent() {
		t.Errorf("a revision of it: got %v, %v", res, err)
	}
}

func TestWhatAFlowIsQueuedWith(t *testing.T) {
	n := start(t)
	n.push(map[string]string{orderFile: orderFlow})
	res, err := n.admin.Flows.GetFlow(t.Context(), &apiv1.GetFlowRequest{File: orderFile})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range res.GetInputs() {
		var enum []any
		for _, v := range in.GetEnum() {
			enum = append(enum, v.AsInterface())
		}
		got = append(got, fmt.Sprintf("%s %s %t %t %v %v %s", in.GetName(), in.GetType(), in.GetRequired(), in.GetSecret(), in.GetDefault().AsInterface(), enum, in.GetDescription()))
	}
	want := []string{
		"sku string true false <nil> [] what is ordered", "qty integer false false 2 [] ", "size string false false m [s m] ", "pin string false true <nil> [] ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if res.GetProblem() != "" || !slices.Equal(res.GetSteps(), []string{"order", "paid"}) || res.GetRows() != 0 || res.GetTarget().GetMatch()["zone"].GetValues()[0] != "shop" {
		t.Errorf("got %v", res)
	}
}

func TestStoredFlowsAreQueuedWithTheRowsOfAFile(t *testing.T) {
	n := start(t)
	n.push(map[string]string{helloFile: helloFlow, orderFile: orderFlow})
	before, err := n.admin.Flows.ListFlows(t.Context(), &apiv1.ListFlowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := structpb.NewStruct(map[string]any{"qty": 3})
	if err != nil {
		t.Fatal(err)
	}
	stored := &apiv1.StoredFlows{Tags: "shop AND NOT smoke"}
	rows := &apiv1.RowsFile{Name: "orders.csv", Content: []byte("sku,name\nTEA-001,tea\nMUG-002,mug\n")}
	source := &apiv1.Source{Inputs: inputs, Iterations: 3, Parallelism: 1, StopOnFailure: true, Priority: 3}
	look, err := n.admin.Runs.PreviewBatch(t.Context(), &apiv1.PreviewBatchRequest{Source: source, Stored: stored, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if look.GetRuns() != 3 || len(look.GetFirst()) != 3 || look.GetFirst()[1].GetRow().GetName() != "mug" || look.GetRowCount() != 2 ||
		!slices.Equal(look.GetColumns(), []string{"name", "sku"}) || look.GetRows()[0].AsMap()["sku"] != "TEA-001" {
		t.Errorf("got %v", look)
	}
	list, err := n.admin.Runs.ListBatches(t.Context(), &apiv1.ListBatchesRequest{})
	if err != nil || len(list.GetBatches()) != 0 {
		t.Errorf("a preview has queued something: %v, %v", list, err)
	}
	req := &apiv1.CreateBatchRequest{Source: source, Stored: stored, Rows: rows, IdempotencyKey: "form-1"}
	made, err := n.admin.Runs.CreateBatch(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.admin.Runs.CreateBatch(t.Context(), req)
	if err != nil || again.GetBatch().GetId() != made.GetBatch().GetId() {
		t.Errorf("the same request again: %v, %v", again, err)
	}
	other := &apiv1.CreateBatchRequest{Source: source, Stored: stored, Rows: &apiv1.RowsFile{Name: "orders.csv", Content: []byte("sku\nX\n")}, IdempotencyKey: "form-1"}
	if _, err := n.admin.Runs.CreateBatch(t.Context(), other); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("the key with other rows: got %v", err)
	}
	batch, err := n.admin.Runs.GetBatch(t.Context(), &apiv1.GetBatchRequest{Id: made.GetBatch().GetId()})
	if err != nil {
		t.Fatal(err)
	}
	src := batch.GetBatch().GetSource()
	files, err := n.admin.Flows.GetBundle(t.Context(), &apiv1.GetBundleRequest{Digest: src.GetBundle()})
	if err != nil || len(files.GetFiles()) != 3 {
		t.Fatalf("the bundle of the batch has %v, %v", files, err)
	}
	if src.GetBundle() == before.GetBundle() || src.GetData() == "" || len(src.GetFlows()) != 1 || src.GetFlows()[0].GetFile() != orderFile {
		t.Errorf("the batch is of %v", src)
	}
	runs, err := n.admin.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: made.GetBatch().GetId()})
	if err != nil || len(runs.GetRuns()) != 3 {
		t.Fatalf("got %v, %v", runs, err)
	}
	for _, r := range runs.GetRuns() {
		if r.GetSpec().GetBundle() != src.GetBundle() {
			t.Errorf("run %d is of another bundle", r.GetNumber())
		}
	}
	if after, err := n.admin.Flows.ListFlows(t.Context(), &apiv1.ListFlowsRequest{}); err != nil || after.GetBundle() != before.GetBundle() {
		t.Errorf("queueing has changed what is stored: %v, %v", after, err)
	}
}

func TestSelectionsThatAreNone(t *testing.T) {
	n := start(t)
	n.push(map[string]string{helloFile: helloFlow, orderFile: orderFlow})
	all, err := n.admin.Flows.ListFlows(t.Context(), &apiv1.ListFlowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	named := &apiv1.Source{Bundle: all.GetBundle(), Flows: []*apiv1.FlowRef{{File: helloFile}}}
	hello := &apiv1.StoredFlows{Tags: "smoke"}
	for name, test := range map[string]struct {
		req  *apiv1.PreviewBatchRequest
		code connect.Code
		says string
	}{
		"nothing":                    {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}}, connect.CodeInvalidArgument, "which bundle"},
		"a bundle without flows":     {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{Bundle: all.GetBundle()}}, connect.CodeInvalidArgument, "which flows"},
		"both":                       {&apiv1.PreviewBatchRequest{Source: named, Stored: hello}, connect.CodeInvalidArgument, "either"},
		"tags that are none":         {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: &apiv1.StoredFlows{Tags: "a AND"}}, connect.CodeInvalidArgument, ""},
		"tags of nothing":            {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: &apiv1.StoredFlows{Tags: "none"}}, connect.CodeFailedPrecondition, "no stored flow fits"},
		"a suite of nothing":         {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: &apiv1.StoredFlows{Suite: "none"}}, connect.CodeFailedPrecondition, "no stored flow fits"},
		"a flow that is not there":   {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: &apiv1.StoredFlows{Flows: []*apiv1.FlowRef{{File: helloFile, Index: 1}}}}, connect.CodeNotFound, "#2"},
		"rows of two places":         {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{Data: "rows.csv"}, Stored: hello, Rows: &apiv1.RowsFile{Name: "r.csv"}}, connect.CodeInvalidArgument, "either"},
		"rows that are broken":       {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: hello, Rows: &apiv1.RowsFile{Name: "r.jsonl", Content: []byte("{}\n{]\n")}}, connect.CodeInvalidArgument, "r.jsonl:2:"},
		"rows of an unknown kind":    {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: hello, Rows: &apiv1.RowsFile{Name: "r.xlsx", Content: []byte("x")}}, connect.CodeInvalidArgument, ".csv"},
		"rows that are no list":      {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: hello, Rows: &apiv1.RowsFile{Name: "r.json", Content: []byte(`{"a": 1}`)}}, connect.CodeInvalidArgument, "list of maps"},
		"an input that is missing":   {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{}, Stored: &apiv1.StoredFlows{Suite: "shop"}}, connect.CodeInvalidArgument, "sku"},
		"an environment of no place": {&apiv1.PreviewBatchRequest{Source: &apiv1.Source{Environment: "moon"}, Stored: hello}, connect.CodeNotFound, "moon"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.admin.Runs.PreviewBatch(t.Context(), test.req)
			if connect.CodeOf(err) != test.code || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("a preview: got %v, want %v with %q", err, test.code, test.says)
			}
			_, err = n.admin.Runs.CreateBatch(t.Context(), &apiv1.CreateBatchRequest{Source: test.req.GetSource(), Stored: test.req.GetStored(), Rows: test.req.GetRows()})
			if connect.CodeOf(err) != test.code {
				t.Errorf("the batch: got %v, want %v", err, test.code)
			}
		})
	}
	if list, err := n.admin.Runs.ListBatches(t.Context(), &apiv1.ListBatchesRequest{}); err != nil || len(list.GetBatches()) != 0 {
		t.Errorf("batches were made: %v, %v", list, err)
	}
}

func TestWhichAgentsFit(t *testing.T) {
	n := start(t)
	n.push(map[string]string{helloFile: helloFlow, orderFile: orderFlow})
	n.join("shop")
	n.join("warehouse")
	n.until("what both said of themselves", func() error {
		res, err := n.admin.Agents.MatchAgents(t.Context(), &apiv1.MatchAgentsRequest{})
		if err == nil && res.GetFree() != 8 {
			err = fmt.Errorf("%d slots are free: %v", res.GetFree(), res.GetAgents())
		}
		return err
	})
	zone := func(v string) *apiv1.Target {
		return &apiv1.Target{Match: map[string]*apiv1.Values{"zone": {Values: []string{v}}}}
	}
	for name, test := range map[string]struct {
		req  *apiv1.MatchAgentsRequest
		want []string
		free int32
	}{
		"all":                     {&apiv1.MatchAgentsRequest{}, []string{"shop", "warehouse"}, 8},
		"by a label":              {&apiv1.MatchAgentsRequest{Target: zone("ware*")}, []string{"shop: zone is shop, wanted ware*", "warehouse"}, 4},
		"by a plugin":             {&apiv1.MatchAgentsRequest{Plugins: []string{"ldap"}}, []string{"shop: it has no plugin ldap", "warehouse: it has no plugin ldap"}, 0},
		"by the target of a flow": {&apiv1.MatchAgentsRequest{Flows: &apiv1.StoredFlows{}}, []string{"shop", "warehouse: zone is warehouse, wanted shop"}, 4},
		"over the target of a flow": {
			&apiv1.MatchAgentsRequest{Flows: &apiv1.StoredFlows{Tags: "shop"}, Target: zone("warehouse")},
			[]string{"shop: zone is shop, wanted warehouse", "warehouse"},
			4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := n.admin.Agents.MatchAgents(t.Context(), test.req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range res.GetAgents() {
				one := a.GetName()
				if !a.GetFits() {
					one += ": " + strings.Join(a.GetLacks(), "; ")
				}
				got = append(got, one)
			}
			if !slices.Equal(got, test.want) || res.GetFree() != test.free {
				t.Errorf("got %q with %d free, want %q with %d", got, res.GetFree(), test.want, test.free)
			}
		})
	}
}
