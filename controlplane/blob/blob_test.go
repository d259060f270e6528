package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// store is what readers want of both.
type store interface {
	Put(ctx context.Context, key string, r io.Reader) error
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	Has(ctx context.Context, key string) (int64, bool, error)
	List(ctx context.Context, prefix string) ([]string, error)
	Walk(ctx context.Context, prefix string, visit func(Info) error) error
	Touch(ctx context.Context, key string) error
	Delete(ctx context.Context, key string) error
}

const testBucket = "blobs"

// service is an S3 service over HTTP; before may answer in its place.
type service struct {
	*httptest.Server
	before atomic.Pointer[func(w http.ResponseWriter, req *http.Request) bool]
	asked  atomic.Int64
}

func newService(t *testing.T) *service {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(testBucket); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.asked.Add(1)
		if b := s.before.Load(); b != nil && (*b)(w, req) {
			return
		}
		fake.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	return s
}

// first answers requests in the service's place where f says that it did.
func (s *service) first(f func(w http.ResponseWriter, req *http.Request) bool) { s.before.Store(&f) }

// refuse answers as S3 refuses.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>no</Message></Error>")
	return true
}

func (s *service) config() S3Config {
	return S3Config{Endpoint: s.URL, Region: "eu-1", Bucket: testBucket, Prefix: "mesh/", AccessKey: "AKIA-TEST", SecretKey: "secret"}
}

func (s *service) open(t *testing.T) *S3 {
	t.Helper()
	b, err := NewS3(s.config())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// both runs a test with each store.
func both(t *testing.T, test func(t *testing.T, b store)) {
	t.Run("dir", func(t *testing.T) {
		d, err := OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, d)
	})
	t.Run("s3", func(t *testing.T) { test(t, newService(t).open(t)) })
}

func put(t *testing.T, b store, key, text string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b store, key string) string {
	t.Helper()
	r, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhatIsPutIsThere(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		put(t, b, "streams/r1/1/a.zst", "one")
		put(t, b, "streams/r1/1/a.zst", "another")
		put(t, b, "streams/r1/2/b", "")
		put(t, b, "streams/r10/1/c", "ten")
		if got := get(t, b, "streams/r1/1/a.zst"); got != "another" {
			t.Errorf("got %q", got)
		}
		if got := get(t, b, "streams/r1/2/b"); got != "" {
			t.Errorf("got %q of an empty blob", got)
		}
		size, ok, err := b.Has(t.Context(), "streams/r1/1/a.zst")
		if size != 7 || !ok || err != nil {
			t.Errorf("got %d %v %v", size, ok, err)
		}
		keys, err := b.List(t.Context(), "streams/r1/")
		if diff := cmp.Diff([]string{"streams/r1/1/a.zst", "streams/r1/2/b"}, keys); diff != "" || err != nil {
			t.Errorf("listed (-want +got):\n%s%v", diff, err)
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		if _, err := b.Get(t.Context(), "streams/none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if _, ok, err := b.Has(t.Context(), "streams/none"); ok || err != nil {
			t.Errorf("has: %v %v", ok, err)
		}
		if keys, err := b.List(t.Context(), "streams/"); len(keys) != 0 || err != nil {
			t.Errorf("list: %v %v", keys, err)
		}
		if err := b.Touch(t.Context(), "streams/none"); !errors.Is(err, ErrNotFound) {
			t.Errorf("touch: %v", err)
		}
		if err := b.Delete(t.Context(), "streams/none"); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
}

func TestDeletedIsGone(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		put(t, b, "files/aa/x", "x")
		if err := b.Delete(t.Context(), "files/aa/x"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := b.Has(t.Context(), "files/aa/x"); ok || err != nil {
			t.Errorf("has: %v %v", ok, err)
		}
	})
}

func TestTouchMakesYoungAndChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		put(t, b, "files/aa/x", "content")
		if d, ok := b.(*Dir); ok {
			old := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(d.root, "files/aa/x"), old, old); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Touch(t.Context(), "files/aa/x"); err != nil {
			t.Fatal(err)
		}
		err := b.Walk(t.Context(), "files/", func(i Info) error {
			if i.Key != "files/aa/x" || i.Size != 7 || time.Since(i.Modified) > time.Hour {
				t.Errorf("got %+v", i)
			}
			return nil
		})
		if got := get(t, b, "files/aa/x"); got != "content" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAWalkEndsWithTheErrorOfItsVisitor(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		put(t, b, "files/1", "")
		put(t, b, "files/2", "")
		seen, enough := 0, errors.New("enough")
		if err := b.Walk(t.Context(), "files/", func(Info) error { seen++; return enough }); !errors.Is(err, enough) || seen != 1 {
			t.Errorf("got %v after %d", err, seen)
		}
	})
}

// cut is a reader that errors after some bytes.
type cut struct{ left int }

var errCut = errors.New("the sender has gone")

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errCut
	}
	n := min(len(p), c.left)
	c.left -= n
	return n, nil
}

func TestHalfOfABlobIsNone(t *testing.T) {
	for name, length := range map[string]int{"one request": 1000, "several parts": 2*partBytes + 5} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, b store) {
				if err := b.Put(t.Context(), "files/x", &cut{length}); !errors.Is(err, errCut) {
					t.Errorf("got %v", err)
				}
				if _, ok, err := b.Has(t.Context(), "files/x"); ok || err != nil {
					t.Errorf("it is there: %v %v", ok, err)
				}
			})
		})
	}
}

func TestKeysThatAreNone(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		for _, key := range []string{"", "/a", "a/", "../a", "a/../b", "a//b", "a b", "ä", "a/.", strings.Repeat("a", MaxKey+1)} {
			if err := b.Put(t.Context(), key, strings.NewReader("x")); err == nil {
				t.Errorf("%q was put", key)
			}
			if _, err := b.Get(t.Context(), key); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("get %q: %v", key, err)
			}
			_, _, err := b.Has(t.Context(), key)
			if err == nil || b.Touch(t.Context(), key) == nil || b.Delete(t.Context(), key) == nil {
				t.Errorf("%q was taken for a key", key)
			}
		}
		if err := b.Walk(t.Context(), "../", nil); err == nil {
			t.Error("what is outside was listed")
		}
	})
}

// endless gives bytes that do not compress into a pattern of parts.
type endless struct{ n byte }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		e.n = e.n*31 + 7
		p[i] = e.n
	}
	return len(p), nil
}

func TestALargeBlobGoesInParts(t *testing.T) {
	both(t, func(t *testing.T, b store) {
		const length = 3*partBytes + 12345
		want := make([]byte, length)
		if _, err := io.ReadFull(&endless{}, want); err != nil {
			t.Fatal(err)
		}
		if err := b.Put(t.Context(), "files/large", io.LimitReader(&endless{}, length)); err != nil {
			t.Fatal(err)
		}
		if got := get(t, b, "files/large"); !bytes.Equal([]byte(got), want) {
			t.Errorf("%d bytes came back, or other ones", len(got))
		}
	})
}

func TestAPutHoldsABoundedPartInMemory(t *testing.T) {
	s := newService(t)
	s.first(func(w http.ResponseWriter, req *http.Request) bool { // takes all and keeps nothing
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("ETag", `"0"`)
		if req.Method == http.MethodPost && req.URL.Query().Has("uploads") {
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		} else if req.Method == http.MethodPost {
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Bucket>blobs</Bucket><Key>k</Key><ETag>0</ETag></CompleteMultipartUploadResult>")
		}
		return true
	})
	var highest uint64
	from := &watched{r: io.LimitReader(&endless{}, 200<<20), look: func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		highest = max(highest, m.HeapInuse)
	}}
	runtime.GC()
	from.look()
	before := highest
	if err := s.open(t).Put(t.Context(), "files/huge", from); err != nil {
		t.Fatal(err)
	}
	if grown := highest - before; grown > 12*partBytes {
		t.Errorf("200 MiB needed %d MiB of memory", grown>>20)
	}
}

// watched looks now and then while it is read.
type watched struct {
	r    io.Reader
	n    int
	look func()
}

func (w *watched) Read(p []byte) (int, error) {
	if w.n++; w.n%256 == 0 {
		w.look()
	}
	return w.r.Read(p)
}
