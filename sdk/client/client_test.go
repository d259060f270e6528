package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestARefusedFileSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"by the control plane": {`{"code": "unavailable", "message": "the log of the server says why"}`, "the control plane answered 503 Service Unavailable: the log of the server says why"},
		"by a proxy":           {"<html>no</html>", "the control plane answered 503 Service Unavailable"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(c.body)) // who does not get it fails below
		}))
		t.Cleanup(srv.Close)
		cl, err := New(Config{Address: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		sum := strings.Repeat("a", 64)
		_, got := cl.GetBlob(t.Context(), sum)
		if put := cl.PutBlob(t.Context(), sum, nil); put == nil || put.Error() != "store a file: "+c.want {
			t.Errorf("%s, storing: %v", name, put)
		}
		if got == nil || got.Error() != "read a file: "+c.want {
			t.Errorf("%s, reading: %v", name, got)
		}
	}
}
