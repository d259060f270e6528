package mesh

import (
	"context"
	"strings"
	"time"

	"connectrpc.com/connect"
)

const (
	// patience is how long connections may bring nothing before a stream is given up: a
	// control plane that starts anew, or elects, is waited for.
	patience = 2 * time.Minute
	// cutTold is how long it may take before it is said.
	cutTold = 5 * time.Second
	// cutPause is between two connections.
	cutPause = 200 * time.Millisecond
)

// noter tells a person something that is no result.
type noter func(format string, args ...any)

// cuts is how a stream is read on, connection after connection.
type cuts struct {
	heard time.Time // zero: never
	told  bool
	note  noter
}

// news says that something came.
func (c *cuts) news() { c.heard, c.told = time.Now(), false }

// again waits a little and says whether to connect anew after an error.
func (c *cuts) again(ctx context.Context, err error) bool {
	silent := time.Since(c.heard)
	if err != nil && final(err) || silent > patience || ctx.Err() != nil {
		return false
	}
	if silent > cutTold && !c.told {
		c.told = true
		reason := "the connection ended"
		if err != nil {
			reason, _, _ = strings.Cut(said(err).Error(), "\n") // the hint is for whom it ends
		}
		c.note("%s: asking again for %s", reason, patience)
	}
	select {
	case <-time.After(cutPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// final says of the error of a stream that asking again would bring the same.
func final(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnimplemented:
		return true
	default:
		return false
	}
}
