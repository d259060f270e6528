package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxFile bounds a file that is sent.
const maxFile = 64 << 20

// target is where to connect.
type target struct {
	Address        string        `json:"address" doc:"Host and port." example:"127.0.0.1:6379" pattern:"^.+:[0-9]{1,5}$"`
	ConnectTimeout time.Duration `json:"connect_timeout" doc:"Limit of the connection with its name resolution." default:"5s"`
}

// payload is what to send.
type payload struct {
	Send      string              `json:"send,omitempty" doc:"Text to send, as it is: add \\r\\n where the protocol wants it."`
	SendBytes []byte              `json:"send_base64,omitempty" doc:"Bytes to send."`
	SendFile  plugin.File         `json:"send_file,omitempty" doc:"A file to send, relative to the flow."`
	Finish    bool                `json:"finish,omitempty" doc:"Whether our side is closed once everything is sent."`
	Hide      []plugin.SecretText `json:"hide,omitempty" doc:"Texts of what is sent or comes back that must not be shown."`
}

// reading says where a reply ends and how it is shown.
type reading struct {
	Until    string        `json:"until,omitempty" doc:"The text that ends the reply; it is not part of it." example:"\r\n"`
	Bytes    int           `json:"bytes,omitempty" doc:"The length of the reply." min:"1" max:"67108864"`
	As       string        `json:"as" doc:"How the reply is given: as text, or any bytes as base64." enum:"text|base64" default:"text"`
	MaxBytes int           `json:"max_bytes" doc:"Bytes that are read before the reply is cut." min:"1" max:"67108864" default:"10485760"`
	Within   time.Duration `json:"within" doc:"Limit of the reply." default:"10s"`
}

// Reply is what came back.
type Reply struct {
	Reply string `json:"reply" doc:"The reply, without the text that ended it."`
	Bytes int    `json:"bytes" doc:"Its length in bytes."`
	End   string `json:"end" doc:"What ended it." enum:"until|bytes|close|limit"`
}

type exchangeIn struct {
	target
	payload
	reading
}

func exchange(ctx context.Context, call *plugin.Call, in exchangeIn) (Reply, error) {
	data, err := in.load(call)
	if err != nil {
		return Reply{}, err
	}
	began := time.Now()
	c, err := dial(ctx, in.target)
	if err != nil {
		return Reply{}, err
	}
	defer c.Close()
	connected := time.Since(began)
	// Sent and read at the same time: a server may answer before it has read all.
	sent := make(chan error, 1)
	go func() { sent <- c.send(ctx, data, in.Finish) }()
	got, err := c.read(ctx, in.reading)
	if err != nil {
		_ = c.Close() // which ends the sending too
	}
	sendErr := <-sent
	if call.WantsExchange() {
		call.Exchange(plugin.Exchange{
			Protocol: "TCP",
			Summary:  fmt.Sprintf("%s: %d bytes → %d bytes", in.Address, len(data), len(got.data)),
			Request:  shown(data), Response: shown(got.data), Started: began,
			Timings: map[string]float64{"connect": ms(connected), "total": ms(time.Since(began))},
		})
	}
	switch {
	case isLate(err):
		return Reply{}, plugin.Errorf(plugin.CodeTimeout, "%s did not end its reply within %s: %s", in.Address, in.Within, got.progress(in.reading)).
			WithHint("say where the reply ends: until, bytes, or finish where the server closes after our end")
	case err != nil:
		return Reply{}, plugin.NetError(err, in.Address)
	case sendErr != nil && got.end != "close":
		return Reply{}, plugin.NetError(sendErr, in.Address)
	case got.end == "close" && (in.Until != "" || in.Bytes > 0):
		return Reply{}, plugin.Errorf(plugin.CodeBody, "%s closed the connection before its reply ended: %s", in.Address, got.progress(in.reading))
	}
	return got.reply(call, in.reading)
}

type openIn struct {
	Name string `json:"name" doc:"Name of the connection, for the steps that use it." default:"default"`
	target
	payload
}

type opened struct {
	Local  string `json:"local" doc:"Our address."`
	Remote string `json:"remote" doc:"The server's address."`
}

func open(ctx context.Context, call *plugin.Call, in openIn) (opened, error) {
	data, err := in.load(call)
	if err != nil {
		return opened{}, err
	}
	if _, taken := plugin.Kept[*conn](call, in.Name); taken {
		return opened{}, plugin.Definitionf("name", "there is a connection %q already", in.Name).WithHint("close it first, or give this one another name")
	}
	c, err := plugin.Keep(ctx, call, in.Name, func() (*conn, func() error, error) {
		c, err := dial(ctx, in.target)
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	})
	if err != nil {
		return opened{}, err
	}
	if err := c.send(ctx, data, in.Finish); err != nil {
		return opened{}, plugin.NetError(err, in.Address)
	}
	return opened{Local: c.net.LocalAddr().String(), Remote: c.net.RemoteAddr().String()}, nil
}

type sendIn struct {
	Name string `json:"name" doc:"Name of the connection." default:"default"`
	payload
}

type sent struct {
	Bytes int `json:"bytes" doc:"How many bytes were sent."`
}

func send(ctx context.Context, call *plugin.Call, in sendIn) (sent, error) {
	c, err := kept(call, in.Name)
	if err != nil {
		return sent{}, err
	}
	data, err := in.load(call)
	if err != nil {
		return sent{}, err
	}
	if err := c.send(ctx, data, in.Finish); err != nil {
		return sent{}, plugin.NetError(err, c.address)
	}
	return sent{Bytes: len(data)}, nil
}

type expectIn struct {
	Name string `json:"name" doc:"Name of the connection." default:"default"`
	reading
}

func expect(ctx context.Context, call *plugin.Call, in expectIn) (Reply, error) {
	c, err := kept(call, in.Name)
	if err != nil {
		return Reply{}, err
	}
	call.Progress("waiting for %s", c.address)
	got, err := c.read(ctx, in.reading)
	switch {
	case isLate(err) && ctx.Err() == nil:
		return Reply{}, plugin.Failf("%s did not end its reply within %s: %s", c.address, in.Within, got.progress(in.reading))
	case err != nil:
		return Reply{}, plugin.NetError(err, c.address)
	case got.end == "close" && (in.Until != "" || in.Bytes > 0):
		return Reply{}, plugin.Failf("%s closed the connection before its reply ended: %s", c.address, got.progress(in.reading))
	}
	return got.reply(call, in.reading)
}

type closeIn struct {
	Name string `json:"name" doc:"Name of the connection." default:"default"`
}

type closed struct {
	Unread int `json:"unread" doc:"Bytes that had come and that nobody read."`
}

func closeNow(_ context.Context, call *plugin.Call, in closeIn) (closed, error) {
	c, ok := plugin.Kept[*conn](call, in.Name)
	if !ok {
		return closed{}, nil // closing twice is closing once
	}
	return closed{Unread: c.unread()}, plugin.Drop(call, in.Name)
}

func kept(call *plugin.Call, name string) (*conn, error) {
	c, ok := plugin.Kept[*conn](call, name)
	if !ok {
		return nil, plugin.Definitionf("name", "there is no open connection %q in this run", name).WithHint("a step with tcp.open comes first")
	}
	return c, nil
}

// load is what to send, from wherever the config has it.
func (d payload) load(call *plugin.Call) ([]byte, error) {
	given := 0
	for _, is := range []bool{d.Send != "", len(d.SendBytes) > 0, d.SendFile != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, plugin.Definitionf("send", "is given beside send_base64 or send_file: keep one of them")
	case d.SendFile != "":
		return call.ReadFile(d.SendFile, maxFile)
	case len(d.SendBytes) > 0:
		return d.SendBytes, nil
	}
	return []byte(d.Send), nil
}

// isOpen is a custom assertion: tcp.is_open("127.0.0.1:80").
func isOpen(ctx context.Context, address string) (bool, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || !isPort(port) {
		return false, plugin.Definitionf("", "tcp.is_open wants a host and a port, not %q", address)
	}
	c, err := dial(ctx, target{Address: address, ConnectTimeout: time.Second})
	if err != nil {
		return false, nil //nolint:nilerr // that nothing answers is the answer
	}
	return true, c.Close()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
