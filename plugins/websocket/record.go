package websocket

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const protocolName = "WebSocket"

// record tells people of a handshake.
func (t *target) record(call *plugin.Call, a *address, header http.Header, answer *handshake, began time.Time) {
	if !call.WantsExchange() {
		return
	}
	x := plugin.Exchange{
		Protocol: protocolName, Summary: "GET " + a.full.String() + " → no answer", Started: began,
		Request: printed(map[string]any{"url": a.full.String(), "headers": joined(header), "subprotocols": t.Subprotocols, "compression": t.Compression}),
		Timings: map[string]float64{"total": ms(time.Since(began))},
	}
	if answer != nil {
		x.Summary = fmt.Sprintf("GET %s → %d", a.full, answer.Status)
		x.Response = printed(answer)
	}
	call.Exchange(x)
}

// recordSent tells people of a message that was sent.
func recordSent(call *plugin.Call, c *conn, out outgoing, began time.Time) {
	if !call.WantsExchange() {
		return
	}
	shown := received{text: out.kind() != "binary", data: out.data}
	call.Exchange(plugin.Exchange{
		Protocol: protocolName, Summary: fmt.Sprintf("%s ← %s, %d bytes", c.shown, out.kind(), len(out.data)), Started: began,
		Request: printed(map[string]any{"type": out.kind(), "bytes": len(out.data), "message": shown.preview(maxShown)}),
		Timings: map[string]float64{"total": ms(time.Since(began))},
	})
}

// recordCame tells people of messages that came, the latest of them.
func recordCame(call *plugin.Call, c *conn, all []received, began time.Time) {
	if !call.WantsExchange() {
		return
	}
	list := []map[string]any{}
	for _, r := range all[max(0, len(all)-maxListed):] {
		list = append(list, map[string]any{"number": r.number, "type": r.kind(), "bytes": len(r.data), "at": r.at, "message": r.preview(maxShown)})
	}
	call.Exchange(plugin.Exchange{
		Protocol: protocolName, Summary: fmt.Sprintf("%s → %s", c.shown, count(len(all), "message")), Started: began,
		Response: printed(map[string]any{"count": len(all), "messages": list}),
		Timings:  map[string]float64{"total": ms(time.Since(began))},
	})
}

func joined(header http.Header) map[string]string {
	out := make(map[string]string, len(header))
	for name, values := range header {
		out[name] = strings.Join(values, ", ")
	}
	return out
}

func printed(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
