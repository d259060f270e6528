package websocket

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// bufferBytes is that of reading and of writing; it does not bound messages.
const bufferBytes = 4096

// maxRefusal is how much of the body of a refusal the library reads.
const maxRefusal = 1024

// handshake is how a server answered.
type handshake struct {
	Status      int               `json:"status" doc:"Status of the answer: 101 where the connection is open."`
	StatusText  string            `json:"status_text" doc:"Its text."`
	Headers     map[string]string `json:"headers" doc:"Headers of the answer; several of one name are joined by a comma."`
	Subprotocol string            `json:"subprotocol" doc:"The subprotocol that the server chose, or an empty text."`
	Compression bool              `json:"compression" doc:"Whether messages are packed with permessage-deflate."`
	ContentType string            `json:"content_type,omitempty" doc:"Media type of a refusal."`
	Body        any               `json:"body,omitempty" doc:"Body of a refusal: a value where it is JSON, else a text; its first KiB."`
	Time        float64           `json:"time" doc:"Milliseconds until the answer."`
}

// refused tells that there is no connection.
func (h *handshake) refused() bool { return h.Status != http.StatusSwitchingProtocols }

// shake opens a connection and speaks the handshake over it. Where the server
// refuses, there is an answer and no connection.
func (t *target) shake(ctx context.Context, call *plugin.Call, a *address) (*websocket.Conn, *wire, *handshake, error) {
	header, err := t.header(call, a)
	if err != nil {
		return nil, nil, nil, err
	}
	began := time.Now()
	w, err := t.open(ctx, call, a)
	if err != nil {
		return nil, nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, t.HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(limited, func() { _ = w.Close() })
	ready := func(context.Context, string, string) (net.Conn, error) { return w, nil }
	dialer := websocket.Dialer{
		NetDialContext: ready, NetDialTLSContext: ready, Subprotocols: t.Subprotocols, EnableCompression: t.Compression,
		ReadBufferSize: bufferBytes, WriteBufferSize: bufferBytes,
	}
	ws, res, err := dialer.DialContext(limited, a.full.String(), header) //nolint:bodyclose // it is a buffer in memory
	if !stop() && err == nil {                                           // it was cut off in the very last moment
		err = context.Cause(limited)
	}
	var answer *handshake
	if res != nil {
		answer = newHandshake(call, res, time.Since(began))
	}
	t.record(call, a, header, answer, began)
	if err == nil {
		err = t.agreed(a, answer)
	} else {
		err = t.shakeFault(ctx, limited, err, a, answer)
	}
	if err != nil || answer.refused() {
		_ = w.Close()
		return nil, nil, answer, err
	}
	w.most.Store(0)
	return ws, w, answer, nil
}

func newHandshake(call *plugin.Call, res *http.Response, took time.Duration) *handshake {
	_, text, _ := strings.Cut(res.Status, " ")
	h := &handshake{
		Status: res.StatusCode, StatusText: valid(text), Headers: make(map[string]string, len(res.Header)),
		Subprotocol: valid(res.Header.Get("Sec-Websocket-Protocol")), Time: ms(took),
	}
	for name, values := range res.Header {
		h.Headers[name] = valid(strings.Join(values, ", "))
	}
	extensions := res.Header.Values("Sec-Websocket-Extensions")
	h.Compression = slices.ContainsFunc(extensions, func(s string) bool { return strings.Contains(s, "permessage-deflate") })
	if !h.refused() {
		return h
	}
	h.ContentType, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	body, _ := io.ReadAll(res.Body) // of a buffer in memory
	if len(body) == maxRefusal && res.ContentLength != maxRefusal {
		call.Limited("body over 1 KiB")
	}
	if h.Body = valid(string(body)); h.ContentType == "application/json" || strings.HasSuffix(h.ContentType, "+json") {
		if _, err := value.DecodeLenient(body); err == nil {
			h.Body = json.RawMessage(body)
		}
	}
	return h
}

// agreed finds what a server may not choose in its answer (RFC 6455 section 4.1).
func (t *target) agreed(a *address, h *handshake) error {
	offered := strings.Join(t.Subprotocols, ", ")
	switch {
	case h.Subprotocol == "" && offered != "":
		return plugin.Failf("%s chose none of the subprotocols that were offered: %s", a.shown, offered).
			WithHint("does the service speak them, under these names? a browser would end the connection here")
	case h.Subprotocol != "" && !slices.Contains(t.Subprotocols, h.Subprotocol):
		if offered == "" {
			offered = "none"
		}
		return plugin.Errorf(plugin.CodeProtocol, "%s chose the subprotocol %q, which was not offered (%s)", a.shown, clip(h.Subprotocol), offered).
			WithHint("offer it with subprotocols: [%s], if it is meant", clip(h.Subprotocol))
	case h.Compression && !t.Compression:
		return plugin.Errorf(plugin.CodeProtocol, "%s packs messages with permessage-deflate, which was not offered", a.shown).
			WithHint("offer it with compression: true")
	}
	return nil
}

// shakeFault says why there is no connection. Nil: the server refused, which is
// an answer.
func (t *target) shakeFault(ctx, limited context.Context, err error, a *address, h *handshake) error {
	var closed net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case limited.Err() != nil, errors.As(err, &closed) && closed.Timeout():
		return timeoutFault(ctx, err, "%s took the connection and did not answer the handshake within %s", a.shown, t.HandshakeTimeout, "handshake_timeout")
	case errors.Is(err, websocket.ErrBadHandshake) && h.refused():
		return t.plainOnTLS(a, h)
	case errors.Is(err, websocket.ErrBadHandshake):
		return plugin.Errorf(plugin.CodeProtocol, "%s answered 101, but not to this handshake: %s", a.shown, mistake(h)).
			WithHint("is it a WebSocket server (RFC 6455)? a proxy in between may have answered")
	case h != nil: // 101, and an extension that the library cannot do
		return plugin.Errorf(plugin.CodeProtocol, "%s packs messages in a way that is not offered: %s", a.shown, clip(h.Headers["Sec-Websocket-Extensions"])).
			WithHint("leave compression out: of permessage-deflate there is no context takeover here")
	}
	return answerFault(err, a)
}

// plainOnTLS recognises servers that answer a handshake without TLS on their TLS
// port in plain text.
func (t *target) plainOnTLS(a *address, h *handshake) error {
	text, _ := h.Body.(string)
	if h.Status == http.StatusBadRequest && !a.secure() &&
		(strings.Contains(text, "HTTP request to an HTTPS server") || strings.Contains(text, "plain HTTP request was sent to HTTPS port")) {
		return tlsWanted(a)
	}
	return nil
}

// advice is what to do about a refusal.
func (h *handshake) advice() string {
	switch {
	case h.Status == http.StatusUnauthorized || h.Status == http.StatusForbidden:
		return "does the service want other headers (Authorization), cookies, or another origin?"
	case h.Status == http.StatusNotFound:
		return "is the path of url that of a WebSocket endpoint?"
	case h.Status == http.StatusUpgradeRequired || h.Status == http.StatusBadRequest:
		return "does a proxy in between take the Upgrade header away? is the endpoint one of WebSocket, version 13?"
	case h.Status >= 300 && h.Status < 400:
		return "redirects are not followed: connect to " + clip(h.Headers["Location"])
	case h.Status == http.StatusOK:
		return "an ordinary page answers there: is the path of url that of a WebSocket endpoint?"
	}
	return "look into the service's log"
}

// preview is a refusal in words.
func (h *handshake) preview() string {
	text, err := json.Marshal(h.Body)
	if err != nil {
		return ""
	}
	return "it said: " + clip(string(text))
}

// mistake is what is wrong with a 101.
func mistake(h *handshake) string {
	switch {
	case !strings.EqualFold(h.Headers["Upgrade"], "websocket"):
		return "its Upgrade header is not websocket"
	case !strings.Contains(strings.ToLower(h.Headers["Connection"]), "upgrade"):
		return "its Connection header is not Upgrade"
	case h.Headers["Sec-Websocket-Accept"] == "":
		return "there is no Sec-WebSocket-Accept"
	}
	return "Sec-WebSocket-Accept does not fit the key"
}

// valid is a text of the wire as JSON holds it.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
