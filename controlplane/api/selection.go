package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/bundle"
	"github.com/testmesh/testmesh/flow/tag"
)

const (
	// rowsFolder is where a bundle has the data file that came with a request: a name that
	// no project has, because the language passes over what begins with a point.
	rowsFolder = ".testmesh/rows"
	// previewRuns and previewRows bound what a preview shows.
	previewRuns = 100
	previewRows = 20
)

// selected is the source of a request with its flows: those that are stored, and the
// rows that were sent along, take the place of what a source names itself.
func (s *server) selected(ctx context.Context, from *apiv1.Source, stored *apiv1.StoredFlows, rows *apiv1.RowsFile) (*apiv1.Source, error) {
	source := proto.CloneOf(from)
	if stored != nil {
		if source.GetBundle() != "" || len(source.GetFlows()) > 0 {
			return nil, invalid("stored", "the source names its flows itself: give either of them")
		}
		flows, digest, err := s.choose(ctx, stored)
		if err != nil {
			return nil, err
		}
		source.Bundle = digest
		for _, f := range flows {
			source.Flows = append(source.Flows, &apiv1.FlowRef{File: f.GetFile(), Index: f.GetIndex()})
		}
	}
	switch {
	case source.GetBundle() == "":
		return nil, invalid("source.bundle", "say which bundle, or which stored flows")
	case len(source.GetFlows()) == 0:
		return nil, invalid("source.flows", "say which flows")
	case rows != nil && source.GetData() != "":
		return nil, invalid("rows", "the source names a file of rows itself: give either of them")
	}
	return source, nil
}

// choose finds the stored flows of a selection, and the bundle that holds all of them.
func (s *server) choose(ctx context.Context, stored *apiv1.StoredFlows) ([]*apiv1.Flow, string, error) {
	all, _, digest, err := s.Flows.Flows(ctx, workspace)
	if err != nil {
		return nil, "", err
	}
	if len(stored.GetFlows()) > 0 {
		known := make(map[place]*apiv1.Flow, len(all))
		for _, f := range all {
			known[place{f.GetFile(), f.GetIndex()}] = f
		}
		var list []*apiv1.Flow
		for i, ref := range stored.GetFlows() {
			f := known[place{ref.GetFile(), ref.GetIndex()}]
			if f == nil {
				return nil, "", missing(fmt.Sprintf("stored.flows[%d]", i), "stored flow", fmt.Sprintf("%s#%d", ref.GetFile(), ref.GetIndex()+1))
			}
			list = append(list, f)
		}
		return list, digest, nil
	}
	fits := func([]string) bool { return true }
	if text := stored.GetTags(); text != "" {
		expr, err := tag.Parse(text)
		if err != nil {
			return nil, "", invalid("stored.tags", "%v", err)
		}
		fits = expr.Match
	}
	list := slices.DeleteFunc(all, func(f *apiv1.Flow) bool {
		return stored.GetSuite() != "" && f.GetSuite() != stored.GetSuite() || !fits(f.GetTags())
	})
	if len(list) == 0 {
		return nil, "", &Error{Kind: Conflict, Field: "stored", Message: "nothing is selected: no stored flow fits"}
	}
	return list, digest, nil
}

// beside is the data file of a request as one of the bundle, which the source names then.
func beside(source *apiv1.Source, rows *apiv1.RowsFile) ([]File, error) {
	if rows == nil {
		return nil, nil
	}
	if _, err := dataOf(rows); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(rows.GetContent())
	// By its content too: the bundle may be one that had rows already.
	name := hex.EncodeToString(sum[:])
	one := &apiv1.BundleFile{Path: rowsFolder + "/" + name[:16] + "/" + path.Base(rows.GetName()), Sha256: name, Size: int64(len(rows.GetContent()))}
	source.Data = one.GetPath()
	return []File{{one, rows.GetContent()}}, nil
}

// store stores the bundle of a source with the files beside it, and gives it to the source.
func (s *server) store(ctx context.Context, source *apiv1.Source, beside []File) error {
	files, err := s.Flows.Bundle(ctx, source.GetBundle())
	if err != nil {
		return of(err, "source.bundle", "bundle", source.GetBundle())
	}
	files = slices.Clone(files)
	for _, f := range beside {
		if err := s.Blobs.Put(ctx, contentKey(f.GetSha256()), bytes.NewReader(f.Content)); err != nil {
			return &Error{Kind: Unavailable, Message: "the rows cannot be stored at the moment: try again", Cause: err}
		}
		files = slices.DeleteFunc(files, func(old *apiv1.BundleFile) bool { return old.GetPath() == f.GetPath() })
		files = append(files, f.BundleFile)
	}
	if err := bundle.Check(files); err != nil {
		return invalid("rows.name", "%v", err)
	}
	put := &clusterv1.PutBundle{Digest: bundle.Digest(files), Files: files}
	c, err := s.command(ctx, "", &apiv1.PutBundleRequest{Files: files})
	if err != nil {
		return err
	}
	c.Body = &clusterv1.Command_PutBundle{PutBundle: put}
	source.Bundle = put.GetDigest()
	_, err = s.propose(ctx, c)
	return err
}

// dataOf reads a data file. What is wrong with it names its line.
func dataOf(rows *apiv1.RowsFile) (*flow.DataSource, error) {
	data, problems := flow.ParseData(rows.GetName(), rows.GetContent())
	if bad := problems.Errors(); len(bad) > 0 {
		message := bad[0].Message
		if bad[0].Hint != "" {
			message += " (" + bad[0].Hint + ")"
		}
		if at := bad[0].Pos; at.Line > 0 {
			message = fmt.Sprintf("%s:%d: %s", rows.GetName(), at.Line, message)
		}
		return nil, invalid("rows", "%s", message)
	}
	return data, nil
}

// plan makes the runs of a source.
func (s *server) plan(ctx context.Context, source *apiv1.Source, files []File) ([]*clusterv1.NewRun, error) {
	runs, err := s.Catalog.Plan(ctx, workspace, source, files...)
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == NotFound {
		// This node may be behind the one that stored it: a new one always is.
		if err := s.Proposer.Read(ctx); err != nil {
			return nil, err
		}
		runs, err = s.Catalog.Plan(ctx, workspace, source, files...)
	}
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, &Error{Kind: Conflict, Field: "source.flows", Message: "nothing is selected: the flows have no rows"}
	}
	return runs, nil
}

// PreviewBatch says what CreateBatch would make.
func (s *server) PreviewBatch(ctx context.Context, req *apiv1.PreviewBatchRequest) (*apiv1.PreviewBatchResponse, error) {
	source, err := s.selected(ctx, req.GetSource(), req.GetStored(), req.GetRows())
	if err != nil {
		return nil, err
	}
	res := &apiv1.PreviewBatchResponse{}
	if req.GetRows() != nil {
		if err := preview(res, req.GetRows()); err != nil {
			return nil, err
		}
	}
	files, err := beside(source, req.GetRows())
	if err != nil {
		return nil, err
	}
	runs, err := s.plan(ctx, source, files)
	if err != nil {
		return nil, err
	}
	res.Runs = int32(len(runs))
	specs := make([]*apiv1.Spec, len(runs))
	for i, r := range runs {
		specs[i] = r.GetSpec()
	}
	res.First = specs[:min(len(specs), previewRuns)]
	match, err := s.Queue.Match(ctx, kinds(specs))
	if err != nil {
		return nil, err
	}
	res.Agents, res.Free = match.GetAgents(), match.GetFree()
	return res, nil
}

// preview shows the rows of a file.
func preview(res *apiv1.PreviewBatchResponse, rows *apiv1.RowsFile) error {
	data, err := dataOf(rows)
	if err != nil {
		return err
	}
	columns := map[string]bool{}
	for i, row := range data.Rows {
		for name := range row.Values {
			columns[name] = true
		}
		if i < previewRows {
			res.Rows = append(res.Rows, bundle.Struct(row.Values))
		}
	}
	res.RowCount, res.Columns = int32(len(data.Rows)), slices.Sorted(maps.Keys(columns))
	return nil
}

// kinds are what runs ask of an agent, each once.
func kinds(specs []*apiv1.Spec) (list []*apiv1.Spec) {
	seen := map[string]bool{}
	for _, s := range specs {
		one := &apiv1.Spec{Target: s.GetTarget(), Environment: s.GetEnvironment(), Plugins: s.GetPlugins()}
		key, err := proto.MarshalOptions{Deterministic: true}.Marshal(one)
		if err == nil && seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		list = append(list, one)
	}
	return list
}

// MatchAgents says which agents would take runs like these.
func (s *server) MatchAgents(ctx context.Context, req *apiv1.MatchAgentsRequest) (*apiv1.MatchAgentsResponse, error) {
	specs := []*apiv1.Spec{{Target: req.GetTarget(), Environment: req.GetEnvironment(), Plugins: req.GetPlugins()}}
	if req.GetFlows() != nil {
		flows, digest, err := s.choose(ctx, req.GetFlows())
		if err != nil {
			return nil, err
		}
		files, err := s.Flows.Bundle(ctx, digest)
		if err != nil {
			return nil, of(err, "flows", "bundle", digest)
		}
		specs = specs[:0]
		for _, f := range flows {
			about, err := s.Catalog.Describe(ctx, files, f.GetFile(), int(f.GetIndex()))
			if err != nil {
				return nil, err
			}
			one := &apiv1.Spec{Target: about.GetTarget(), Environment: req.GetEnvironment(), Plugins: union(about.GetPlugins(), req.GetPlugins())}
			if req.GetTarget() != nil {
				one.Target = req.GetTarget()
			}
			specs = append(specs, one)
		}
	}
	return s.Queue.Match(ctx, kinds(specs))
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.SortFunc(all, strings.Compare)
	return slices.Compact(all)
}
