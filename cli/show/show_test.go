package show

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/flow/value"
)

const stored = "<script>alert(1)</script>"

func digest() string {
	sum := sha256.Sum256([]byte(stored))
	return hex.EncodeToString(sum[:])
}

// recording is an archive of one run that stored a file.
func recording(t *testing.T) *archive.Archive {
	t.Helper()
	noon := time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)
	step := &event.Step{ID: "ask", Path: []string{"ask"}, Phase: event.PhaseSteps, Try: 1}
	var file bytes.Buffer
	w := archive.NewWriter(&file, archive.Options{Program: `1"2`})
	for _, e := range []*event.Event{
		{Type: event.TypeBatchStarted, Time: noon, BatchStarted: &event.BatchStarted{Runs: 1}},
		{Type: event.TypeRunStarted, Time: noon, RunID: "r1", Attempt: 1, Flow: "Pay", RunStarted: &event.RunStarted{File: "a.yaml"}},
		{Type: event.TypeStepArtifact, Time: noon, RunID: "r1", Attempt: 1, Step: step, Artifact: &event.Artifact{Name: "a.html", SHA256: digest(), Size: int64(len(stored)), Data: []byte(stored)}},
		{Type: event.TypeRunFinished, Time: noon, RunID: "r1", Attempt: 1, RunFinished: &event.RunFinished{Status: event.Passed}},
		{Type: event.TypeBatchFinished, Time: noon, BatchFinished: &event.BatchFinished{}},
	} {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	a, err := archive.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ask(t *testing.T, path string, change func(*http.Request)) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:7"+path, nil)
	if change != nil {
		change(req)
	}
	rec := httptest.NewRecorder()
	Handler(recording(t), html.Page{Theme: []byte("theme"), Script: []byte("script"), Style: []byte("style")}).ServeHTTP(rec, req)
	return rec.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestThePageAndWhatItReads(t *testing.T) {
	for path, want := range map[string]string{
		"/": `<script type="module" src="/recorded.js">`, "/theme.js": "theme", "/recorded.js": "script", "/recorded.css": "style",
		"/recording/runs.json": `"status":"RUN_STATUS_PASSED"`, "/recording/runs/r1/1": `"type":"run.finished"`, "/recording/files/" + digest(): stored,
	} {
		res := ask(t, path, nil)
		if text := body(t, res); res.StatusCode != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q, want %q in it", path, res.StatusCode, text, want)
		}
		if policy := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
			t.Errorf("%s has the policy %q", path, policy)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s has the header %v", path, res.Header)
		}
	}
	if _, err := value.Decode([]byte(body(t, ask(t, "/recording/runs.json", nil)))); err != nil {
		t.Errorf("the list of runs is no JSON: %v", err)
	}
}

func TestAStoredFileIsSavedNeverShown(t *testing.T) {
	h := ask(t, "/recording/files/"+digest(), nil).Header
	if h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Disposition") != "attachment" {
		t.Errorf("got %v", h)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, path := range []string{"/recording/runs/r2/1", "/recording/runs/r1/x", "/recording/files/00", "/recording/files/..%2f..%2fetc%2fpasswd", "/etc/passwd", "/index.html", "/recording/"} {
		if res := ask(t, path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if res := ask(t, "/", func(r *http.Request) { r.Method = http.MethodPost }); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

func TestOnlyThisMachineIsAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"its name":              {func(r *http.Request) { r.Host = "localhost:7" }, http.StatusOK},
		"IPv6":                  {func(r *http.Request) { r.Host = "[::1]:7" }, http.StatusOK},
		"its own page":          {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:7") }, http.StatusOK},
		"a name pointed here":   {func(r *http.Request) { r.Host = "evil.example" }, http.StatusForbidden},
		"a name like its own":   {func(r *http.Request) { r.Host = "localhost.evil.example" }, http.StatusForbidden},
		"another machine":       {func(r *http.Request) { r.Host = "10.0.0.1:7" }, http.StatusForbidden},
		"a page of elsewhere":   {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"another port of here":  {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8") }, http.StatusForbidden},
		"a sandboxed page":      {func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden},
		"a picture of a page":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"what the page reads":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, http.StatusOK},
		"somebody who typed it": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, http.StatusOK},
	} {
		if res := ask(t, "/recording/runs.json", test.change); res.StatusCode != test.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, test.want)
		}
	}
	if res := ask(t, "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); res.StatusCode != http.StatusOK {
		t.Errorf("a link to the page: %d", res.StatusCode)
	}
}
