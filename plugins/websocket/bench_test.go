package websocket

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// BenchmarkEcho is what a message and its answer cost: by the library alone, and
// by steps that send and wait, whose cost beyond it is the difference.
func BenchmarkEcho(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		echo(conn)
	}))
	defer server.Close()
	url := "ws" + strings.TrimPrefix(server.URL, "http")
	const message = `{"type": "order.created", "id": 9007199254740993}`

	b.Run("library", func(b *testing.B) {
		conn, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		for b.Loop() {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
				b.Fatal(err)
			}
			if _, _, err := conn.ReadMessage(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("steps", func(b *testing.B) {
		p := New()
		do := func(step, action, config string) {
			if _, err := p.Execute(context.Background(), &plugin.Request{Action: "websocket." + action, RunID: "run", StepID: step, Try: 1, Config: json.RawMessage(config)}, nil); err != nil {
				b.Fatal(err)
			}
		}
		do("echo", "connect", `{"url": "`+url+`"}`)
		for b.Loop() {
			do("ask", "send", `{"json": `+message+`}`)
			do("answer", "expect", `{"since": "ask", "where": {"json": {"type": "order.created"}}}`)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	})
}
