package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsOfOneRequest(t *testing.T) {
	t.Parallel()
	s := start(t)
	for fault, want := range map[string]error{"drop": io.EOF, "reset": syscall.ECONNRESET, "truncate": io.ErrUnexpectedEOF} {
		if a, err := s.try("GET /healthz", "", "X-Fault", fault); !errors.Is(err, want) {
			t.Errorf("%s: got %v and error %v, want error %v", fault, a, err, want)
		}
	}
	truncated, err := s.try("GET /healthz", "", "X-Fault", "truncate")
	if got, want := truncated.body, "{\"status\":\"ok\"}\n"; got != want || truncated.header.Get("Content-Length") != "116" {
		t.Errorf("truncate: got %q (error %v) of %s bytes, want %q of 116", got, err, truncated.header.Get("Content-Length"), want)
	}
	s.want("GET /healthz", "", 500, map[string]any{"error.code": "fault"}, "X-Fault", "status")
	s.want("GET /healthz", "", 429, map[string]any{"error.code": "fault"}, "X-Fault", "status=429")
	s.want("POST /orders", twoTeas, 201, map[string]any{"total": "58.90"}, "X-Fault", "wrong-price")
	if got, want := s.do("GET /healthz", "", "X-Fault", "malformed").body, `{"status,`; got != want {
		t.Errorf("malformed: got %q, want %q", got, want)
	}
	if got, want := s.do("GET /healthz", "", "X-Fault", "duplicate-keys").body, `{"status":"duplicate","status":"ok"}`+"\n"; got != want {
		t.Errorf("duplicate-keys: got %q, want %q", got, want)
	}
	if got := s.do("GET /csv", "", "X-Fault", "duplicate-keys").body; strings.Count(got, `"duplicate"`) != 2 {
		t.Errorf("duplicate-keys of CSV: got %q", got)
	}
	from := time.Now()
	s.want("GET /healthz", "", 200, map[string]any{"status": "ok"}, "X-Fault", "latency=30ms, drip=2ms")
	if took := time.Since(from); took < 60*time.Millisecond {
		t.Errorf("30ms and 16 bytes 2ms apart took %s", took)
	}
	s.want("DELETE /orders/x", "", 404, nil, "X-Fault", "drip=0s")
	s.want("DELETE /cookies", "", 204, nil, "X-Fault", "drip,duplicate-keys,truncate")
}

func TestAFaultBeforeTheHandlerDoesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, fault := range []string{"drop", "reset", "status=503"} {
		if a, err := s.try("POST /orders", twoTeas, "X-Fault", fault); err == nil && a.status != 503 {
			t.Errorf("%s: got status %d and no error", fault, a.status)
		}
	}
	s.want("GET /orders", "", 200, map[string]any{"total": "0"})
}

func TestAnEndlessBodyEndsWithItsReader(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Fault", "endless")
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(resp.Body, head); err != nil || !strings.HasPrefix(string(head), `["more","more",`) {
		t.Errorf("got %q and error %v, want a megabyte of a list", head[:20], err)
	}
	cancel() // the server closes in the clean-up, which waits for its handlers
}

func TestFaultRulesStrikeByPathMethodAndCount(t *testing.T) {
	t.Parallel()
	s := start(t)
	rules := `{"faults":[
		{"fault":"status","value":"503","path":"/orders","method":"POST","count":2},
		{"fault":"status","path":"/users"},
		{"fault":"wrong-price"}]}`
	s.want("PUT /__faults", rules, 200, map[string]any{"faults.0.count": "2"})
	s.want("POST /orders", twoTeas, 201, map[string]any{"total": "59.80"}, "X-Tenant", "other")
	s.want("GET /orders", "", 200, nil)
	for _, want := range []int{503, 503, 201, 201} {
		if a := s.do("POST /orders", twoTeas); a.status != want || want == 201 && a.get(t, "total") != "58.90" {
			t.Errorf("got %d %s, want %d", a.status, a.body, want)
		}
	}
	s.want("GET /users", "", 500, nil)
	s.want("GET /users/x", "", 500, nil)
	s.want("GET /userscount", "", 404, nil)
	s.want("GET /__faults", "", 200, map[string]any{"faults": []any{
		map[string]any{"fault": "status", "path": "/users"}, map[string]any{"fault": "wrong-price"},
	}})
	s.want("DELETE /__faults", "", 204, nil)
	s.want("GET /users", "", 200, nil)
	s.want("PUT /__faults", `{"faults":[{"fault":"status"}]}`, 200, nil)
	s.want("GET /healthz", "", 500, nil)
	s.want("POST /__reset", "", 204, nil)
	s.want("GET /healthz", "", 200, nil)
}

func TestFaultsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	const all = "latency, status, wrong-price, drop, reset, drip, endless, truncate, malformed, duplicate-keys"
	for header, want := range map[string]string{
		"drips":                      `the fault "drips" is none of ` + all,
		"drip,":                      `the fault "" is none of ` + all,
		"drip=fast":                  `"fast" is not a duration up to 1m0s`,
		"latency=2m":                 `"2m" is not a duration up to 1m0s`,
		"status=200":                 `status 200 is not a whole number from 400 to 599`,
		"drop=1":                     `the fault drop takes no value`,
		strings.Repeat("drop,", 101): `X-Fault has more than 100 faults`,
	} {
		s.want("GET /healthz", "", 400, map[string]any{"error.message": want}, "X-Fault", header)
	}
	many := `{"fault":"drop","path":"/x"}`
	for body, want := range map[string]string{
		`{"faults":[{"fault":"x"}]}`:                                `the fault "x" is none of ` + all,
		`{"faults":[{"fault":"drop","path":"orders"}]}`:             `the path "orders" does not begin with /`,
		`{"faults":[{"fault":"drop","count":-1}]}`:                  `the count -1 is negative`,
		`{"faults":[null]}`:                                         `faults[0] is null`,
		`{"faults":[` + strings.Repeat(many+",", 100) + many + `]}`: `101 faults are more than 100`,
	} {
		s.want("PUT /__faults", body, 400, map[string]any{"error.message": want})
	}
	s.want("GET /__faults", "", 200, map[string]any{"faults": []any{}})
}

func TestTheIndexPageNamesEveryFault(t *testing.T) {
	t.Parallel()
	page := start(t).do("GET /", "").body
	for _, kind := range faultKinds() {
		if !strings.Contains(page, "<code>"+kind.name+"</code>") {
			t.Errorf("%s is not on the index page", kind.name)
		}
		if err := (&Fault{Kind: kind.name}).check(); err != nil {
			t.Errorf("%s without a value: %v", kind.name, err)
		}
	}
}

func TestDuplicateKeysKeepTheRestOfTheObject(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		`{"a:b":{"c":1},"d":2}`: `{"a:b":"duplicate","a:b":{"c":1},"d":2}` + "\n",
		`{}`:                    `{"duplicate":1,"duplicate":2}` + "\n",
		`[1]`:                   `{"duplicate":1,"duplicate":2}` + "\n",
		``:                      `{"duplicate":1,"duplicate":2}` + "\n",
	} {
		got := string(duplicateKey([]byte(give)))
		if diff := cmp.Diff(want, got); diff != "" || !json.Valid([]byte(got)) {
			t.Errorf("%s (-want +got):\n%s", give, diff)
		}
	}
}
