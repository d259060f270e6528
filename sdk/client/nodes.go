package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// MaxNodes bounds the addresses of one control plane.
const MaxNodes = 16

// ReadAddresses reads the addresses of the nodes of one control plane, with commas
// between them.
func ReadAddresses(text string) ([]*url.URL, error) {
	var list []*url.URL
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSuffix(strings.TrimSpace(one), "/")
		u, err := url.Parse(one)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%q is no address of a control plane: https://mesh.example.com, or several of its nodes with commas between", one)
		}
		list = append(list, u)
	}
	if len(list) > MaxNodes {
		return nil, fmt.Errorf("%d addresses are given, and %d are possible", len(list), MaxNodes)
	}
	return list, nil
}

// Nodes sends requests to one node of a control plane, whatever node they are addressed
// to, and stays with it: the next one is used once it cannot be reached, or says that it
// knows of no leader. It begins with any of them, so that many callers share the nodes.
// It is safe for concurrent use.
type Nodes struct {
	list []*url.URL
	next http.RoundTripper
	// repeat says that a request may be sent twice: it is tried at another node although
	// the first may have taken it.
	repeat bool

	mu sync.Mutex
	at int
}

// NewNodes makes one for addresses as ReadAddresses reads them.
func NewNodes(addresses string, repeat bool, next http.RoundTripper) (*Nodes, error) {
	list, err := ReadAddresses(addresses)
	if err != nil {
		return nil, err
	}
	return &Nodes{list: list, next: next, repeat: repeat, at: rand.IntN(len(list))}, nil
}

// Base is what requests are addressed to.
func (n *Nodes) Base() string { return n.list[0].String() }

// Address is that of the node that is used now.
func (n *Nodes) Address() string { return n.now().String() }

func (n *Nodes) now() *url.URL {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[n.at]
}

// Leave goes on to the next node, where the one of this address is still used.
func (n *Nodes) Leave(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.list[n.at].String() == address {
		n.at = (n.at + 1) % len(n.list)
	}
}

// RoundTrip implements http.RoundTripper.
func (n *Nodes) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := repeatable(req)
	if err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		node := n.now()
		res, err := n.next.RoundTrip(n.to(req, node, body))
		switch {
		case err == nil && !gone(res.StatusCode):
			return res, nil
		case err != nil && errors.Is(err, context.Canceled) && req.Context().Err() != nil:
			return nil, err // the caller has changed its mind
		}
		n.Leave(node.String())
		if err == nil || tries == len(n.list) || body == nil || req.Context().Err() != nil || !n.repeat && !dialing(err) {
			return res, err
		}
	}
}

// gone says of a status that a proxy, or a node without a leader, has answered it.
func gone(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// dialing: nothing was sent.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// to is a request as a node gets it.
func (n *Nodes) to(req *http.Request, node *url.URL, body func() io.ReadCloser) *http.Request {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = node.Scheme, node.Host, ""
	out.URL.Path = node.Path + strings.TrimPrefix(req.URL.Path, n.list[0].Path)
	out.URL.RawPath = ""
	if body != nil {
		out.Body = body()
	}
	return out
}

// repeatable gives the body of a request as often as it is wanted; nil: it can be sent
// once, because it is too large to keep.
func repeatable(req *http.Request) (func() io.ReadCloser, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return func() io.ReadCloser { return nil }, nil
	}
	if req.ContentLength > MaxSigned {
		return nil, nil
	}
	if req.ContentLength < 0 && req.GetBody == nil {
		return nil, nil // a stream, of which nobody knows how long it is
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, MaxSigned+1))
	if err = errors.Join(err, req.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(data) > MaxSigned {
		return nil, fmt.Errorf("the request is over %d bytes", MaxSigned)
	}
	return func() io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }, nil
}
