package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"

	"github.com/testmesh/testmesh/controlplane/blob"
)

// peers are the blobs of a cluster whose nodes keep each its own: what is not here is
// read from the node that has it. Nothing is copied: what a node has is gone with its
// disk, as the operator has accepted.
type peers struct {
	blobStore // of this node
	node      *Node
	quiet     *quiet
}

const (
	// findWithin bounds the question whether another node has a blob.
	findWithin = time.Second
	// quietFor is for how long a node that did not answer is not asked again: what asks
	// for many blobs would wait for each.
	quietFor = 5 * time.Second
)

// quiet are the nodes that did not answer lately.
type quiet struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func newPeers(own blobStore, n *Node) peers {
	return peers{own, n, &quiet{until: map[string]time.Time{}}}
}

func (q *quiet) is(address string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Now().Before(q.until[address])
}

func (q *quiet) note(address string, answered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.until, address)
	if !answered {
		q.until[address] = time.Now().Add(quietFor)
	}
}

// blobPart is how much of a blob goes in one message between nodes.
const blobPart = 256 << 10

func (p peers) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := p.blobStore.Get(ctx, key)
	if !errors.Is(err, blob.ErrNotFound) {
		return r, err
	}
	f, err := p.find(ctx, key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (p peers) Has(ctx context.Context, key string) (size int64, ok bool, err error) {
	if size, ok, err = p.blobStore.Has(ctx, key); ok || err != nil {
		return size, ok, err
	}
	f, err := p.find(ctx, key)
	if err != nil {
		// Also where a node does not answer: who has the blob may give it anew, which is
		// all that can be done about it.
		return 0, false, ctx.Err()
	}
	return f.size, true, f.Close()
}

// List has the keys of all nodes that answer.
func (p peers) List(ctx context.Context, prefix string) ([]string, error) {
	keys, err := p.blobStore.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for _, address := range p.node.cluster.Others() {
		c, err := p.node.cluster.Client(address)
		if err != nil || p.quiet.is(address) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, findWithin)
		res, err := c.ListBlobs(asking, &clusterv1.ListBlobsRequest{Prefix: prefix})
		cancel()
		p.quiet.note(address, err == nil || ctx.Err() != nil)
		if err != nil {
			p.node.cfg.Logger.Debug("a node did not list its blobs", "address", address, "error", err)
			continue
		}
		keys = append(keys, res.GetKeys()...)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// find opens a blob at the node that has it. The error says where it was looked for.
func (p peers) find(ctx context.Context, key string) (*fetched, error) {
	var silent []string
	for _, address := range p.node.cluster.Others() {
		c, err := p.node.cluster.Client(address)
		if err != nil {
			continue
		}
		if p.quiet.is(address) {
			silent = append(silent, address)
			continue
		}
		f, err := fetch(ctx, c, key)
		lacks := connect.CodeOf(err) == connect.CodeNotFound
		p.quiet.note(address, err == nil || lacks || ctx.Err() != nil)
		switch {
		case err == nil:
			return f, nil
		case !lacks:
			silent = append(silent, address)
		}
	}
	if len(silent) > 0 {
		return nil, fmt.Errorf("blob %s is on none of the nodes that answer, and %s does not: each node keeps its own blobs", key, strings.Join(silent, " and "))
	}
	return nil, fmt.Errorf("blob %s is on no node: %w", key, blob.ErrNotFound)
}

// fetched is a blob that comes from another node.
type fetched struct {
	size   int64
	stream *connect.ServerStreamForClient[clusterv1.GetBlobResponse]
	rest   []byte
	stop   context.CancelFunc
}

func fetch(ctx context.Context, c clusterv1connect.NodeServiceClient, key string) (*fetched, error) {
	ctx, stop := context.WithCancel(ctx)
	late := time.AfterFunc(findWithin, stop) // for the first message only
	stream, err := c.GetBlob(ctx, &clusterv1.GetBlobRequest{Key: key})
	if err == nil && !stream.Receive() {
		if err = stream.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
		_ = stream.Close() // its error says more
	}
	if !late.Stop() && err == nil {
		_ = stream.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &fetched{size: stream.Msg().GetSize(), stream: stream, rest: stream.Msg().GetData(), stop: stop}, nil
}

func (f *fetched) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if !f.stream.Receive() {
			if err := f.stream.Err(); err != nil {
				return 0, fmt.Errorf("read from another node: %w", err)
			}
			return 0, io.EOF
		}
		f.rest = f.stream.Msg().GetData()
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *fetched) Close() error {
	f.stop()
	_ = f.stream.Close() // it was stopped
	return nil
}

// GetBlob gives a blob that this node itself has.
func (c calls) GetBlob(ctx context.Context, r *clusterv1.GetBlobRequest, out *connect.ServerStream[clusterv1.GetBlobResponse]) error {
	size, ok, err := c.own.Has(ctx, r.GetKey())
	if err != nil {
		return err
	}
	if !ok {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("blob %s is not here", r.GetKey()))
	}
	from, err := c.own.Get(ctx, r.GetKey())
	if err != nil {
		return err
	}
	defer from.Close()
	part := make([]byte, blobPart)
	for first := true; ; first = false {
		n, err := io.ReadFull(from, part)
		if n > 0 || first {
			if err := out.Send(&clusterv1.GetBlobResponse{Data: part[:n], Size: size}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// ListBlobs lists those that this node itself has.
func (c calls) ListBlobs(ctx context.Context, r *clusterv1.ListBlobsRequest) (*clusterv1.ListBlobsResponse, error) {
	keys, err := c.own.List(ctx, r.GetPrefix())
	return &clusterv1.ListBlobsResponse{Keys: keys}, err
}
