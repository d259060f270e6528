package api

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

func TestAReaderThatStandsStillIsCut(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2 ", http2), func(t *testing.T) {
			ended := make(chan int, 1)
			s := &server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
			srv := httptest.NewUnstartedServer(s.stalls(300*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				part, n := make([]byte, 64<<10), 0
				for {
					if _, err := w.Write(part); err != nil {
						ended <- n
						return
					}
					n += len(part)
				}
			})))
			srv.EnableHTTP2 = http2
			if http2 {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			res, err := srv.Client().Get(srv.URL + apiv1connect.RunServiceWatchProcedure)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			select {
			case n := <-ended: // nothing was read
				if n == 0 || n > 64<<20 {
					t.Errorf("it was cut after %d bytes", n)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it was not cut")
			}
			if _, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Error("to the reader the answer looks whole")
			}
		})
	}
}

func TestWhoReadsSlowlyIsNotCut(t *testing.T) {
	s := &server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
	srv := httptest.NewServer(s.stalls(time.Second, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			if _, err := io.WriteString(w, "part\n"); err != nil {
				t.Error(err)
			}
			w.(http.Flusher).Flush()
			<-time.After(600 * time.Millisecond) // longer in all than one write may take
		}
	})))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + apiv1connect.RunServiceWatchBatchProcedure)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || string(data) != "part\npart\npart\n" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestOtherAnswersHaveNoSuchTime(t *testing.T) {
	s := &server{}
	var seen http.ResponseWriter
	h := s.stalls(time.Second, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { seen = w }))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, apiv1connect.RunServiceListRunsProcedure, nil))
	if seen != http.ResponseWriter(rec) {
		t.Error("a list is written to another writer")
	}
}

// The error of a deadline is one of the network, and no verdict on what was asked.
func TestACutIsATimeout(t *testing.T) {
	p := &patient{ResponseWriter: httptest.NewRecorder(), rc: http.NewResponseController(httptest.NewRecorder()), cut: true}
	if _, err := p.Write([]byte("x")); !errors.Is(err, http.ErrHandlerTimeout) {
		t.Errorf("got %v", err)
	}
	p.Flush()
}
