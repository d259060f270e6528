package http

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const benchAnswer = `{"id":"0b0f6f0c-1a43-4f3e-9a1c-2f9d3c1f7a11","name":"Ada Lovelace","email":"ada@example.com","roles":["admin","editor"],"created":"2026-01-02T03:04:05Z","active":true,"score":12.5}`

func benchServer(b *testing.B) *httptest.Server {
	b.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, benchAnswer)
	}))
	b.Cleanup(s.Close)
	return s
}

// BenchmarkBare is the floor: the same request by net/http and encoding/json.
func BenchmarkBare(b *testing.B) {
	s := benchServer(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: idlePerHost}}
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Get(s.URL + "/users/1")
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		res.Body.Close()
		var v any
		if err != nil || json.Unmarshal(data, &v) != nil || res.StatusCode != http.StatusOK {
			b.Fatal(err, res.Status)
		}
	}
}

// BenchmarkExecute is what http.request costs, to the JSON of its result.
func BenchmarkExecute(b *testing.B) {
	s := benchServer(b)
	p := New(Config{})
	defer p.Close()
	req := &plugin.Request{
		Action: "http.request", RunID: "run", StepID: "step", Try: 1, Attempt: 1,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Config:      json.RawMessage(`{"headers":{"X-Request-Id":"1"},"method":"GET","url":"` + s.URL + `/users/1"}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Execute(b.Context(), req, nil); err != nil {
			b.Fatal(err)
		}
	}
}
