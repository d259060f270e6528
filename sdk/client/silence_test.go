package client

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// mute takes connections, as the kernel does for a process that hangs, and says nothing.
func mute(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

func TestAControlPlaneThatSaysNothing(t *testing.T) {
	c, err := New(Config{Address: mute(t), Silence: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var silent *Silent
	if _, err := c.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{}); !errors.As(err, &silent) || silent.After != 200*time.Millisecond {
		t.Errorf("a call: %v", err)
	}
	if err := c.PutBlob(t.Context(), "", make([]byte, 32<<20)); !errors.As(err, &silent) { // more than any buffer takes
		t.Errorf("an upload: %v", err)
	}
	s, err := c.Runs.Watch(t.Context(), &apiv1.WatchRequest{})
	if err == nil {
		for s.Receive() {
			t.Error("it said something")
		}
		err = errors.Join(s.Err(), s.Close())
	}
	if !errors.As(err, &silent) {
		t.Errorf("a stream: %v", err)
	}
}

func TestTheNextNodeIsAskedAfterASilentOne(t *testing.T) {
	_, handler := apiv1connect.NewRunServiceHandler(listing{})
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c, err := New(Config{Address: mute(t) + "," + srv.URL, Silence: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one may have asked the silent node; no second one does
		_, err = c.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{})
	}
	if err != nil {
		t.Error(err)
	}
}

type listing struct {
	apiv1connect.UnimplementedRunServiceHandler
}

func (listing) ListRuns(context.Context, *apiv1.ListRunsRequest) (*apiv1.ListRunsResponse, error) {
	return &apiv1.ListRunsResponse{}, nil
}
