package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is set by hand.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

type server struct {
	t      *testing.T
	app    *App
	clock  *clock
	url    string
	client *http.Client
}

func start(t *testing.T) *server {
	t.Helper()
	at := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	app, err := New(Config{Seed: 7, Clock: at.read})
	if err != nil {
		t.Fatal(err)
	}
	real := httptest.NewServer(app.Handler())
	t.Cleanup(real.Close)
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	return &server{t: t, app: app, clock: at, url: real.URL, client: client}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// get reads a member of a JSON answer; numbers come as their text.
func (a answer) get(t *testing.T, path string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode %q: %v", a.body, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(parent) {
				t.Fatalf("no %s in %s", path, a.body)
			}
			v = parent[i]
		default:
			t.Fatalf("no %s in %s", path, a.body)
		}
	}
	if n, ok := v.(json.Number); ok {
		return n.String()
	}
	return v
}

// try sends one request: method and path, a body, and headers as name, value.
func (s *server) try(request, body string, headers ...string) (answer, error) {
	s.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func (s *server) do(request, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(request, body, headers...)
	if err != nil {
		s.t.Fatalf("%s: %v", request, err)
	}
	return a
}

// want sends a request and checks status and members of the answer.
func (s *server) want(request, body string, status int, members map[string]any, headers ...string) answer {
	s.t.Helper()
	a := s.do(request, body, headers...)
	if a.status != status {
		s.t.Fatalf("%s: got status %d, want %d: %s", request, a.status, status, a.body)
	}
	for path, want := range members {
		if diff := cmp.Diff(want, a.get(s.t, path)); diff != "" {
			s.t.Errorf("%s: %s (-want +got):\n%s", request, path, diff)
		}
	}
	return a
}

const twoTeas = `{"items":[{"sku":"TEA-001","qty":2}]}`

func TestSameSeedAndRequestsGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	record := func() string {
		s := start(t)
		var all strings.Builder
		for _, step := range []struct{ request, body string }{
			{"POST /users", `{"name":"Ada","email":"ada@example.com"}`},
			{"POST /orders?async=true", twoTeas},
			{"POST /login", `{"user":"ada","password":"correct-horse"}`},
			{"GET /auth/digest", ""},
			{"GET /users", ""},
			{"GET /bytes/100", ""},
			{"GET /products?sort=-price", ""},
			{"GET /gzip", ""},
			{"GET /openapi.json", ""},
			{"GET /", ""},
			{"POST /echo?b=2&a=1&a=0", "text"},
		} {
			a := s.do(step.request, step.body)
			a.body = strings.ReplaceAll(a.body, strings.TrimPrefix(s.url, "http://"), "HOST")
			a.header.Del("Content-Length") // the port's digits
			fmt.Fprintln(&all, step.request, a.status, a.header, a.body)
		}
		return all.String()
	}
	if diff := cmp.Diff(record(), record()); diff != "" {
		t.Errorf("the second server answers differently:\n%s", diff)
	}
}

func TestAnotherSeedGivesOtherIds(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, seed := range []int64{1, 2} {
		app, err := New(Config{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		app.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/orders", strings.NewReader(twoTeas)))
		ids = append(ids, w.Header().Get("Location"))
	}
	if ids[0] == "" || ids[0] == ids[1] {
		t.Errorf("got the locations %q, want two", ids)
	}
}

func TestTenantsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := `{"name":"Ada","email":"ada@example.com"}`
	first := s.want("POST /users", body, 201, nil, "X-Tenant", "one")
	second := s.want("POST /users", body, 201, nil, "X-Tenant", "two")
	if first.get(t, "id") == second.get(t, "id") {
		t.Errorf("both tenants have the id %v", first.get(t, "id"))
	}
	location := first.header.Get("Location")
	s.want("GET "+location, "", 200, nil, "X-Tenant", "one")
	s.want("GET "+location, "", 404, nil, "X-Tenant", "two")
	s.want("POST /__reset", "", 204, nil, "X-Tenant", "one")
	s.want("GET /users", "", 200, map[string]any{"total": "0"}, "X-Tenant", "one")
	s.want("GET /users", "", 200, map[string]any{"total": "1"}, "X-Tenant", "two")
	again := s.want("POST /users", body, 201, nil, "X-Tenant", "one")
	if diff := cmp.Diff(first.body, again.body); diff != "" {
		t.Errorf("after a reset the same request gives (-first +again):\n%s", diff)
	}
	s.want("GET /users", "", 400, map[string]any{"error.code": "bad_request"}, "X-Tenant", strings.Repeat("x", 129))
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	app, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxTenants + 10 {
		app.tenant(fmt.Sprint(i))
	}
	if got := len(app.tenants.byName); got != maxTenants {
		t.Errorf("got %d tenants, want %d", got, maxTenants)
	}
	if app.tenants.byName["0"] != nil || app.tenants.byName[fmt.Sprint(maxTenants+9)] == nil {
		t.Error("the oldest tenant is kept or the newest is not")
	}
	// 25 tenants with as many records as each may have are more than all may have.
	for i := range 25 {
		tenant := app.tenant(fmt.Sprint("full", i))
		for n := range maxRecords + 5 {
			tenant.flaky.put(fmt.Sprint(n), 1)
		}
		if got := len(tenant.flaky.order); got != maxRecords || tenant.flaky.get("4") != nil || tenant.flaky.get("5") == nil {
			t.Fatalf("a tenant keeps %d records, want the newest %d", got, maxRecords)
		}
	}
	app.tenant("last")
	if got := app.tenants.records.Load(); got > maxAllRecords || got < maxAllRecords-maxRecords {
		t.Errorf("all tenants keep %d records, want at most %d", got, maxAllRecords)
	}
	app.tenant("full24").clear(&app.tenants.records)
	if got, want := app.tenants.records.Load(), int64(maxAllRecords-maxRecords); got != want {
		t.Errorf("after one is cleared all keep %d records, want %d", got, want)
	}
}

func TestUnknownPathsAndMethodsAreExplained(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want("GET /nope", "", 404, map[string]any{"error.code": "not_found", "error.message": "there is no /nope; GET / lists what there is"})
	a := s.want("PATCH /orders/1", "", 405, map[string]any{"error.code": "method_not_allowed", "error.message": "/orders/1 has GET, DELETE, not PATCH"})
	if got, want := a.header.Get("Allow"), "GET, DELETE"; got != want {
		t.Errorf("Allow: got %q, want %q", got, want)
	}
}

// requests is a log that counts the requests that handlers have begun.
type requests chan struct{}

func (r requests) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("msg=request ")) {
		r <- struct{}{}
	}
	return len(line), nil
}

// run starts the application on a real listener; stop ends it and waits.
func run(t *testing.T, begun requests) (address string, stop func() error) {
	t.Helper()
	app, err := New(Config{Logger: slog.New(slog.NewTextHandler(begun, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, l) }()
	return l.Addr().String(), func() error {
		cancel()
		return <-done
	}
}

func TestRunStopsAtOnceWhateverItIsDoing(t *testing.T) {
	t.Parallel()
	begun := make(requests)
	address, stop := run(t, begun)
	var ended sync.WaitGroup
	for _, request := range []string{
		"GET /delay?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /products HTTP/1.1\r\nHost: x\r\nX-Fault: drip=1s\r\n\r\n",
		"GET /products HTTP/1.1\r\nHost: x\r\nX-Fault: endless\r\n\r\n",
		"GET /products HTTP/1.1\r\nHost: x\r\nX-Fault: latency=60s\r\n\r\n",
		"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na=",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		<-begun
		ended.Go(func() {
			defer conn.Close()
			// A connection that is cut off ends as well as one that is closed.
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Logf("%.20s: %v", request, err)
			}
		})
	}
	from := time.Now()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	ended.Wait()
	if took := time.Since(from); took > shutdownGrace+5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestRunReportsAListenerThatIsClosed(t *testing.T) {
	t.Parallel()
	app, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got error %v, want %v", err, net.ErrClosed)
	}
}

func TestTheDateIsTheClocks(t *testing.T) {
	t.Parallel()
	a := start(t).do("GET /healthz", "")
	if got, want := a.header.Get("Date"), "Sun, 01 Mar 2026 12:00:00 GMT"; got != want || !bytes.Equal([]byte(a.body), []byte("{\"status\":\"ok\"}\n")) {
		t.Errorf("got date %q and body %q, want %q and status ok", got, a.body, want)
	}
}
