package demo

import (
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEchoShowsTheRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want("POST /echo?a=1&a=2&b=%20x", `{"n":9007199254740993}`, 200, map[string]any{
		"method": "POST", "path": "/echo", "raw_query": "a=1&a=2&b=%20x", "size": "22", "body": `{"n":9007199254740993}`, "json.n": "9007199254740993",
		"query.a": []any{"1", "2"}, "query.b": []any{" x"}, "headers.X-One": "1", "header_values.X-One": []any{"1"}, "headers.Content-Type": "application/json",
		"headers.Host": strings.TrimPrefix(s.url, "http://"),
	}, "X-One", "1")
	s.want("GET /echo", "", 200, map[string]any{"method": "GET", "body": nil, "json": nil, "size": "0"})
	s.want("PUT /echo", "\xff\xfe", 200, map[string]any{"body": nil, "body_base64": "//4="})
	s.want("DELETE /echo", "text", 200, map[string]any{"body": "text", "json": nil})
	if a := s.do("POST /echo", strings.Repeat("x", 10<<20+1)); a.status != 413 {
		t.Errorf("more than 10 MiB: got status %d, want 413", a.status)
	}
}

func TestFormsAndFilesAreRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want("POST /form", "a=1&a=2&b=%C3%A9+x", 200, map[string]any{"form.a": []any{"1", "2"}, "form.b": []any{"é x"}}, "Content-Type", form+"; charset=utf-8")
	s.want("POST /form", "a=%zz", 400, nil, "Content-Type", form)
	s.want("POST /form", "{}", 415, nil)

	var body strings.Builder
	w := multipart.NewWriter(&body)
	for name, content := range map[string]string{"f": strings.Repeat("x", 100_000)} {
		part, err := w.CreateFormFile(name, "grüße.txt")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteField("note", "hello"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.want("POST /files", body.String(), 200, map[string]any{
		"fields.note": []any{"hello"}, "files.0.field": "f", "files.0.name": "grüße.txt", "files.0.size": "100000", "files.0.content_type": "application/octet-stream",
		"files.0.sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Repeat("x", 100_000)))),
	}, "Content-Type", w.FormDataContentType())
	s.want("POST /files", "x", 415, nil)
	s.want("POST /files", body.String()[:500], 400, nil, "Content-Type", w.FormDataContentType())

	large := func(parts int, content string) string {
		var b strings.Builder
		w := multipart.NewWriter(&b)
		if err := w.SetBoundary("cut"); err != nil {
			t.Fatal(err)
		}
		for range parts {
			if err := w.WriteField("n", content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, body := range map[string]string{"parts": large(maxParts+1, ""), "a field": large(1, strings.Repeat("x", maxField+1))} {
		if a := s.do("POST /files", body, "Content-Type", "multipart/form-data; boundary=cut"); a.status != 413 {
			t.Errorf("more than the limit of %s: got %d %s, want 413", name, a.status, a.body)
		}
	}
}

func TestCookiesAreSetReadAndExpired(t *testing.T) {
	t.Parallel()
	s := start(t)
	set := s.want("GET /cookies/set?b=2&a=1", "", 302, nil)
	if diff := cmp.Diff([]string{"a=1; Path=/; HttpOnly", "b=2; Path=/; HttpOnly"}, set.header.Values("Set-Cookie")); diff != "" || set.header.Get("Location") != "/cookies" {
		t.Errorf("to %q (-want +got):\n%s", set.header.Get("Location"), diff)
	}
	s.want("GET /cookies", "", 200, map[string]any{"cookies": map[string]any{"a": "1", "b": "2"}}, "Cookie", "a=1; b=2")
	gone := s.want("DELETE /cookies", "", 204, nil, "Cookie", "a=1")
	if got, want := gone.header.Get("Set-Cookie"), "a=; Path=/; Max-Age=0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.want("GET /cookies/set?a%20b=1", "", 400, nil)
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s := start(t)
	for request, want := range map[string]string{
		"GET /redirect/3":                     "302 /redirect/2",
		"GET /redirect/1?status=308":          "308 /redirect/0?status=308",
		"GET /redirect/0":                     "200 ",
		"GET /redirect/101":                   "400 ",
		"GET /redirect/x":                     "400 ",
		"GET /redirect/1?status=304":          "400 ",
		"GET /redirect-to?url=https://a.b/c":  "302 https://a.b/c",
		"GET /redirect-to?url=/me&status=303": "303 /me",
		"GET /redirect-to":                    "400 ",
	} {
		a := s.do(request, "")
		if got := fmt.Sprint(a.status, " ", a.header.Get("Location")); got != want {
			t.Errorf("%s: got %q, want %q", request, got, want)
		}
	}
}

func TestPackedAnswersUnpack(t *testing.T) {
	t.Parallel()
	s := start(t)
	for coding, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	} {
		a := s.want("GET /"+coding, "", 200, nil)
		r, err := open(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := (answer{body: string(plain)}).get(t, "coding"); got != coding || a.header.Get("Content-Encoding") != coding {
			t.Errorf("got %v in %q, want %s", got, a.header.Get("Content-Encoding"), coding)
		}
	}
}

func TestDocumentsOfOtherFormatsAreWellFormed(t *testing.T) {
	t.Parallel()
	s := start(t)
	var document struct {
		Products []struct {
			SKU   string `xml:"sku,attr"`
			Price string `xml:"price"`
		} `xml:"urn:testmesh:demo product"`
	}
	if err := xml.Unmarshal([]byte(s.want("GET /xml", "", 200, nil).body), &document); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(s.want("GET /csv", "", 200, nil).body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	page := s.want("GET /html", "", 200, nil)
	if len(document.Products) != len(catalog()) || len(rows) != len(catalog())+1 || strings.Count(page.body, "<li ") != len(catalog()) {
		t.Errorf("got %d articles in XML, %d rows of CSV and the page %s, want %d", len(document.Products), len(rows), page.body, len(catalog()))
	}
	if got, want := document.Products[0].SKU+rows[1][4], "TEA-00129.90"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.want("GET /numbers", "", 200, map[string]any{"past_safe": "9007199254740993", "huge": "1e400", "exact": "12345678901234567890.123456789", "tenth": "0.1"})
	s.want("GET /unicode", "", 200, map[string]any{"escaped": "é😀", "nul": "a\x00b", "decomposed": "e\u0301", "composed": "\u00e9"})
}

func TestBytesAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	s := start(t)
	long, short := s.want("GET /bytes/1000", "", 200, nil).body, s.want("GET /bytes/10", "", 200, nil, "X-Tenant", "other").body
	if len(long) != 1000 || !strings.HasPrefix(long, short) || len(short) != 10 {
		t.Errorf("got %d bytes, and %q as the first 10", len(long), short)
	}
	s.want("GET /bytes/0", "", 200, nil)
	s.want("GET /bytes/10485761", "", 400, nil)
}

func TestStatusDelayAndETag(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, code := range []int{200, 201, 204, 205, 304, 404, 429, 500, 599} {
		s.want(fmt.Sprint("GET /status/", code), "", code, nil)
		s.want(fmt.Sprint("POST /status/", code), "", code, nil)
	}
	s.want("GET /status/199", "", 400, nil)
	s.want("GET /status/x", "", 400, nil)
	s.want("GET /status/503?retry_after=x", "", 400, nil)
	if got := s.want("GET /status/503?retry_after=7", "", 503, nil).header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After: got %q, want 7", got)
	}
	from := time.Now()
	s.want("GET /delay?ms=30", "", 200, map[string]any{"delayed_ms": "30"})
	if took := time.Since(from); took < 30*time.Millisecond {
		t.Errorf("/delay?ms=30 took %s", took)
	}
	s.want("GET /delay?ms=60001", "", 400, nil)
	tag := s.want("GET /etag", "", 200, map[string]any{"document": "first edition"}).header.Get("ETag")
	for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		s.want("GET /etag", "", 304, nil, "If-None-Match", known)
	}
	s.want("GET /etag", "", 200, nil, "If-None-Match", `"x"`)
}

func TestFlakyFailsFirst(t *testing.T) {
	t.Parallel()
	s := start(t)
	var got []int
	for range 4 {
		a := s.do("GET /flaky?key=k&fail=2", "")
		got = append(got, a.status)
		if want := map[bool]string{true: "0"}[a.status == 503]; a.header.Get("Retry-After") != want {
			t.Errorf("status %d has Retry-After %q, want %q", a.status, a.header.Get("Retry-After"), want)
		}
	}
	if diff := cmp.Diff([]int{503, 503, 200, 200}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.want("POST /flaky?key=other&fail=1&status=500&retry_after=3", "", 500, nil)
	s.want("GET /flaky?key=k&fail=2", "", 503, nil, "X-Tenant", "other")
	s.want("GET /flaky?key=none&fail=0", "", 200, map[string]any{"attempt": "1"})
	for _, query := range []string{"fail=x", "status=200", "retry_after=x", "key=" + strings.Repeat("k", 129)} {
		s.want("GET /flaky?"+query, "", 400, nil)
	}
}

func TestRateAllowsSoManyCallsInAWindow(t *testing.T) {
	t.Parallel()
	s := start(t)
	calls := func(n int) (got []int) {
		for range n {
			got = append(got, s.do("GET /rate?limit=2&window_ms=1500", "").status)
		}
		return got
	}
	if diff := cmp.Diff([]int{200, 200, 429, 429}, calls(4)); diff != "" {
		t.Errorf("first window (-want +got):\n%s", diff)
	}
	refused := s.do("GET /rate?limit=2&window_ms=1500", "")
	if diff := cmp.Diff([]string{"2", "2", "0"}, []string{refused.header.Get("Retry-After"), refused.header.Get("X-RateLimit-Limit"), refused.header.Get("X-RateLimit-Remaining")}); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	s.want("GET /rate?limit=2&window_ms=1500&key=other", "", 200, map[string]any{"remaining": "1"})
	s.clock.now = s.clock.now.Add(1500 * time.Millisecond)
	if diff := cmp.Diff([]int{200, 200, 429}, calls(3)); diff != "" {
		t.Errorf("second window (-want +got):\n%s", diff)
	}
	s.want("GET /rate?limit=0", "", 400, nil)
	s.want("GET /rate?window_ms=0", "", 400, nil)
}

func TestEveryRouteIsDocumentedAndServed(t *testing.T) {
	t.Parallel()
	s := start(t)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string         `json:"operationId"`
			Responses   map[string]any `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(s.do("GET /openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	page := s.do("GET /", "").body
	replace := strings.NewReplacer("{id}", "none", "{n}", "1", "{code}", "204")
	ids, operations := map[string]string{}, 0
	for _, route := range Routes() {
		methods := []string{strings.ToLower(route.Method)}
		if route.Method == "" {
			methods = anyMethod[:]
		}
		for _, method := range methods {
			operations++
			name := method + " " + route.Path
			operation, ok := document.Paths[route.Path][method]
			if !ok || len(operation.Responses) != len(route.Statuses) {
				t.Errorf("%s: the document has %d responses, want %d", name, len(operation.Responses), len(route.Statuses))
			}
			if other := ids[operation.OperationID]; other != "" || operation.OperationID == "" {
				t.Errorf("%s: the operation id %q is that of %q", name, operation.OperationID, other)
			}
			ids[operation.OperationID] = name
			a := s.do(strings.ToUpper(method)+" "+replace.Replace(route.Path), "")
			if route.Path != "/status/{code}" && !slices.Contains(route.Statuses, a.status) {
				t.Errorf("%s: answers with %d %s, documented are %v", name, a.status, a.body, route.Statuses)
			}
		}
		if !strings.Contains(page, "<code>"+route.Path+"</code>") || route.Summary == "" {
			t.Errorf("%s is not on the index page, or has no summary", route.Path)
		}
	}
	served := 0
	for _, item := range document.Paths {
		served += len(item)
	}
	if served != operations {
		t.Errorf("the document has %d operations, the table %d", served, operations)
	}
}
