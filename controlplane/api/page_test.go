package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// browse asks for an address as a browser that wants a page, or with another Accept.
func browse(files fstest.MapFS, method, address, accept string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	mux.HandleFunc(root, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	servePage(mux, files, func(h http.Handler) http.HandlerFunc { return h.ServeHTTP })
	req := httptest.NewRequest(method, address, nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, req)
	return rec
}

func TestWhichAddressGivesWhat(t *testing.T) {
	built := fstest.MapFS{
		"index.html":      {Data: []byte("<!doctype html><title>the page</title>")},
		"stub.html":       {Data: []byte("the stub")},
		"assets/a-1f3.js": {Data: []byte("the script")},
		"icon.svg":        {Data: []byte("<svg/>")},
	}
	bare := fstest.MapFS{"stub.html": {Data: []byte("the stub")}}
	const browser, script = "text/html,application/xhtml+xml,*/*;q=0.8", "*/*"
	tests := map[string]struct {
		files                   fstest.MapFS
		method, address, accept string
		status                  int
		body, kind, cache       string
	}{
		"the root":                   {built, "GET", "/", browser, 200, "the page", "text/html", "no-cache"},
		"the root, by a program":     {built, "GET", "/", script, 200, "the page", "text/html", "no-cache"},
		"a screen":                   {built, "GET", "/runs/0198c5b2?view=log", browser, 200, "the page", "text/html", "no-cache"},
		"its head":                   {built, "HEAD", "/runs", browser, 200, "", "text/html", "no-cache"},
		"a script":                   {built, "GET", "/assets/a-1f3.js", script, 200, "the script", "javascript", "immutable"},
		"a picture":                  {built, "GET", "/icon.svg", script, 200, "<svg/>", "image/svg", "no-cache"},
		"a script that is missing":   {built, "GET", "/assets/b-000.js", script, 404, "", "", ""},
		"the page was not built":     {bare, "GET", "/runs", browser, 200, "the stub", "text/html", "no-cache"},
		"there is nothing to show":   {fstest.MapFS{}, "GET", "/runs", browser, 404, "", "", ""},
		"a path out of the files":    {built, "GET", "/assets/%2e%2e/%2e%2e/secret", script, 404, "", "", ""},
		"a write":                    {built, "POST", "/runs", browser, 404, "", "", ""},
		"a method that is not there": {built, "GET", "/testmesh.api.v1.RunService/Nothing", browser, 404, "", "", ""},
		"the API":                    {built, "GET", "/api/v1/nothing", browser, http.StatusTeapot, "", "", ""},
		"beside the API":             {built, "GET", "/api/v2/nothing", browser, 404, "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rec := browse(test.files, test.method, test.address, test.accept)
			if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.body) {
				t.Errorf("status %d, body %q; want %d, %q", rec.Code, rec.Body, test.status, test.body)
			}
			h := rec.Header()
			if !strings.Contains(h.Get("Content-Type"), test.kind) || !strings.Contains(h.Get("Cache-Control"), test.cache) {
				t.Errorf("it is %q, kept %q; want %q, %q", h.Get("Content-Type"), h.Get("Cache-Control"), test.kind, test.cache)
			}
		})
	}
}

func TestThePageHasAStrictPolicy(t *testing.T) {
	h := browse(fstest.MapFS{"index.html": {Data: []byte("x")}}, "GET", "/", "text/html").Header()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy lacks %s: %s", want, csp)
		}
	}
	for _, bad := range []string{"unsafe", "http", "*", "data:"} {
		if strings.Contains(csp, bad) {
			t.Errorf("the policy allows %s: %s", bad, csp)
		}
	}
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", h)
	}
}
