package pluginstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// entry is one of a hostile archive.
type entry struct {
	h    tar.Header
	data string
}

func archiveOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	tw := tar.NewWriter(gz)
	for _, e := range entries {
		if e.h.Size == 0 {
			e.h.Size = int64(len(e.data))
		}
		if err := tw.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	// Some of them are broken on purpose, and cannot be closed whole.
	_ = tw.Close()
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileArchives(t *testing.T) {
	regular := func(name, data string) entry {
		return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, data}
	}
	manifest, program := regular(ManifestFile, toyManifest), regular("bin/toy", "x")
	text, err := PrintDescriptor(toyDescriptor())
	if err != nil {
		t.Fatal(err)
	}
	descriptor := regular(DescriptorFile, string(text))
	other, err := PrintDescriptor(&testmeshv1.Descriptor{Name: "toy", Version: "9.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		archive []byte
		want    string
	}{
		"a path out of the folder":       {archiveOf(t, regular("../evil", "x")), "would not lie in the plugin's folder"},
		"a path round about":             {archiveOf(t, regular("a/../../evil", "x")), "would not lie"},
		"an absolute path":               {archiveOf(t, regular("/tmp/evil", "x")), "would not lie"},
		"a path of Windows":              {archiveOf(t, regular(`..\evil`, "x")), "would not lie"},
		"the list of its own checksums":  {archiveOf(t, regular(SumsFile, "x")), "would not lie"},
		"a symbolic link":                {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}, ""}, regular("a/passwd", "x")), "neither a file nor a folder"},
		"a hard link":                    {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}, ""}), "neither a file nor a folder"},
		"a device":                       {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeChar, Name: "a"}, ""}), "neither a file nor a folder"},
		"a pipe":                         {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeFifo, Name: "a"}, ""}), "neither a file nor a folder"},
		"a folder outside":               {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeDir, Name: "../x/"}, ""}), "neither a file nor a folder"},
		"one name twice":                 {archiveOf(t, program, program), "twice"},
		"one name twice in another case": {archiveOf(t, program, regular("BIN/Toy", "x")), "twice"},
		"a file below a file":            {archiveOf(t, regular("a", "x"), regular("a/b", "x")), "unpack a/b"},
		"a size that is no size":         {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: maxUnpacked + 1}, "x"}), "more than 512 MiB"},
		"a file that ends early":         {archiveOf(t, entry{tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1000}, "x"}), "unpack a"},
		"no archive":                     {[]byte("<html>not found</html>"), "it is no tar.gz"},
		"half an archive":                {archiveOf(t, manifest, descriptor, program)[:200], "unexpected EOF"},
		"nothing":                        {nil, "it is no tar.gz"},
		"no manifest":                    {archiveOf(t, descriptor, program), "holds no testmesh-plugin.yaml"},
		"a manifest that is wrong":       {archiveOf(t, regular(ManifestFile, "name: x"), descriptor), "the manifest in the archive is wrong"},
		"no descriptor":                  {archiveOf(t, manifest, program), "holds no descriptor.json"},
		"a descriptor that is none":      {archiveOf(t, manifest, program, regular(DescriptorFile, "{")), "read the descriptor"},
		"the descriptor of another one":  {archiveOf(t, manifest, program, regular(DescriptorFile, string(other))), `says version "1.2.0" and the plugin itself "9.0.0"`},
		"no program":                     {archiveOf(t, manifest, descriptor), "no program bin/toy"},
		"a program that is none":         {archiveOf(t, manifest, descriptor, entry{tar.Header{Typeflag: tar.TypeReg, Name: "bin/toy", Mode: 0o644}, "x"}), "no program bin/toy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			s := Open(filepath.Join(parent, "project"))
			if _, err := s.Unpack(Checksums{}, from(tt.archive)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			err := filepath.WalkDir(parent, func(name string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() && e.Name() != ".gitignore" && e.Name() != ".lock" {
					t.Errorf("%s was left behind", name)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUnpackingIsBounded(t *testing.T) {
	regular := func(name string, size int) entry {
		return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, strings.Repeat("x", size)}
	}
	const mib = 1 << 20
	most := limits{bytes: 2 * mib, files: 3}
	for name, tt := range map[string]struct {
		archive []byte
		want    string
	}{
		"up to the bounds": {archiveOf(t, regular("a", mib), regular("b", mib), regular("c", 0)), ""},
		"one file more":    {archiveOf(t, regular("a", 1), regular("b", 1), regular("c", 1), regular("d", 1)), "more than 3 files"},
		"one byte more":    {archiveOf(t, regular("a", mib), regular("b", mib+1)), "more than 2 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			_, err = unpack(bytes.NewReader(tt.archive), root, most)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Zeros are the end of a tar; what is packed behind it is not read without end.
func TestWhatFollowsAnArchiveIsBounded(t *testing.T) {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	if _, err := gz.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	b.WriteString("a member that is no gzip would be an error where it is reached")
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if files, err := unpack(bytes.NewReader(b.Bytes()), root, limits{bytes: 1 << 20, files: 3}); err != nil || len(files) > 0 {
		t.Errorf("got %v, %v", files, err)
	}
	if _, err := unpack(bytes.NewReader(b.Bytes()), root, limits{bytes: 64 << 20, files: 3}); err == nil {
		t.Error("the rest was not read within the bound")
	}
}
