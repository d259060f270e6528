package plugintest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// serverPatience bounds the time until the manifest's server says where it is;
// it may have to be built first.
const serverPatience = time.Minute

// world is what configs name: servers of the kit and of the manifest, and values
// of the caller. Each is made when it is first named.
type world struct {
	given  map[string]any
	server []string
	dir    string

	made   map[string]json.RawMessage
	closed []func()
}

func (w *world) close() {
	for _, f := range slices.Backward(w.closed) {
		f()
	}
	w.closed, w.made = nil, nil
}

// value is what a placeholder stands for, as JSON.
func (w *world) value(name string) (json.RawMessage, error) {
	if given, ok := w.given[name]; ok {
		return printJSON(given)
	}
	if made, ok := w.made[name]; ok {
		return made, nil
	}
	if w.made == nil {
		w.made = map[string]json.RawMessage{}
	}
	server, prefix := strings.TrimSuffix(name, "_port"), ""
	var listener net.Listener
	var err error
	switch server {
	case "server":
		return w.startServer()
	case "tcp_echo":
		listener, err = w.listen(func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	case "tcp_silent":
		listener, err = w.listen(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	case "http_echo":
		prefix = "http://"
		listener, err = w.listenHTTP()
	default:
		return nil, fmt.Errorf("the manifest's conformance names ${%s}, which stands for nothing", name)
	}
	if err != nil {
		return nil, err
	}
	w.made[server], _ = printJSON(prefix + listener.Addr().String())
	w.made[server+"_port"], err = printJSON(listener.Addr().(*net.TCPAddr).Port)
	return w.made[name], err
}

// listen serves connections on this machine until the world ends.
func (w *world) listen(serve func(net.Conn)) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			all.Go(func() {
				serve(conn)
				_ = conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	w.closed = append(w.closed, func() {
		_ = listener.Close()
		mu.Lock()
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return listener, nil
}

// listenHTTP answers every request with its own body.
func (w *world) listenHTTP() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		ReadHeaderTimeout: stepTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			_, _ = io.Copy(w, r.Body)
		}),
	}
	go func() { _ = server.Serve(listener) }()
	w.closed = append(w.closed, func() { _ = server.Close() })
	return listener, nil
}

// startServer runs the manifest's server; its first line is the value.
func (w *world) startServer() (json.RawMessage, error) {
	if len(w.server) == 0 {
		return nil, missing(`add conformance.server: the program that serves ${server} and prints its address as its first line`)
	}
	cmd, err := command(w.server, w.dir)
	if err != nil {
		return nil, err
	}
	p, err := start(cmd, markerName)
	if err != nil {
		return nil, fmt.Errorf("start the server of the conformance section: %w", err)
	}
	w.closed = append(w.closed, func() { p.killGroup(); <-p.exited })
	ctx, end := context.WithTimeout(context.Background(), serverPatience)
	defer end()
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(p.firstLine).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	select {
	case line := <-lines:
		if line == "" {
			p.ends(settling)
			return nil, fmt.Errorf("the server of the conformance section printed no address: %s", p.lastWords())
		}
		w.made["server"], err = printJSON(line)
		return w.made["server"], err
	case <-ctx.Done():
		return nil, fmt.Errorf("the server of the conformance section printed no line within %v", serverPatience)
	}
}

// step makes a step of a call, its placeholders filled.
func (k *kit) step(c Call, own map[string]json.RawMessage) (step, error) {
	config := c.Config
	if len(config) == 0 {
		config = json.RawMessage(`{}`)
	}
	text, err := k.fillJSON(config, own)
	if err != nil {
		return step{}, fmt.Errorf("the manifest's config of %s: %w", c.Action, err)
	}
	return step{action: c.Action, config: text}, nil
}

// fillJSON replaces the placeholders in a JSON value.
func (k *kit) fillJSON(text json.RawMessage, own map[string]json.RawMessage) (json.RawMessage, error) {
	var value any
	if err := decodeJSON(text, &value); err != nil {
		return nil, err
	}
	filled, err := k.fill(value, own)
	if err != nil {
		return nil, err
	}
	return printJSON(filled)
}

// fill replaces the placeholders in a value.
func (k *kit) fill(v any, own map[string]json.RawMessage) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			filled, err := k.fill(item, own)
			if err != nil {
				return nil, err
			}
			v[key] = filled
		}
	case []any:
		for i, item := range v {
			filled, err := k.fill(item, own)
			if err != nil {
				return nil, err
			}
			v[i] = filled
		}
	case string:
		return k.fillText(v, own)
	}
	return v, nil
}

func (k *kit) fillText(text string, own map[string]json.RawMessage) (any, error) {
	var out strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "${")
		name, behind, closed := strings.Cut(after, "}")
		if !found || !closed {
			out.WriteString(rest)
			return out.String(), nil
		}
		if !isName(name) { // some other language's
			out.WriteString(before + "${")
			rest = after
			continue
		}
		value, err := own[name], error(nil)
		if value == nil {
			value, err = k.world.value(name)
		}
		if err != nil {
			return nil, err
		}
		if before == "" && behind == "" && out.Len() == 0 {
			return value, nil
		}
		out.WriteString(before)
		var inner string
		if json.Unmarshal(value, &inner) != nil {
			inner = string(value)
		}
		out.WriteString(inner)
		rest = behind
	}
}

// decodeJSON reads one JSON value with its numbers as they are written.
func decodeJSON(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// printJSON prints a value as it crosses the wire.
func printJSON(v any) (json.RawMessage, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
