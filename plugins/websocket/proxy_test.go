package websocket

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// join copies both ways until one side has ended.
func join(a, b net.Conn) {
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	_, _ = a.Close(), b.Close()
	<-ended
}

// tunnels is a proxy that grants CONNECT to who knows the password.
func tunnels(used *atomic.Int64) func(net.Conn) {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:pa55word"))
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != want {
			_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		used.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		join(c, to)
	}
}

// socks is a proxy of SOCKS 5 (RFC 1928) without a user.
func socks(used *atomic.Int64) func(net.Conn) {
	return func(c net.Conn) {
		in := make([]byte, 300)
		if _, err := io.ReadFull(c, in[:2]); err != nil {
			return
		}
		_, _ = io.ReadFull(c, in[:in[1]])
		_, _ = c.Write([]byte{5, 0})
		if _, err := io.ReadFull(c, in[:10]); err != nil || in[3] != 1 {
			return
		}
		to, err := net.Dial("tcp", net.JoinHostPort(net.IP(in[4:8]).String(), strconv.Itoa(int(in[8])<<8|int(in[9]))))
		if err != nil {
			return
		}
		used.Add(1)
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		join(c, to)
	}
}

func TestProxies(t *testing.T) {
	api := shop(t)
	address, ca := secure(t, nil)
	var used atomic.Int64
	for name, test := range map[string]struct {
		proxy, url string
	}{
		"ws through a tunnel":   {"http://ada:pa55word@" + raw(t, tunnels(&used)), "ws://" + api + "/ws/echo"},
		"wss through a tunnel":  {"http://ada:pa55word@" + raw(t, tunnels(&used)), "wss://" + address},
		"ws through SOCKS":      {"socks5://" + raw(t, socks(&used)), "ws://" + api + "/ws/echo"},
		"wss through SOCKS":     {"socks5h://" + raw(t, socks(&used)), "wss://" + address},
		"none that is used":     {"none", "ws://" + api + "/ws/echo"},
		"the environment's own": {"", "ws://" + api + "/ws/echo"},
	} {
		t.Run(name, func(t *testing.T) {
			used.Store(0)
			p := play(t)
			p.do("exchange", fields{"url": test.url, "proxy": test.proxy, "tls": fields{"ca": ca}, "send": []fields{{"text": "x"}}})
			if want := strings.Contains(test.proxy, "://"); (used.Load() == 1) != want {
				t.Errorf("the proxy was used %d times", used.Load())
			}
			for _, x := range p.heard.exchanges {
				if strings.Contains(string(x.Request)+x.Summary, "pa55word") {
					t.Errorf("the password is shown: %s", x.Request)
				}
			}
		})
	}
}
