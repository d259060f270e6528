package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// partBytes is how much of a blob is in memory while it is sent; what is smaller
	// goes in one request. 10,000 parts are the most that S3 takes: 80 GiB.
	partBytes = 8 << 20
	// tries is how often a request is made, with longer and longer pauses in between.
	tries = 6
	// answerWithin bounds the wait for the head of an answer.
	answerWithin = 30 * time.Second
	// sumHeader keeps the sha256 (hex) of blobs that went in one request.
	sumHeader = "Sha256"
	// refreshed is set anew by Touch: S3 refuses a copy onto itself that changes nothing.
	refreshed = "Refreshed"
)

// S3Config says which bucket, and as whom.
type S3Config struct {
	// Endpoint is an http:// or https:// address; empty: Amazon's.
	Endpoint, Region string
	Bucket           string
	// Prefix is before every key, with a slash after it; it may be empty.
	Prefix string
	// PathStyle names the bucket in the path of an address and not in its host, which
	// is what everything but Amazon's does by itself.
	PathStyle                          bool
	AccessKey, SecretKey, SessionToken string
	// CAPEM is an authority to trust beside the system's.
	CAPEM []byte
}

// S3 keeps blobs as objects of a bucket. It is safe for concurrent use.
type S3 struct {
	cfg    S3Config
	client *minio.Client
}

// NewS3 makes a store; it asks nothing of the service yet, see Check.
func NewS3(cfg S3Config) (*S3, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("the endpoint %q of the bucket is no http:// or https:// address of a host", cfg.Endpoint)
	}
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, fmt.Errorf("the bucket %s wants an access key and a secret key", cfg.Bucket)
	}
	if cfg.Prefix != "" && (!strings.HasSuffix(cfg.Prefix, "/") || !Valid(strings.TrimSuffix(cfg.Prefix, "/"))) {
		return nil, fmt.Errorf("the prefix %q of the bucket is none: it has parts of letters, digits, `-`, `_` and `.`, each with a slash after it", cfg.Prefix)
	}
	transport, err := transport(cfg)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, cfg.SessionToken), Secure: u.Scheme == "https",
		Transport: transport, Region: cfg.Region, BucketLookup: lookup, MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", cfg.Bucket, err)
	}
	return &S3{cfg: cfg, client: client}, nil
}

func transport(cfg S3Config) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = answerWithin
	t.MaxIdleConnsPerHost = 64
	t.DisableCompression = true // what is packed says so in its key; an answer unpacked on the way has another length
	if len(cfg.CAPEM) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(cfg.CAPEM) {
		return nil, errors.New("the certificate authority of the bucket's endpoint holds no certificate")
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return t, nil
}

// RefusedError says that the service is there, and that it is not as it was told to
// be: trying again changes nothing.
type RefusedError struct {
	Message string
	err     error
}

func (e *RefusedError) Error() string { return e.Message }

// Unwrap is what the service said.
func (e *RefusedError) Unwrap() error { return e.err }

// said gives an error of the service words for whoever set it up.
func (s *S3) said(err error) error {
	answer := minio.ToErrorResponse(err)
	where := fmt.Sprintf("bucket %s at %s", s.cfg.Bucket, s.client.EndpointURL().Host)
	refused := func(format string, args ...any) error {
		return &RefusedError{fmt.Sprintf(format, args...), err}
	}
	switch answer.Code {
	case minio.NoSuchKey:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case minio.NoSuchBucket:
		return refused("there is no %s: make it, or correct its name", where)
	case "InvalidAccessKeyId":
		return refused("%s does not know the access key %s", where, s.cfg.AccessKey)
	case "SignatureDoesNotMatch":
		return refused("%s does not accept the secret key of the access key %s", where, s.cfg.AccessKey)
	case "ExpiredToken", "InvalidToken":
		return refused("%s says that the session token has ended", where)
	case minio.AccessDenied:
		return refused("%s denies the access key %s what a control plane needs: to list, read, write and delete objects below %q", where, s.cfg.AccessKey, s.cfg.Prefix)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidRegion":
		return refused("%s is in another region than %q: %s", where, s.cfg.Region, answer.Message)
	case "RequestTimeTooSkewed":
		return refused("%s says that the clock of this machine is wrong", where)
	case "XMinioStorageFull", "InsufficientStorage", "QuotaExceeded":
		return &FullError{where, err}
	}
	return err
}

func (s *S3) object(key string) (string, error) {
	if !Valid(key) || len(s.cfg.Prefix)+len(key) > 1024 {
		return "", fmt.Errorf("the key %q is none", key)
	}
	return s.cfg.Prefix + key, nil
}

// probe is the blob that Check puts and deletes.
const probe = "probe/writable"

// Check makes sure that blobs can be put, read, listed and deleted. An error that is a
// *RefusedError does not go away by waiting.
func (s *S3) Check(ctx context.Context) error {
	text := "written to find out whether this can be written"
	if err := s.Put(ctx, probe, strings.NewReader(text)); err != nil {
		return err
	}
	r, err := s.Get(ctx, probe)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("bucket %s gives back other bytes than were put", s.cfg.Bucket)
	}
	if _, err := s.List(ctx, "probe/"); err != nil {
		return err
	}
	return s.Delete(ctx, probe)
}

// Put stores a blob: all of it, or nothing. It is durable when Put returns. At most a
// part of it is in memory; each part is checked by the service against its MD5.
func (s *S3) Put(ctx context.Context, key string, r io.Reader) error {
	name, err := s.object(key)
	if err != nil {
		return err
	}
	// Its MD5 stands for the bytes: the signature of the request covers that, and a
	// service that signs chunk by chunk is not wanted.
	o := minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true, DisableContentSha256: true,
		PartSize: partBytes, NumThreads: 1, UserMetadata: map[string]string{},
	}
	first := bytes.NewBuffer(make([]byte, 0, 64<<10))
	switch n, err := io.Copy(first, io.LimitReader(r, partBytes)); {
	case err != nil:
		return fmt.Errorf("store blob %s: %w", key, err)
	case n < partBytes:
		sum := sha256.Sum256(first.Bytes())
		o.UserMetadata[sumHeader], o.DisableMultipart = hex.EncodeToString(sum[:]), true
		_, err = s.client.PutObject(ctx, s.cfg.Bucket, name, bytes.NewReader(first.Bytes()), n, o)
		if err != nil {
			return fmt.Errorf("store blob %s: %w", key, s.said(err))
		}
		return nil
	}
	if _, err := s.client.PutObject(ctx, s.cfg.Bucket, name, io.MultiReader(first, r), -1, o); err != nil {
		return fmt.Errorf("store blob %s: %w", key, s.said(err))
	}
	return nil
}

// Get opens a blob. A read that ends too soon, or whose bytes are not those that were
// put, ends in an error and not in io.EOF.
func (s *S3) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	name, err := s.object(key)
	if err != nil {
		return nil, err
	}
	core := minio.Core{Client: s.client}
	body, info, header, err := core.GetObject(ctx, s.cfg.Bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", key, s.said(err))
	}
	return &verified{from: body, key: key, left: info.Size, sum: sha256.New(), want: header.Get("X-Amz-Meta-" + sumHeader)}, nil
}

// verified reads a blob to its end, and looks there whether it is the one that was put.
type verified struct {
	from io.ReadCloser
	key  string
	left int64
	sum  hash.Hash
	want string // sha256 (hex); empty: it went in parts, which were checked when they were put
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.left -= int64(n)
	_, _ = v.sum.Write(p[:n]) // a hash does not fail
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	switch {
	case v.left != 0:
		return n, fmt.Errorf("read blob %s: %d bytes are missing", v.key, v.left)
	case v.want != "" && hex.EncodeToString(v.sum.Sum(nil)) != v.want:
		return n, fmt.Errorf("read blob %s: it is damaged, its sha256 is not that of what was put", v.key)
	}
	return n, io.EOF
}

func (v *verified) Close() error { return v.from.Close() }

// Has says whether a blob is there, and how long it is.
func (s *S3) Has(ctx context.Context, key string) (size int64, ok bool, err error) {
	name, err := s.object(key)
	if err != nil {
		return 0, false, err
	}
	info, err := s.client.StatObject(ctx, s.cfg.Bucket, name, minio.StatObjectOptions{})
	if err = s.said(err); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("look for blob %s: %w", key, err)
	}
	return info.Size, true, nil
}

// List are the keys below a prefix that ends in a slash, in alphabetical order.
func (s *S3) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.Walk(ctx, prefix, func(i Info) error { keys = append(keys, i.Key); return nil })
	return keys, err // S3 gives them in order
}

// Walk shows each blob below a prefix that ends in a slash, until visit errors.
func (s *S3) Walk(ctx context.Context, prefix string, visit func(Info) error) error {
	name, err := s.object(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // which ends the listing
	for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: name + "/", Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list blobs of %s: %w", prefix, s.said(o.Err))
		}
		if err := visit(Info{Key: strings.TrimPrefix(o.Key, s.cfg.Prefix), Size: o.Size, Modified: o.LastModified}); err != nil {
			return fmt.Errorf("list blobs of %s: %w", prefix, err)
		}
	}
	return ctx.Err()
}

// Touch makes a blob as young as one that was just put; one that is not there is
// ErrNotFound.
func (s *S3) Touch(ctx context.Context, key string) error {
	name, err := s.object(key)
	if err != nil {
		return err
	}
	info, err := s.client.StatObject(ctx, s.cfg.Bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return fmt.Errorf("touch blob %s: %w", key, s.said(err))
	}
	meta := map[string]string{refreshed: time.Now().UTC().Format(time.RFC3339), "Content-Type": "application/octet-stream"}
	if sum := info.UserMetadata[sumHeader]; sum != "" {
		meta[sumHeader] = sum
	}
	_, err = s.client.CopyObject(ctx, minio.CopyDestOptions{Bucket: s.cfg.Bucket, Object: name, UserMetadata: meta, ReplaceMetadata: true},
		minio.CopySrcOptions{Bucket: s.cfg.Bucket, Object: name})
	if err != nil {
		return fmt.Errorf("touch blob %s: %w", key, s.said(err))
	}
	return nil
}

// Delete removes a blob; one that is not there is no error.
func (s *S3) Delete(ctx context.Context, key string) error {
	name, err := s.object(key)
	if err != nil {
		return err
	}
	err = s.said(s.client.RemoveObject(ctx, s.cfg.Bucket, name, minio.RemoveObjectOptions{}))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", key, err)
	}
	return nil
}
