package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/testmesh/testmesh/controlplane/blob"
)

// BlobConfig says where blobs are kept. Credentials are never part of the URL, which
// is shown in logs and settings.
type BlobConfig struct {
	// URL is `dir` (the folder blobs of the data directory, also when it is empty),
	// `dir:/path`, or `s3://bucket/prefix?endpoint=https://HOST&region=NAME&path_style=true`.
	URL string
	// Of s3.
	AccessKey, SecretKey, SessionToken string
	// CAPEM is an authority to trust beside the system's, for the endpoint of s3.
	CAPEM []byte
}

// Shared says whether all nodes of a cluster see the same blobs.
func (c BlobConfig) Shared() bool { return strings.HasPrefix(c.URL, "s3:") }

// blobStore is where blobs are kept. Its methods may be called at once by many.
type blobStore interface {
	Put(ctx context.Context, key string, r io.Reader) error
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	Has(ctx context.Context, key string) (size int64, ok bool, err error)
	List(ctx context.Context, prefix string) ([]string, error)
	keeper
}

// keeper is what retention needs of a blob store.
type keeper interface {
	Walk(ctx context.Context, prefix string, visit func(blob.Info) error) error
	Touch(ctx context.Context, key string) error
	Delete(ctx context.Context, key string) error
}

// checkWithin bounds the look at a bucket before a node starts.
const checkWithin = 15 * time.Second

// openBlobs opens a blob store by its URL. A bucket that is refused is an error; one
// that cannot be reached now is not, because streams wait for it with their agents.
func openBlobs(ctx context.Context, cfg BlobConfig, dataDir string, log *slog.Logger) (blobStore, error) {
	switch path, isDir := strings.CutPrefix(cfg.URL, "dir:"); {
	case cfg.URL == "" || cfg.URL == "dir":
		return blob.OpenDir(filepath.Join(dataDir, "blobs"))
	case isDir:
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("the blob store %q names no absolute path: write dir:/path, or dir for the data directory", cfg.URL)
		}
		return blob.OpenDir(path)
	}
	c, err := bucket(cfg)
	if err != nil {
		return nil, err
	}
	s3, err := blob.NewS3(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	var refused *blob.RefusedError
	switch err := s3.Check(ctx); {
	case errors.As(err, &refused):
		return nil, fmt.Errorf("the blob store cannot be used: %w", err)
	case err != nil:
		log.Warn("the blob store cannot be reached: nothing is acknowledged to agents until it can", "error", err)
	}
	return s3, nil
}

// bucket reads the URL of a bucket.
func bucket(cfg BlobConfig) (blob.S3Config, error) {
	bad := func(why string) (blob.S3Config, error) {
		return blob.S3Config{}, fmt.Errorf("the blob store %q is none: %s\n  hint: write dir, dir:/path or s3://bucket/prefix?endpoint=https://HOST&region=NAME", cfg.URL, why)
	}
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return bad("it is no URL")
	case u.Scheme != "s3":
		return bad("there are dir and s3")
	case u.User != nil:
		return blob.S3Config{}, errors.New("the blob store's URL has credentials in it: they are settings of their own, so that they are not shown where the URL is")
	case u.Host == "":
		return bad("it names no bucket")
	}
	out := blob.S3Config{
		Bucket: u.Host, AccessKey: cfg.AccessKey, SecretKey: cfg.SecretKey, SessionToken: cfg.SessionToken, CAPEM: cfg.CAPEM,
	}
	if p := strings.Trim(u.Path, "/"); p != "" {
		out.Prefix = p + "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("what is behind ? cannot be read")
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "endpoint":
			out.Endpoint = value
		case "region":
			out.Region = value
		case "path_style":
			out.PathStyle = value == "true"
		default:
			return bad("it has " + name + ", and there are endpoint, region and path_style")
		}
	}
	return out, nil
}
