package pluginstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Bounds of a package. A browser plugin with its driver has about 200 MiB in a
// few thousand files; what is larger is a mistake or an attack.
const (
	maxArchive  = 256 << 20
	maxUnpacked = 512 << 20
	maxFiles    = 10_000
	maxPath     = 240
)

// limits bound what is unpacked of an archive.
type limits struct {
	bytes int64
	files int
}

// file is one file of a package.
type file struct {
	path       string // slash-separated
	executable bool
	sha256     string
}

// sums is the list of files as sha256sum prints it; its own checksum stands in
// the lock file.
func sums(files []file) []byte {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s  %s\n", f.sha256, f.path)
	}
	return b.Bytes()
}

// parseSums reads what sums printed.
func parseSums(text []byte) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !validDigest(sum) || !localName(name) || out[name] != "" {
			return nil, fmt.Errorf("the list of files has the line %.80q", line)
		}
		out[name] = sum
	}
	return out, nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// pack writes files below dir as a tar.gz, the same bytes for the same files: in
// order, without times, owners and groups. extra are files made by the tools.
func pack(dir string, names []string, extra map[string][]byte, out io.Writer) ([]file, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the plugin's folder: %w", err)
	}
	defer root.Close()
	gz := gzip.NewWriter(out)
	tw := tar.NewWriter(gz)
	all := slices.Clone(names)
	for name := range extra {
		all = append(all, name)
	}
	slices.Sort(all)
	var files []file
	for _, name := range slices.Compact(all) {
		f, err := packFile(root, name, extra, tw)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, errors.Join(tw.Close(), gz.Close())
}

func packFile(root *os.Root, name string, extra map[string][]byte, tw *tar.Writer) (file, error) {
	data, made := extra[name]
	f := file{path: name}
	if !localName(name) || name == SumsFile {
		return f, fmt.Errorf("pack %q: a package cannot hold a file of this name", name)
	}
	if !made {
		info, err := root.Stat(name) // a link is followed, and never out of the folder
		if err != nil {
			return f, fmt.Errorf("pack %s: %w", name, err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxUnpacked {
			return f, fmt.Errorf("pack %s: it is no file, or one over %d MiB", name, maxUnpacked>>20)
		}
		f.executable = info.Mode()&0o111 != 0
		if data, err = root.ReadFile(name); err != nil {
			return f, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	f.sha256 = digestOf(data)
	mode := int64(0o644)
	if f.executable {
		mode = 0o755
	}
	err := tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: mode, ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatPAX,
	})
	if err == nil {
		_, err = tw.Write(data)
	}
	if err != nil {
		return f, fmt.Errorf("pack %s: %w", name, err)
	}
	return f, nil
}

// unpack writes the files of an archive below into and lists them. Links,
// devices, and names that leave the folder are refused, and so is what is over
// the bounds of a package.
func unpack(archive io.Reader, into *os.Root, most limits) ([]file, error) {
	gz, err := gzip.NewReader(archive)
	if err != nil {
		return nil, fmt.Errorf("it is no tar.gz: %w", err)
	}
	left := most.bytes
	limited := &io.LimitedReader{R: gz, N: left + int64(most.files)*2048} // headers count too
	tr := tar.NewReader(limited)
	seen := map[string]bool{}
	var files []file
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it cannot be read: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
		switch {
		case h.Typeflag == tar.TypeXGlobalHeader, h.Typeflag == tar.TypeDir && (name == "" || localName(name)):
			continue
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("it holds %q, which is neither a file nor a folder", h.Name)
		case !localName(name) || name == SumsFile:
			return nil, fmt.Errorf("it holds a file %q, which would not lie in the plugin's folder", h.Name)
		case seen[strings.ToLower(name)]:
			return nil, fmt.Errorf("it holds %q twice", name)
		case len(seen) == most.files:
			return nil, fmt.Errorf("it holds more than %d files", most.files)
		case h.Size > left:
			return nil, fmt.Errorf("it holds more than %d MiB", most.bytes>>20)
		}
		seen[strings.ToLower(name)] = true
		left -= h.Size
		f, err := unpackFile(tr, h, name, into)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	// What follows the last entry counts for the checksum of gzip.
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return files, nil
}

func unpackFile(from io.Reader, h *tar.Header, name string, into *os.Root) (file, error) {
	f := file{path: name, executable: h.Mode&0o111 != 0}
	if err := into.MkdirAll(path.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return f, fmt.Errorf("unpack %s: %w", name, err)
	}
	mode := fs.FileMode(0o644)
	if f.executable {
		mode = 0o755
	}
	out, err := into.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return f, fmt.Errorf("unpack %s: %w", name, err)
	}
	hash := sha256.New()
	_, err = io.CopyN(io.MultiWriter(out, hash), from, h.Size)
	if err := errors.Join(err, out.Close()); err != nil {
		return f, fmt.Errorf("unpack %s: %w", name, err)
	}
	f.sha256 = hex.EncodeToString(hash.Sum(nil))
	return f, nil
}
