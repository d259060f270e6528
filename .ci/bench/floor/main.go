// Command floor does with net/http alone what the flows of the benchmark do: the
// same requests, the same decoding, the same checks. What TestMesh costs is what
// it takes more than this. It is also the server that both talk to. It never
// links the product.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve()
	}
	if len(args) < 2 {
		return fmt.Errorf("usage: floor serve | get URL | steps URL N | flows URL N PARALLEL")
	}
	var numbers []int
	for _, arg := range args[2:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	c := client{url: args[1], http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	switch {
	case args[0] == "get":
		return c.ping()
	case args[0] == "steps" && len(numbers) == 1:
		for range numbers[0] {
			if _, err := c.create(); err != nil {
				return err
			}
		}
		return nil
	case args[0] == "flows" && len(numbers) == 2:
		return c.flows(numbers[0], numbers[1])
	default:
		return fmt.Errorf("unknown command %q", args)
	}
}

// serve answers on a free port, whose address is the first line printed, and
// counts, so that nobody is quick by not asking.
func serve() error {
	var asked atomic.Int64
	answer := func(w http.ResponseWriter, status int, body string) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	const user = `{"id":"8f21","name":"Ada","roles":["admin"],"total":58.9}`
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"status":"up"}`) })
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, 201, user)
	})
	mux.HandleFunc("GET /users/8f21", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, user) })
	mux.HandleFunc("GET /asked", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, asked.Swap(0)) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	return http.Serve(l, mux)
}

type client struct {
	url  string
	http http.Client
}

func (c *client) ask(method, path string, body []byte, status int) (map[string]any, error) {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if res.StatusCode != status {
		return nil, fmt.Errorf("%s %s: status %d, want %d", method, path, res.StatusCode, status)
	}
	return answer, nil
}

func (c *client) ping() error {
	_, err := c.ask("GET", "/ping", nil, 200)
	return err
}

func (c *client) create() (id string, err error) {
	body, err := json.Marshal(map[string]any{"name": "Ada"})
	if err != nil {
		return "", err
	}
	answer, err := c.ask("POST", "/users", body, 201)
	if err != nil {
		return "", err
	}
	id, ok := answer["id"].(string)
	if !ok || answer["name"] != "Ada" {
		return "", fmt.Errorf("unexpected answer %v", answer)
	}
	return id, nil
}

// flows runs n flows of two requests, at most parallel at a time.
func (c *client) flows(n, parallel int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, parallel)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				id, err := c.create()
				if err == nil {
					var answer map[string]any
					answer, err = c.ask("GET", "/users/"+id, nil, 200)
					if err == nil && (answer["id"] != id || !strings.HasPrefix(fmt.Sprint(answer["name"]), "A")) {
						err = fmt.Errorf("unexpected answer %v", answer)
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}
