package api

import (
	"bytes"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// policy is what a browser lets the page do: run its own scripts, use its own styles,
// call its own server, and show pictures that it was given as data. A response body that
// is shown can do nothing of it: there is no script in the page, and no markup is made of
// data; trusted types make that a rule of the browser.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

const (
	// indexPage is the page itself, stubPage what is served where it was not built.
	indexPage, stubPage = "index.html", "stub.html"
	// hashedFiles have their content's hash in their names, and so never change.
	hashedFiles = "assets/"
)

// site serves the files of the page, and the page itself for every address that it
// makes up: which of its screens is meant, it reads from the address.
type site struct{ files fs.FS }

// servePage adds the page under everything that has no handler of its own.
func servePage(mux *http.ServeMux, files fs.FS, packed func(http.Handler) http.HandlerFunc) {
	if files != nil {
		mux.Handle("/", packed(site{files}))
	}
}

func (p site) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(path.Clean(req.URL.Path), "/")
	if req.Method != http.MethodGet && req.Method != http.MethodHead || strings.HasPrefix(name, "testmesh.") || strings.HasPrefix(name, "api/") {
		http.NotFound(w, req)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	content, err := fs.ReadFile(p.files, name)
	if err != nil {
		// Only who wants a page gets one for an address that is no file: a script
		// that is missing must not be answered with a page.
		if name != "" && !strings.Contains(req.Header.Get("Accept"), "text/html") {
			http.NotFound(w, req)
			return
		}
		if name, content = p.start(); content == nil {
			http.NotFound(w, req)
			return
		}
	}
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, hashedFiles) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, req, name, time.Time{}, bytes.NewReader(content))
}

// start is the page, or the one that says that it was not built.
func (p site) start() (string, []byte) {
	for _, name := range []string{indexPage, stubPage} {
		if content, err := fs.ReadFile(p.files, name); err == nil {
			return name, content
		}
	}
	return "", nil
}
