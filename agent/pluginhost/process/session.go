package process

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

// session is the part of one run in a process, opened on first use.
type session struct {
	ready chan struct{}
	wire  *wire.Session // read after ready; nil where err is not
	err   error
	end   context.CancelFunc
}

// over says whether the plugin has ended the session.
func (s *session) over() bool {
	select {
	case <-s.ready:
	default:
		return false
	}
	if s.wire == nil {
		return true
	}
	select {
	case <-s.wire.Done():
		return true
	default:
		return false
	}
}

// session gives the name of the run's session, opened where there is none.
func (i *instance) session(ctx context.Context, req *plugin.Request) (string, error) {
	i.mu.Lock()
	s := i.sessions[req.RunID]
	if s != nil && s.over() {
		s.end()
		s = nil
	}
	if s == nil {
		var life context.Context
		s = &session{ready: make(chan struct{})}
		life, s.end = context.WithCancel(context.Background())
		i.sessions[req.RunID] = s
		i.opened++
		go i.open(life, s, strconv.Itoa(i.opened), req.RunID, req.Attempt)
	}
	i.mu.Unlock()
	select {
	case <-s.ready: // also where ctx has ended: the plugin is asked, and says so
	default:
		select {
		case <-s.ready:
		case <-ctx.Done():
			return "", i.s.notYet(context.Cause(ctx))
		}
	}
	if s.err != nil {
		return "", s.err
	}
	return s.wire.ID(), nil
}

// open opens a session, which outlives the call that needed it first.
func (i *instance) open(life context.Context, s *session, id, runID string, attempt int) {
	late := time.AfterFunc(i.s.pool.cfg.Limits.StartTimeout, s.end)
	s.wire, s.err = i.wire.Open(life, id, runID, attempt)
	late.Stop()
	if s.err != nil {
		s.end()
	}
	close(s.ready)
}

// endRun closes the run's session, if the process has one, within a bound.
func (i *instance) endRun(runID string) error {
	defer i.words.endRun(runID)
	i.mu.Lock()
	s := i.sessions[runID]
	delete(i.sessions, runID)
	i.mu.Unlock()
	if s == nil {
		return nil
	}
	defer s.end()
	limit := i.s.pool.cfg.Limits.EndRun
	ctx, release := context.WithTimeout(i.s.pool.ctx, limit)
	defer release()
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil // it never opened, and never will
	}
	if s.over() {
		return nil
	}
	err := s.wire.Close(ctx)
	if err == nil || status.Code(errors.Unwrap(err)) != codes.DeadlineExceeded {
		return nil // where the process has ended, there is nothing to drop
	}
	return fmt.Errorf("plugin %s had not dropped what it kept for run %s after %s", i.s.program.Name, runID, durationText(limit))
}
