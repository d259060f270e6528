package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// pushVersion is that of the command that keeps revisions.
const pushVersion = 2

// stored finds a flow as it is stored now; nil: it is not.
func (s *server) stored(ctx context.Context, file string, index int32) (*apiv1.Flow, error) {
	all, _, _, err := s.Flows.Flows(ctx, workspace)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.GetFile() == file && f.GetIndex() == index {
			return f, nil
		}
	}
	return nil, nil
}

func noFlow(file string, index int32) error {
	return missing("file", "stored flow", fmt.Sprintf("%s#%d", file, index+1))
}

// GetFlow gives a flow with its file, as it is stored now or as it was.
func (s *server) GetFlow(ctx context.Context, req *apiv1.GetFlowRequest) (*apiv1.GetFlowResponse, error) {
	now, err := s.stored(ctx, req.GetFile(), req.GetIndex())
	if err != nil {
		return nil, err
	}
	revision := req.GetRevision()
	if revision == 0 {
		if now == nil {
			return nil, noFlow(req.GetFile(), req.GetIndex())
		}
		revision = now.GetRevision()
	}
	p, err := s.revision(ctx, req.GetFile(), req.GetIndex(), revision, now)
	if err != nil {
		return nil, err
	}
	text, err := s.content(ctx, p.GetFiles(), req.GetFile())
	if err != nil {
		return nil, err
	}
	res, err := s.Catalog.Describe(ctx, p.GetFiles(), req.GetFile(), int(req.GetIndex()))
	var known *Error
	switch {
	case errors.As(err, &known) && known.Kind == Invalid:
		res = &apiv1.GetFlowResponse{Problem: known.Message}
	case err != nil:
		return nil, err
	}
	res.Flow, res.Source, res.Files, res.Current = p.GetFlow(), string(text), p.GetFiles(), now.GetRevision() == revision
	return res, nil
}

// revision is a flow as a push made it. Of one that was pushed before revisions were
// kept the bundle is known alone, which holds more than the flow names.
func (s *server) revision(ctx context.Context, file string, index int32, revision int64, now *apiv1.Flow) (*clusterv1.PushedFlow, error) {
	p := &clusterv1.PushedFlow{Flow: now}
	if now.GetRevision() != revision || now.GetDigest() != "" {
		list, err := s.Flows.Revisions(ctx, workspace, file, index, revision+1, 1)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 || list[0].GetFlow().GetRevision() != revision {
			return nil, missing("revision", "revision of "+file, strconv.FormatInt(revision, 10))
		}
		p = list[0]
	}
	if len(p.GetFiles()) > 0 {
		return p, nil
	}
	files, err := s.Flows.Bundle(ctx, p.GetFlow().GetBundle())
	if err != nil {
		return nil, of(err, "revision", "bundle of revision", strconv.FormatInt(revision, 10))
	}
	return &clusterv1.PushedFlow{Flow: p.GetFlow(), Files: files}, nil
}

// content is that of one file of a listing.
func (s *server) content(ctx context.Context, files []*apiv1.BundleFile, name string) ([]byte, error) {
	for _, f := range files {
		if f.GetPath() != name {
			continue
		}
		r, err := s.Blobs.Get(ctx, contentKey(f.GetSha256()))
		if err != nil {
			return nil, &Error{Kind: Unavailable, Message: "the file of the flow cannot be read at the moment: try again", Cause: err}
		}
		defer r.Close()
		var text bytes.Buffer
		_, err = text.ReadFrom(io.LimitReader(r, f.GetSize()))
		return text.Bytes(), err
	}
	return nil, missing("file", "file", name)
}

// ListRevisions tells what pushes made of a flow, the newest first.
func (s *server) ListRevisions(ctx context.Context, req *apiv1.ListRevisionsRequest) (*apiv1.ListRevisionsResponse, error) {
	before := int64(0)
	if text := req.GetPageToken(); text != "" {
		var err error
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return nil, invalid("page_token", "the page token is none of this server's")
		}
	}
	now, err := s.stored(ctx, req.GetFile(), req.GetIndex())
	if err != nil {
		return nil, err
	}
	limit := page(req.GetPageSize())
	list, err := s.Flows.Revisions(ctx, workspace, req.GetFile(), req.GetIndex(), before, limit+1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && now != nil && before == 0 { // of before revisions were kept
		list = append(list, &clusterv1.PushedFlow{Flow: now})
	}
	if len(list) == 0 && before == 0 {
		return nil, noFlow(req.GetFile(), req.GetIndex())
	}
	res := &apiv1.ListRevisionsResponse{}
	if len(list) > limit {
		list = list[:limit]
		res.NextPageToken = strconv.FormatInt(list[limit-1].GetFlow().GetRevision(), 10)
	}
	for _, p := range list {
		f := p.GetFlow()
		res.Revisions = append(res.Revisions, &apiv1.FlowRevision{
			Revision: f.GetRevision(), Name: f.GetName(), Digest: f.GetDigest(), Pushed: f.GetUpdated(), Actor: f.GetActor(),
			Files: int32(len(p.GetFiles())), Size: f.GetSize(), Current: f.GetRevision() == now.GetRevision(),
		})
	}
	return res, nil
}
