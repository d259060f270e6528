// Package show serves the page of a recording to browsers of this machine, from a run
// archive that is open. It never serves anything else, changes nothing, and answers no
// page of elsewhere.
package show

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/sdk/loopback"
)

// policy is what a browser lets the page do: as that of the control plane's page, and for
// the same reasons (controlplane/api has them).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// start is the page itself: it reads what it shows from this server.
const start = `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>TestMesh recording</title>
<link rel="icon" href="data:,">
<script src="/theme.js"></script>
<script type="module" src="/recorded.js"></script>
<link rel="stylesheet" href="/recorded.css">
</head><body><div id="root"></div></body></html>
`

// Handler answers the browsers of this machine.
func Handler(a *archive.Archive, page html.Page) http.Handler {
	h := handler{archive: a, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", content("text/html; charset=utf-8", []byte(start)))
	mux.HandleFunc("GET /theme.js", content("text/javascript; charset=utf-8", page.Theme))
	mux.HandleFunc("GET /recorded.js", content("text/javascript; charset=utf-8", page.Script))
	mux.HandleFunc("GET /recorded.css", content("text/css; charset=utf-8", page.Style))
	mux.HandleFunc("GET /recording/runs.json", h.runs)
	mux.HandleFunc("GET /recording/runs/{run}/{attempt}", h.stream)
	mux.HandleFunc("GET /recording/files/{sha256}", h.file)
	return guard(mux)
}

// guard lets in what asks for this machine by its own names, and no page of elsewhere: a
// name that somebody points here must not read a recording.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !local(req) {
			http.Error(w, "a recording is shown to this machine alone", http.StatusForbidden)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store") // another recording may be at this address later
		next.ServeHTTP(w, req)
	})
}

func local(req *http.Request) bool {
	if !loopback.Host(req.Host) {
		return false
	}
	origin := req.Header.Get("Origin")
	if origin == "" {
		return req.Header.Get("Sec-Fetch-Site") != "cross-site" || path.Clean(req.URL.Path) == "/" // a link leads here
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == req.Host
}

func content(kind string, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", kind)
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
	}
}

type handler struct {
	archive *archive.Archive
	page    html.Page
}

// runs are the records of all runs, and how the batch began and ended.
func (h handler) runs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	out := []byte(`{"program":` + strconv.Quote(h.archive.Program))
	if h.archive.Started != nil {
		out = event.AppendJSON(append(out, `,"started":`...), h.archive.Started)
	}
	out = event.AppendJSON(append(out, `,"finished":`...), h.archive.Finished)
	out = append(out, `,"runs":[`...)
	for i, r := range h.archive.Runs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r.Record...)
	}
	_, _ = w.Write(append(out, "]}"...)) // a browser that is gone needs no answer
}

// stream are the events of an attempt. An error after the first byte cuts the
// connection, so that no browser takes a part for the whole.
func (h handler) stream(w http.ResponseWriter, req *http.Request) {
	attempt, err := strconv.Atoi(req.PathValue("attempt"))
	if err != nil {
		http.Error(w, "there is no such attempt", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	sent := &counter{Writer: w}
	if err := h.archive.Stream(sent, req.PathValue("run"), attempt); err != nil {
		if sent.n > 0 {
			panic(http.ErrAbortHandler)
		}
		http.Error(w, err.Error(), http.StatusNotFound)
	}
}

type counter struct {
	io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += n
	return n, err
}

// file is a stored file, to be saved and never shown: what a system answered is no page.
func (h handler) file(w http.ResponseWriter, req *http.Request) {
	in, size, ok := h.archive.File(req.PathValue("sha256"))
	if !ok {
		http.Error(w, "this file is not in the recording", http.StatusNotFound)
		return
	}
	defer in.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("Content-Length", fmt.Sprint(size))
	_, _ = io.Copy(w, in) // as above
}
