package pluginstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func anIndex() *Index {
	x := &Index{Plugins: map[string]*Entry{}}
	add := func(version, platform string, protocol int) {
		m := &Manifest{Name: "tcp", Version: version, Summary: "Bytes: over #TCP.", License: "MIT", Protocol: []int{protocol}}
		x.Add(m, platform, Checksums{URL: "tcp-" + version + ".tar.gz", Archive: aDigest("a"), Content: aDigest("b")})
	}
	add("1.0.0", Platform(), 1)
	add("1.10.0", Platform(), 1)
	add("1.9.0", Platform(), 1)
	add("1.11.0-rc.1", Platform(), 1)
	add("2.0.0", "plan9/mips", 1)
	add("3.0.0", Platform(), 9)
	add("1.0.0", AnyPlatform, 1)
	return x
}

func TestAnIndexIsReadAsItWasWritten(t *testing.T) {
	text := anIndex().Print()
	back, problems := ParseIndex(IndexFile, text)
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text)
	}
	if diff := cmp.Diff(anIndex(), back); diff != "" {
		t.Error(diff)
	}
	if string(back.Print()) != string(text) {
		t.Error("written again it is another")
	}
}

func TestWhatAnIndexOffers(t *testing.T) {
	tests := map[string]struct{ wanted, version, err string }{
		"the newest that runs here":    {"tcp", "1.10.0", ""},
		"numbers are compared":         {"tcp@^1.2", "1.10.0", ""},
		"one exactly":                  {"tcp@1.0.0", "1.0.0", ""},
		"a pre-release by its name":    {"tcp@1.11.0-rc.1", "1.11.0-rc.1", ""},
		"no package for this machine":  {"tcp@^2", "", "tcp 2.0.0 has no package for " + Platform() + "; it has plan9/mips"},
		"another protocol":             {"tcp@3.0.0", "", "speaks protocol [9] and this testmesh speaks 1"},
		"no such version":              {"tcp@^4", "", "no version of tcp is ^4; the index has 3.0.0, 2.0.0, 1.11.0-rc.1"},
		"a name that is nearly there":  {"tpc", "", `did you mean "tcp"?`},
		"a name that is nothing alike": {"kafka", "", "the index has no plugin kafka; it has tcp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := ParseWanted(tt.wanted)
			if err != nil {
				t.Fatal(err)
			}
			version, release, err := anIndex().Select(w)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || version != tt.version || release == nil {
				t.Errorf("got %s, %v; want %s", version, err, tt.version)
			}
		})
	}
}

func TestIndexesThatAreWrong(t *testing.T) {
	good := string(anIndex().Print())
	for name, tt := range map[string]struct{ old, new, want string }{
		"a key that is none":      {"versions:", "version:", `did you mean "versions"?`},
		"a name that is a path":   {"  tcp:", "  ../tcp:", "cannot be the name of a plugin"},
		"a version that is none":  {`"1.0.0"`, `"1.0"`, `"1.0" is not a version`},
		"no place of the archive": {"            url: \"tcp-1.10.0.tar.gz\"\n", "", `needs the key "url"`},
		"a checksum that is none": {aDigest("a"), "md5", "archive is not a SHA-256"},
		"another form":            {"testmesh.dev/v1", "testmesh.dev/v7", "is not known"},
		"a list":                  {good, "[]", "the index is a map"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			got, problems := ParseIndex(IndexFile, []byte(text))
			if got != nil || !strings.Contains(problems.Error(), tt.want) {
				t.Errorf("got %v, %v; want %q", got, problems, tt.want)
			}
		})
	}
}

func TestAnIndexOfAFolderAndOfAServerIsTheSame(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{IndexFile: string(anIndex().Print()), "a.tar.gz": "bytes"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	f := NewFetcher()
	defer f.client.CloseIdleConnections()
	for _, place := range []string{dir, filepath.Join(dir, IndexFile), server.URL, server.URL + "/", server.URL + "/" + IndexFile} {
		index, problems, err := f.Index(t.Context(), place)
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", place, problems, err)
			continue
		}
		if diff := cmp.Diff(anIndex(), index); diff != "" {
			t.Errorf("%s: %s", place, diff)
		}
		var b strings.Builder
		if err := f.Archive(t.Context(), place, "a.tar.gz", &b); err != nil || b.String() != "bytes" {
			t.Errorf("%s: got %q, %v", place, b.String(), err)
		}
	}
	if _, _, err := f.Index(t.Context(), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without one: %v", err)
	}
}

func TestPlacesThatAreRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	tls := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer tls.Close()
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }))
	defer endless.Close()
	f := NewFetcher()
	f.client.Transport = tls.Client().Transport
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		get  func(context.Context) error
		want string
	}{
		"an archive outside the folder":  {func(ctx context.Context) error { return f.Archive(ctx, dir, "../secret", io.Discard) }, "outside its folder"},
		"an archive by an absolute path": {func(ctx context.Context) error { return f.Archive(ctx, dir, secret, io.Discard) }, "outside its folder"},
		"a file by a URL":                {func(ctx context.Context) error { return f.Archive(ctx, plain.URL, "file:///etc/passwd", io.Discard) }, "as the place of an archive"},
		"a name and password": {func(ctx context.Context) error {
			_, _, err := f.Index(ctx, "https://user:pw@example.com/")
			return err
		}, "holds a name or password"},
		"what is not there":  {func(ctx context.Context) error { return f.Archive(ctx, plain.URL, "a", io.Discard) }, "404"},
		"from https to http": {func(ctx context.Context) error { return f.Archive(ctx, tls.URL, "a", io.Discard) }, "redirects from https to http"},
		"too many redirects": {func(ctx context.Context) error { return f.Archive(ctx, endless.URL, "a", io.Discard) }, "redirects too often"},
		"a URL of nothing": {func(ctx context.Context) error {
			_, _, err := f.Index(ctx, "http://")
			return err
		}, "is not the URL of an index"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.get(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestADownloadIsBounded(t *testing.T) {
	var b strings.Builder
	if err := copyUpTo(&b, strings.NewReader("12345"), 5, "x"); err != nil || b.String() != "12345" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if err := copyUpTo(io.Discard, strings.NewReader("123456"), 5, "x"); err == nil || !strings.Contains(err.Error(), "x is over") {
		t.Errorf("got %v", err)
	}
}
