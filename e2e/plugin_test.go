package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// appears waits until a file is there: what a command in the background makes.
//
//	appears file
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears file")
	}
	const patience = time.Minute
	until := time.NewTimer(patience)
	defer until.Stop()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		_, err := os.Stat(ts.MkAbs(args[0]))
		if err == nil {
			return
		}
		select {
		case <-every.C:
		case <-until.C:
			ts.Fatalf("it did not appear within %s: %v", patience, err)
		}
	}
}

// damage changes one byte in the middle of a file.
//
//	damage file
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage file")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(name, data, 0o755))
}

// serve puts a folder on a web server until the end of the script, and its URL
// into a variable.
//
//	serve VARIABLE folder
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serve VARIABLE folder")
	}
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[1]))))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
