package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"

	"github.com/testmesh/testmesh/flow/bundle"
	"github.com/testmesh/testmesh/sdk/client"
)

// bundles are projects as folders, fetched once.
type bundles struct {
	dir   string
	fetch func(ctx context.Context, l *apiv1.Lease, sha256 string, into io.Writer) error

	mu   sync.Mutex
	here map[string]*sync.Mutex // by digest
}

// folder gives the bundle of a lease's run as a folder, and fetches what is missing of it.
func (b *bundles) folder(ctx context.Context, l *apiv1.Lease, digest string, files []*apiv1.BundleFile) (string, error) {
	if bundle.Digest(files) != digest {
		return "", errors.New("the list of the bundle's files is not the one that was promised")
	}
	if err := bundle.Check(files); err != nil {
		return "", err
	}
	b.mu.Lock()
	if b.here == nil {
		b.here = map[string]*sync.Mutex{}
	}
	one := b.here[digest]
	if one == nil {
		one = &sync.Mutex{}
		b.here[digest] = one
	}
	b.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	dir := filepath.Join(b.dir, digest)
	complete := filepath.Join(b.dir, digest+".complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	for _, f := range files {
		if err := b.file(ctx, l, filepath.Join(dir, filepath.FromSlash(f.GetPath())), f); err != nil {
			return "", fmt.Errorf("fetch %s: %w", f.GetPath(), err)
		}
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

func (b *bundles) file(ctx context.Context, l *apiv1.Lease, name string, f *apiv1.BundleFile) error {
	if data, err := os.ReadFile(name); err == nil && sum(data) == f.GetSha256() {
		return nil
	}
	var data bytes.Buffer
	if err := b.fetch(ctx, l, f.GetSha256(), &data); err != nil {
		return err
	}
	if sum(data.Bytes()) != f.GetSha256() {
		return errors.New("what was fetched has another sha256")
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, data.Bytes(), 0o600)
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// maxBlob bounds what is fetched at once.
const maxBlob = 256 << 20

// blob is the address of a content that a lease's run reads or writes: only for one of
// its own runs an agent may.
func (a *Agent) blob(l *apiv1.Lease, sum string) string {
	return fmt.Sprintf("%s/api/v1/blobs/%s?run=%s&attempt=%d&fence=%d", a.nodes.Base(), sum, l.GetRunId(), l.GetAttempt(), l.GetFence())
}

// fetch reads a content of the control plane, which the run of a lease names.
func (a *Agent) fetch(ctx context.Context, l *apiv1.Lease, sum string, into io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.blob(l, sum), nil)
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return client.Answered(res)
	}
	_, err = io.Copy(into, io.LimitReader(res.Body, maxBlob))
	return err
}

// store sends a content to the control plane, which the run of a lease has made.
func (a *Agent) store(ctx context.Context, l *apiv1.Lease, data []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, a.blob(l, sum(data)), bytes.NewReader(data))
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return client.Answered(res)
	}
	return nil
}

// root opens a folder as the project's file system, which no link leads out of.
func root(dir string) (fs.FS, io.Closer, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return r.FS(), r, nil
}
