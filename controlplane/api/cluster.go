package api

import (
	"context"
	"crypto/sha256"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Members knows the nodes.
type Members interface {
	// Cluster is how all of them are doing.
	Cluster(ctx context.Context) (*apiv1.GetClusterResponse, error)
	// Admit gives a node what it needs to take part; its token was accepted.
	Admit(ctx context.Context, req *apiv1.JoinNodeRequest) (*apiv1.JoinNodeResponse, error)
	Remove(ctx context.Context, id string) error
	Transfer(ctx context.Context, id string) error
	// Snapshot writes the state.
	Snapshot(ctx context.Context, w io.Writer) error
}

// NodePrefix begins a node token.
const NodePrefix = "tmn_"

const snapshotChunk = 256 << 10

// GetCluster says how the nodes are doing.
func (s *server) GetCluster(ctx context.Context, _ *apiv1.GetClusterRequest) (*apiv1.GetClusterResponse, error) {
	return s.Members.Cluster(ctx)
}

// CreateNodeToken makes a token for one node.
func (s *server) CreateNodeToken(ctx context.Context, req *apiv1.CreateNodeTokenRequest) (*apiv1.CreateNodeTokenResponse, error) {
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	ttl := req.GetTtl().AsDuration()
	if ttl <= 0 {
		ttl = time.Hour
	}
	secret := NodePrefix + s.NewSecret()
	sum := sha256.Sum256([]byte(secret))
	c.Body = &clusterv1.Command_CreateNodeToken{CreateNodeToken: &clusterv1.CreateNodeToken{Id: s.NewID(), SecretSha256: sum[:], Expires: timestamppb.New(s.Now().Add(ttl))}}
	if _, err := s.propose(ctx, c); err != nil {
		return nil, err
	}
	return &apiv1.CreateNodeTokenResponse{Secret: secret}, nil
}

// JoinNode lets a node in.
func (s *server) JoinNode(ctx context.Context, req *apiv1.JoinNodeRequest) (*apiv1.JoinNodeResponse, error) {
	sum := sha256.Sum256([]byte(req.GetToken()))
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_UseNodeToken{UseNodeToken: &clusterv1.UseNodeToken{SecretSha256: sum[:], NodeId: req.GetNodeId()}}
	if _, err := s.propose(ctx, c); err != nil {
		return nil, err
	}
	return s.Members.Admit(ctx, req)
}

// RemoveNode takes a node out.
func (s *server) RemoveNode(ctx context.Context, req *apiv1.RemoveNodeRequest) (*apiv1.RemoveNodeResponse, error) {
	return &apiv1.RemoveNodeResponse{}, s.Members.Remove(ctx, req.GetId())
}

// TransferLeadership gives the lead away.
func (s *server) TransferLeadership(ctx context.Context, req *apiv1.TransferLeadershipRequest) (*apiv1.TransferLeadershipResponse, error) {
	return &apiv1.TransferLeadershipResponse{}, s.Members.Transfer(ctx, req.GetId())
}

// Snapshot streams the state.
func (s *server) Snapshot(ctx context.Context, _ *apiv1.SnapshotRequest, out *connect.ServerStream[apiv1.SnapshotResponse]) error {
	b := beating(ctx, out.Send, &apiv1.SnapshotResponse{}, nil)
	defer b.end()
	return s.Members.Snapshot(ctx, chunks{b})
}

type chunks struct {
	out *beats[apiv1.SnapshotResponse]
}

func (c chunks) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+snapshotChunk, len(p))]
		if err := c.out.give(&apiv1.SnapshotResponse{Data: part}); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}
