package api

import (
	"net/http"
	"time"

	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// stallAfter is how long whoever watches may not read before it is cut: it resumes from
// where it was. Without that a reader that stands still would hold its part for ever.
const stallAfter = 15 * time.Second

// streaming are the methods that answer for as long as something happens.
func streaming(path string) bool {
	switch path {
	case apiv1connect.RunServiceWatchProcedure, apiv1connect.RunServiceWatchBatchProcedure,
		apiv1connect.LogServiceQueryLogsProcedure, apiv1connect.ClusterServiceSnapshotProcedure:
		return true
	}
	return false
}

// stalls cuts readers of streams that stand still for some time.
func (s *server) stalls(after time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !streaming(req.URL.Path) {
			next.ServeHTTP(w, req)
			return
		}
		p := &patient{ResponseWriter: w, rc: http.NewResponseController(w), after: after}
		next.ServeHTTP(p, req)
		if p.cut {
			s.Logger.Info("a reader was cut: it did not read", "path", req.URL.Path, "request", requestID(req.Context()))
		}
		_ = p.rc.SetWriteDeadline(time.Time{}) // the connection may serve others
	})
}

// patient gives each write some time, and not the answer as a whole.
type patient struct {
	http.ResponseWriter
	rc    *http.ResponseController
	after time.Duration
	cut   bool
}

func (p *patient) Write(data []byte) (int, error) {
	if p.cut {
		return 0, http.ErrHandlerTimeout
	}
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.after)) // a writer without deadlines is a test's
	n, err := p.ResponseWriter.Write(data)
	p.cut = p.cut || err != nil
	return n, err
}

// Flush sends what was written, in the same time.
func (p *patient) Flush() {
	if p.cut {
		return
	}
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.after))
	p.cut = p.rc.Flush() != nil
}

// Unwrap lets others reach the writer.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
