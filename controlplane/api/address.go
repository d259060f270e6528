package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// maxContent bounds one file of a bundle, and one artifact.
	maxContent = 256 << 20
	// transfer bounds the time of one.
	transfer = 10 * time.Minute
)

// isSum says whether a text is a sha256 in hex.
func isSum(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && text == strings.ToLower(text)
}

// Socket serves the stream of an agent.
type Socket interface {
	Socket(w http.ResponseWriter, req *http.Request, agent string)
}

// addresses are what is no method of a service: contents, sockets, health.
func (s *server) addresses(mux *http.ServeMux) {
	// An agent has both for its runs; whoever runs flows sends their files.
	either := func(people apiv1.Permission, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			p := people
			if _, id, session := s.Guard.Who(req.Context()); id != "" && session != "" {
				p = apiv1.Permission_PERMISSION_AGENT
			}
			s.Guard.Require(p, h)(w, req)
		}
	}
	mux.HandleFunc("PUT /api/v1/blobs/{sha256}", either(apiv1.Permission_PERMISSION_RUN, s.mine(s.writes, s.putBlob)))
	mux.HandleFunc("GET /api/v1/blobs/{sha256}", either(apiv1.Permission_PERMISSION_READ, s.mine(s.reads, s.getBlob)))
	if socket, ok := s.Streams.(Socket); ok {
		mux.HandleFunc("GET /api/v1/agent/stream", s.Guard.Require(apiv1.Permission_PERMISSION_AGENT, func(w http.ResponseWriter, req *http.Request) {
			_, id, _ := s.Guard.Who(req.Context())
			socket.Socket(w, req, id)
		}))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
}

// ready: this node knows what the cluster has committed.
func (s *server) ready(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), time.Second)
	defer cancel()
	if err := s.Proposer.Read(ctx); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// putBlob stores a content whose name is its sha256. Sent twice it is stored once.
func (s *server) putBlob(w http.ResponseWriter, req *http.Request) {
	want := req.PathValue("sha256")
	if !isSum(want) {
		blobError(w, http.StatusBadRequest, connect.CodeInvalidArgument, "the address of a blob is the sha256 of its bytes, in hex")
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(transfer)) // a connection without deadlines has none to move
	body := http.MaxBytesReader(w, req.Body, maxContent)
	h := sha256.New()
	err := s.Blobs.Put(req.Context(), contentKey(want), &checked{body, h, want})
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errSum):
		blobError(w, http.StatusBadRequest, connect.CodeInvalidArgument, "these bytes have another sha256")
	case errors.As(err, &large):
		blobError(w, http.StatusRequestEntityTooLarge, connect.CodeResourceExhausted, "a blob has at most "+strconv.Itoa(maxContent>>20)+" MiB")
	case err != nil:
		s.Logger.Error("a blob could not be stored", "error", err)
		blobError(w, http.StatusServiceUnavailable, connect.CodeUnavailable, "the blob could not be stored: the log of the server says why")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// blobError is an error about a content, whose address is all that it has.
func blobError(w http.ResponseWriter, status int, code connect.Code, message string) {
	writeError(w, status, &RESTError{Code: code.String(), Message: message, Fields: []FieldError{{"sha256", message}}})
}

var errSum = errors.New("the sha256 differs")

// checked reads to an end that has the sha256 that is wanted, or errors there: what is
// stored is stored whole, or not.
type checked struct {
	from io.Reader
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
	want string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	_, _ = c.sum.Write(p[:n]) // a hash does not fail
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.sum.Sum(nil)) != c.want {
		return n, errSum
	}
	return n, err
}

// getBlob gives a content as a file to save: nothing of it is shown as a page of ours.
func (s *server) getBlob(w http.ResponseWriter, req *http.Request) {
	sum := req.PathValue("sha256")
	if !isSum(sum) {
		blobError(w, http.StatusNotFound, connect.CodeNotFound, "there is no such blob")
		return
	}
	size, ok, err := s.Blobs.Has(req.Context(), contentKey(sum))
	if err != nil || !ok {
		blobError(w, http.StatusNotFound, connect.CodeNotFound, "there is no such blob")
		return
	}
	r, err := s.Blobs.Get(req.Context(), contentKey(sum))
	if err != nil {
		blobError(w, http.StatusServiceUnavailable, connect.CodeUnavailable, "the blob could not be read: try again")
		return
	}
	defer r.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, _ = io.Copy(w, r) // the reader has gone
}
