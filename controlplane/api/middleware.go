package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/cors"
)

// RequestIDHeader names a request, in the answer and in the log. A caller may choose it.
const RequestIDHeader = "X-Request-Id"

const (
	// maxRequestID bounds the id that a caller chooses; one that is longer, or holds
	// what does not belong in a log, is replaced.
	maxRequestID = 100
	// preflightSeconds is how long a browser remembers that it may: an hour, so that a
	// changed list of origins is heeded on the same day.
	preflightSeconds = "3600"
)

type requestKey struct{}

// requestID is that of the request being answered.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// identified names each request, and answers for what panics.
func (s *server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id := req.Header.Get(RequestIDHeader)
		if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
			id = s.NewID()
		}
		w.Header().Set(RequestIDHeader, id)
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if r == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(r)
			}
			s.Logger.Error("a request panicked", "path", req.URL.Path, "request", id, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			writeError(w, http.StatusInternalServerError, &RESTError{Code: connect.CodeInternal.String(), Message: "internal error"})
		}()
		next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), requestKey{}, id)))
	})
}

// crossOrigin lets pages of the configured origins call the API. A page of another one
// gets no header, and its browser keeps the answer from it.
func crossOrigin(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	methods := strings.Join(append(cors.AllowedMethods(), http.MethodPut, http.MethodDelete), ", ")
	headers := strings.Join(append(cors.AllowedHeaders(), "Authorization", RequestIDHeader), ", ")
	exposed := strings.Join(append(cors.ExposedHeaders(), RequestIDHeader), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		origin := req.Header.Get("Origin")
		w.Header().Add("Vary", "Origin")
		allowed := origin != "" && (slices.Contains(origins, origin) || slices.Contains(origins, "*"))
		if allowed {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", exposed)
		}
		if req.Method == http.MethodOptions && req.Header.Get("Access-Control-Request-Method") != "" {
			if allowed {
				w.Header().Set("Access-Control-Allow-Methods", methods)
				w.Header().Set("Access-Control-Allow-Headers", headers)
				w.Header().Set("Access-Control-Max-Age", preflightSeconds)
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// permitted refuses a caller without the permission of a method before the request is
// read: nobody makes the server decode what he may not ask.
func (s *server) permitted(next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := s.Guard.Allow(req.Context(), req.URL.Path)
		switch {
		case err == nil:
			next.ServeHTTP(w, req)
		case writer.IsSupported(req):
			_ = writer.Write(w, req, err) // the caller has gone
		default:
			writeError(w, 0, fromConnect(err))
		}
	})
}
