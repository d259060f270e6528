package pluginstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

const (
	// fetchTimeout bounds one download: the largest package over a slow line.
	fetchTimeout = 10 * time.Minute
	// answerTimeout bounds how long a server may keep silent.
	answerTimeout = 30 * time.Second
	// maxRedirects is enough for a release page that sends to its storage.
	maxRedirects = 5
)

// Fetcher reads indexes and archives of folders and web servers.
type Fetcher struct{ client *http.Client }

// NewFetcher makes a fetcher that goes through the proxies of the environment.
func NewFetcher() *Fetcher {
	return &Fetcher{client: &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout,
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return errors.New("it redirects too often")
			case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
				return fmt.Errorf("it redirects from https to %s", r.URL.Scheme)
			}
			return nil
		},
	}}
}

// IsURL says whether a place is on a web server.
func IsURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

// Index reads the index at a URL or in a folder. A place that does not end in
// .yaml is where index.yaml stands.
func (f *Fetcher) Index(ctx context.Context, place string) (*Index, source.Problems, error) {
	at, err := indexAt(place)
	if err != nil {
		return nil, nil, err
	}
	var data []byte
	if IsURL(at) {
		var b strings.Builder
		if err = f.get(ctx, at, &b, source.MaxData); err == nil {
			data = []byte(b.String())
		}
	} else {
		data, err = readFile(at, source.MaxData)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the index: %w", err)
	}
	index, problems := ParseIndex(at, data)
	return index, problems, nil
}

func indexAt(place string) (string, error) {
	if !IsURL(place) {
		if strings.HasSuffix(place, ".yaml") {
			return place, nil
		}
		return filepath.Join(place, IndexFile), nil
	}
	u, err := url.Parse(place)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is not the URL of an index", place)
	}
	if u.User != nil {
		return "", errors.New("the URL of an index holds a name or password, which would stand in plugins.lock: leave it out")
	}
	if !strings.HasSuffix(u.Path, ".yaml") {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/" + IndexFile
	}
	return u.String(), nil
}

// Archive copies the archive that an index names by ref to out.
func (f *Fetcher) Archive(ctx context.Context, place, ref string, out io.Writer) error {
	at, err := indexAt(place)
	if err != nil {
		return err
	}
	switch {
	case IsURL(ref):
		return f.get(ctx, ref, out, maxArchive)
	case IsURL(at):
		base, err := url.Parse(at)
		if err != nil {
			return fmt.Errorf("read the index's URL: %w", err)
		}
		rel, err := url.Parse(ref)
		if err != nil || rel.Scheme != "" {
			return fmt.Errorf("the index gives %q as the place of an archive", ref)
		}
		return f.get(ctx, base.ResolveReference(rel).String(), out, maxArchive)
	}
	if !localName(path.Clean(ref)) {
		return fmt.Errorf("the index names an archive outside its folder: %q", ref)
	}
	root, err := os.OpenRoot(filepath.Dir(at))
	if err != nil {
		return fmt.Errorf("open the index's folder: %w", err)
	}
	defer root.Close()
	in, err := root.Open(ref)
	if err != nil {
		return fmt.Errorf("open the archive: %w", err)
	}
	defer in.Close()
	return copyUpTo(out, in, maxArchive, ref)
}

func (f *Fetcher) get(ctx context.Context, from string, out io.Writer, limit int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fmt.Errorf("get %s: %w", from, err)
	}
	req.Header.Set("User-Agent", "testmesh")
	res, err := f.client.Do(req)
	if err != nil {
		return err // which names the URL
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: the server answered %s", from, res.Status)
	}
	return copyUpTo(out, res.Body, limit, from)
}

func copyUpTo(out io.Writer, in io.Reader, limit int64, what string) error {
	n, err := io.Copy(out, io.LimitReader(in, limit+1))
	if err != nil {
		return fmt.Errorf("get %s: %w", what, err)
	}
	if n > limit {
		return fmt.Errorf("%s is over %d MiB", what, limit>>20)
	}
	return nil
}
