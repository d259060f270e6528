package controlplane

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func TestABlobStoreByItsURL(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("mesh"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	data, apart := t.TempDir(), filepath.Join(t.TempDir(), "apart")
	for url, file := range map[string]string{
		"": filepath.Join(data, "blobs", "files", "x"), "dir": filepath.Join(data, "blobs", "files", "x"), "dir:" + apart: filepath.Join(apart, "files", "x"),
		"s3://mesh/prod/?endpoint=" + srv.URL + "&region=eu-1&path_style=true": "",
	} {
		b, err := openBlobs(t.Context(), BlobConfig{URL: url, AccessKey: "a", SecretKey: "s"}, data, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if err := b.Put(t.Context(), "files/x", strings.NewReader("x")); err != nil {
			t.Errorf("%q: %v", url, err)
		}
		if file == "" {
			if o, err := backend.HeadObject("mesh", "prod/files/x"); err != nil || o.Size != 1 {
				t.Errorf("%q: in the bucket is %v, %v", url, o, err)
			}
		} else if _, err := os.Stat(file); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestABlobStoreThatIsNone(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(srv.Close)
	for url, want := range map[string]string{
		"dir:relative":      "names no absolute path",
		"gs://bucket":       "there are dir and s3",
		"folder":            "there are dir and s3",
		"s3://":             "it names no bucket",
		"s3://b?colour=red": "it has colour, and there are endpoint, region and path_style",
		"s3://AK:SK@b":      "has credentials in it",
		"s3://b?endpoint=x": "no http:// or https:// address",
		"s3://none?region=eu-1&endpoint=" + srv.URL: "there is no bucket none",
	} {
		_, err := openBlobs(t.Context(), BlobConfig{URL: url, AccessKey: "a", SecretKey: "SECRET"}, t.TempDir(), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestABucketThatCannotBeReachedNowIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	address := srv.URL
	srv.Close()
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b, err := openBlobs(ctx, BlobConfig{URL: "s3://mesh?region=eu-1&endpoint=" + address, AccessKey: "a", SecretKey: "s"}, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || b == nil || !strings.Contains(log.String(), "the blob store cannot be reached") {
		t.Errorf("got %v, %v, and the log %s", b, err, log.String())
	}
}

func TestOnlyABucketIsShared(t *testing.T) {
	for url, want := range map[string]bool{"": false, "dir": false, "dir:/x": false, "s3://b": true} {
		if got := (BlobConfig{URL: url}).Shared(); got != want {
			t.Errorf("%q: %v", url, got)
		}
	}
}
