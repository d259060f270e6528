package websocket

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// secure serves an echo by TLS and gives its address with the authority to trust.
func secure(t *testing.T, settings *tls.Config) (hostPort, ca string) {
	t.Helper()
	upgrader := &websocket.Upgrader{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			defer conn.Close()
			echo(conn)
		}
	}))
	server.TLS = settings
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return strings.TrimPrefix(server.URL, "https://"), string(cert)
}

func TestTLS(t *testing.T) {
	address, ca := secure(t, nil)
	asking, askingCA := secure(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert})
	old, oldCA := secure(t, &tls.Config{MaxVersion: tls.VersionTLS12})
	nginx := raw(t, answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 76\r\n\r\n<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"))
	alert := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = c.Write([]byte{0x15, 3, 1, 0, 2, 2, 0x16, '\n'})
	})
	for name, test := range map[string]struct {
		config fields
		fault  string // empty: it works
	}{
		"an authority that is known":          {fields{"url": "wss://" + address, "tls": fields{"ca": ca}}, ""},
		"by https":                            {fields{"url": "https://" + address, "tls": fields{"ca": ca}}, ""},
		"unchecked":                           {fields{"url": "wss://" + address, "tls": fields{"verify": false}}, ""},
		"by another name":                     {fields{"url": "wss://" + address, "tls": fields{"ca": ca, "server_name": "example.com"}}, ""},
		"an authority that is not known":      {fields{"url": "wss://" + address}, "E-TLS system: the certificate of ADDR is signed by an authority that is not trusted"},
		"for another name":                    {fields{"url": "wss://" + address, "tls": fields{"ca": ca, "server_name": "elsewhere"}}, "E-TLS system: the certificate of ADDR is for another name"},
		"a version that is too old":           {fields{"url": "wss://" + old, "tls": fields{"ca": oldCA, "min_version": "1.3"}}, "E-TLS system: ADDR and tls.min_version have no version of TLS in common"},
		"without the certificate it asks for": {fields{"url": "wss://" + asking, "tls": fields{"ca": askingCA}}, "E-"},
		"an authority that is none":           {fields{"url": "wss://" + address, "tls": fields{"ca": "x"}}, "E-CONFIG definition: holds no certificate in PEM [tls.ca]"},
		"wss to a port without TLS":           {fields{"url": "wss://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })}, "E-TLS system: ADDR does not speak TLS on this port\nhint: write ws:// instead of wss://"},
		"wss to a port that hangs up":         {fields{"url": "wss://" + raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) })}, "E-CONN system: ADDR closed the connection during the TLS handshake\nhint: does this port speak TLS?"},
		"ws to a TLS port":                    {fields{"url": "ws://" + address}, "E-TLS system: ADDR speaks TLS on this port, and the handshake was not\nhint: write wss:// instead of ws:// in url"},
		"ws to the TLS port of nginx":         {fields{"url": "ws://" + nginx}, "E-TLS system: ADDR speaks TLS on this port"},
		"ws to one that answers by TLS":       {fields{"url": "ws://" + alert}, "E-TLS system: ADDR speaks TLS on this port"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config["send"] = []fields{{"text": "x"}}
			_, _, err := play(t).step(t.Context(), "exchange", test.config)
			got := ""
			if err != nil {
				got = anyAddress(words(err))
			}
			if test.fault == "" && got != "" || !strings.HasPrefix(got, test.fault) {
				t.Errorf("got %q, want %q", got, test.fault)
			}
		})
	}
}
