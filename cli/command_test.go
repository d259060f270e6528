package cli

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/examples/demo"
	"github.com/testmesh/testmesh/plugins"
)

// command runs one command in dir, as the program does, with the variables
// NAME=VALUE as its environment.
func command(t *testing.T, dir string, environment []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs lockedBuffer
	s := &State{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Dir: dir, Version: "v1.2.3",
		LookupEnv: func(name string) (string, bool) {
			for _, kv := range environment {
				if k, v, _ := strings.Cut(kv, "="); k == name {
					return v, true
				}
			}
			return "", false
		},
	}
	for _, p := range plugins.Builtins("v1.2.3") {
		s.Plugins = append(s.Plugins, Builtin{Descriptor: p.Descriptor, New: p.New})
	}
	code = Main(t.Context(), s)
	return out.String(), errs.String(), code
}

// serveDemoApplication runs the demo application and gives its address.
func serveDemoApplication(t *testing.T) string {
	t.Helper()
	app, err := demo.New(demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
