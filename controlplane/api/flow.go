package api

import (
	"context"
	"encoding/base64"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/flow/bundle"
	"github.com/testmesh/testmesh/flow/tag"
)

// Flows reads flows, bundles and environments, as this node has them.
type Flows interface {
	Flows(ctx context.Context, workspace string) (flows []*apiv1.Flow, revision int64, bundle string, err error)
	// Revisions are what is kept of a flow, newest first: those before one; 0: the newest.
	Revisions(ctx context.Context, workspace, file string, index int32, before int64, limit int) ([]*clusterv1.PushedFlow, error)
	Bundle(ctx context.Context, digest string) ([]*apiv1.BundleFile, error)
	Environments(ctx context.Context, workspace string) ([]*apiv1.Environment, error)
	Environment(ctx context.Context, workspace, name string) (*apiv1.Environment, error)
	SealedSecrets(ctx context.Context, workspace, environment string) (map[string][]byte, error)
}

// Catalog compiles flows, with what the agents' plugins can do.
type Catalog interface {
	// Plan makes the runs of a source: the same ones every time, but for their ids. The
	// files of beside need not be stored.
	Plan(ctx context.Context, workspace string, s *apiv1.Source, beside ...File) ([]*clusterv1.NewRun, error)
	// Flows are the flows of a bundle, with the files that each names.
	Flows(ctx context.Context, digest string) ([]*clusterv1.PushedFlow, error)
	// Describe says what a flow of some files is queued with.
	Describe(ctx context.Context, files []*apiv1.BundleFile, file string, index int) (*apiv1.GetFlowResponse, error)
	// Environment says what is wrong with the text of one.
	Environment(name, text string) error
}

// File is one beside those of a bundle.
type File struct {
	*apiv1.BundleFile
	Content []byte
}

// Blobs keeps contents by their key.
type Blobs interface {
	Put(ctx context.Context, key string, r io.Reader) error
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	Has(ctx context.Context, key string) (size int64, ok bool, err error)
}

// Seal hides secrets.
type Seal interface {
	Close(value []byte, purpose ...string) []byte
	Open(sealed []byte, purpose ...string) ([]byte, error)
}

// contentKey is where the blob store has a content.
func contentKey(sha256 string) string { return "files/" + sha256[:2] + "/" + sha256 }

// MissingBlobs says what must be sent.
func (s *server) MissingBlobs(ctx context.Context, req *apiv1.MissingBlobsRequest) (*apiv1.MissingBlobsResponse, error) {
	res := &apiv1.MissingBlobsResponse{}
	for _, sum := range slices.Compact(slices.Sorted(slices.Values(req.GetSha256()))) {
		_, ok, err := s.Blobs.Has(ctx, contentKey(sum))
		if err != nil {
			return nil, err
		}
		if !ok {
			res.Missing = append(res.Missing, sum)
		}
	}
	return res, nil
}

// PutBundle stores a listing, all of whose contents are there.
func (s *server) PutBundle(ctx context.Context, req *apiv1.PutBundleRequest) (*apiv1.PutBundleResponse, error) {
	if err := bundle.Check(req.GetFiles()); err != nil {
		return nil, invalid("files", "%v", err)
	}
	for _, f := range req.GetFiles() {
		size, ok, err := s.Blobs.Has(ctx, contentKey(f.GetSha256()))
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, &Error{Kind: Conflict, Field: "files", Message: "the content of " + f.GetPath() + " was not sent: PUT /api/v1/blobs/" + f.GetSha256()}
		case size != f.GetSize():
			return nil, invalid("files", "%s has %d bytes, and the list says %d", f.GetPath(), size, f.GetSize())
		}
	}
	digest := bundle.Digest(req.GetFiles())
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: digest, Files: req.GetFiles()}}
	_, err = s.propose(ctx, c)
	return &apiv1.PutBundleResponse{Digest: digest}, err
}

// GetBundle gives a listing.
func (s *server) GetBundle(ctx context.Context, req *apiv1.GetBundleRequest) (*apiv1.GetBundleResponse, error) {
	files, err := s.Flows.Bundle(ctx, req.GetDigest())
	return &apiv1.GetBundleResponse{Files: files}, of(err, "digest", "bundle", req.GetDigest())
}

// Push makes the flows of a bundle those of the workspace.
func (s *server) Push(ctx context.Context, req *apiv1.PushRequest) (*apiv1.PushResponse, error) {
	flows, err := s.Catalog.Flows(ctx, req.GetBundle())
	if err != nil {
		return nil, of(err, "bundle", "bundle", req.GetBundle())
	}
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Version = pushVersion
	c.Body = &clusterv1.Command_PushFlows{PushFlows: &clusterv1.PushFlows{Bundle: req.GetBundle(), Base: req.GetBase(), Force: req.GetForce(), Pushed: flows}}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	return &apiv1.PushResponse{Revision: a.GetRevision(), Added: a.GetAdded(), Changed: a.GetChanged(), Deleted: a.GetDeleted()}, nil
}

// ListFlows gives them by file.
func (s *server) ListFlows(ctx context.Context, req *apiv1.ListFlowsRequest) (*apiv1.ListFlowsResponse, error) {
	all, revision, digest, err := s.Flows.Flows(ctx, workspace)
	if err != nil {
		return nil, err
	}
	fits := func([]string) bool { return true }
	if text := req.GetTags(); text != "" {
		expr, err := tag.Parse(text)
		if err != nil {
			return nil, invalid("tags", "%v", err)
		}
		fits = expr.Match
	}
	after, err := flowPlace(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListFlowsResponse{Revision: revision, Bundle: digest}
	limit := page(req.GetPageSize())
	for _, f := range all {
		at := place{f.GetFile(), f.GetIndex()}
		if req.GetSuite() != "" && f.GetSuite() != req.GetSuite() || !fits(f.GetTags()) || !at.follows(after) ||
			!strings.Contains(strings.ToLower(f.GetName()), strings.ToLower(req.GetName())) {
			continue
		}
		if len(res.GetFlows()) == limit {
			last := res.GetFlows()[limit-1]
			res.NextPageToken = place{last.GetFile(), last.GetIndex()}.token()
			break
		}
		res.Flows = append(res.Flows, f)
	}
	return res, nil
}

// place is where a flow stands in the list of them.
type place struct {
	file  string
	index int32
}

func (p place) follows(other place) bool {
	return p.file > other.file || p.file == other.file && p.index > other.index
}

func (p place) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(int(p.index)) + "/" + p.file))
}

func flowPlace(token string) (place, error) {
	if token == "" {
		return place{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	index, file, ok := strings.Cut(string(raw), "/")
	n, err2 := strconv.ParseInt(index, 10, 32)
	if err != nil || err2 != nil || !ok || file == "" {
		return place{}, invalid("page_token", "the page token is none of this server's")
	}
	return place{file, int32(n)}, nil
}

// PutEnvironment stores an environment, its secrets sealed.
func (s *server) PutEnvironment(ctx context.Context, req *apiv1.PutEnvironmentRequest) (*apiv1.PutEnvironmentResponse, error) {
	if err := s.Catalog.Environment(req.GetName(), req.GetText()); err != nil {
		return nil, invalid("text", "%v", err)
	}
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	put := &clusterv1.PutEnvironment{Name: req.GetName(), Text: req.GetText(), Base: req.GetBase(), Secrets: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(req.GetSecrets())) {
		value := req.GetSecrets()[name]
		switch n := len([]rune(value)); {
		case n == 0:
			put.Secrets[name] = nil
		case n < minSecret:
			return nil, invalid("secrets."+name, "a secret has at least %d characters: a shorter one cannot be hidden in logs", minSecret)
		default:
			put.Secrets[name] = s.Seal.Close([]byte(value), "secret", workspace, req.GetName(), name)
		}
	}
	c.Body = &clusterv1.Command_PutEnvironment{PutEnvironment: put}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	return &apiv1.PutEnvironmentResponse{Environment: a.GetEnvironment()}, nil
}

// minSecret is the shortest secret that the language masks.
const minSecret = 4

// ListEnvironments gives them by name.
func (s *server) ListEnvironments(ctx context.Context, _ *apiv1.ListEnvironmentsRequest) (*apiv1.ListEnvironmentsResponse, error) {
	list, err := s.Flows.Environments(ctx, workspace)
	return &apiv1.ListEnvironmentsResponse{Environments: list}, err
}

// GetEnvironment gives one, without the values of its secrets.
func (s *server) GetEnvironment(ctx context.Context, req *apiv1.GetEnvironmentRequest) (*apiv1.GetEnvironmentResponse, error) {
	e, err := s.Flows.Environment(ctx, workspace, req.GetName())
	return &apiv1.GetEnvironmentResponse{Environment: e}, of(err, "name", "environment", req.GetName())
}

// DeleteEnvironment removes one with its secrets.
func (s *server) DeleteEnvironment(ctx context.Context, req *apiv1.DeleteEnvironmentRequest) (*apiv1.DeleteEnvironmentResponse, error) {
	c, err := s.command(ctx, req.GetIdempotencyKey(), req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_DeleteEnvironment{DeleteEnvironment: &clusterv1.DeleteEnvironment{Name: req.GetName()}}
	_, err = s.propose(ctx, c)
	return &apiv1.DeleteEnvironmentResponse{}, of(err, "name", "environment", req.GetName())
}
