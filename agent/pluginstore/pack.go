package pluginstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// ArchiveName is the name of the archive of a package for a platform.
func (m *Manifest) ArchiveName(platform string) string {
	return fmt.Sprintf("testmesh-plugin-%s_%s_%s.tar.gz", m.Name, m.Version, strings.ReplaceAll(platform, "/", "_"))
}

// Pack writes the package of the plugin in dir: its manifest, its descriptor and
// the files that the manifest names. The same files give the same bytes.
func Pack(dir string, m *Manifest, d *testmeshv1.Descriptor, out io.Writer) (Checksums, error) {
	if err := Agree(m, d); err != nil {
		return Checksums{}, err
	}
	names, err := m.packed(dir)
	if err != nil {
		return Checksums{}, err
	}
	text, err := PrintDescriptor(d)
	if err != nil {
		return Checksums{}, fmt.Errorf("print the descriptor: %w", err)
	}
	hash := sha256.New()
	files, err := pack(dir, names, map[string][]byte{DescriptorFile: text}, io.MultiWriter(out, hash))
	if err != nil {
		return Checksums{}, err
	}
	return Checksums{Archive: hex.EncodeToString(hash.Sum(nil)), Content: digestOf(sums(files))}, nil
}

// packed are the files of a package, beside the descriptor.
func (m *Manifest) packed(dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the plugin's folder: %w", err)
	}
	defer root.Close()
	names := []string{ManifestFile}
	for _, glob := range m.Files {
		found, err := fs.Glob(root.FS(), glob)
		if err != nil {
			return nil, fmt.Errorf("files: %q: %w", glob, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("files: nothing fits %q; build the plugin first, or correct the manifest", glob)
		}
		for _, name := range found {
			if names, err = below(root.FS(), name, names); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxFiles {
		return nil, fmt.Errorf("files: %d of them, more than the %d that a package may hold", len(names), maxFiles)
	}
	if first := m.Command[0]; strings.Contains(first, "/") && !slices.Contains(names, first) {
		return nil, fmt.Errorf("files: the program %s is not among them", first)
	}
	return names, nil
}

// below adds a file, or all files of a folder.
func below(fsys fs.FS, name string, to []string) ([]string, error) {
	err := fs.WalkDir(fsys, name, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path.Base(name) != SumsFile {
			to = append(to, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	return to, nil
}

// ArchivePlatform reads the platform from the name of an archive, as ArchiveName
// writes it.
func ArchivePlatform(name string) (platform string, ok bool) {
	base := strings.TrimSuffix(path.Base(strings.ReplaceAll(name, "\\", "/")), ".tar.gz")
	parts := strings.Split(base, "_")
	switch n := len(parts); {
	case !strings.HasPrefix(base, "testmesh-plugin-") || n < 3:
		return "", false
	case parts[n-1] == AnyPlatform:
		return AnyPlatform, true
	case n >= 4:
		return parts[n-2] + "/" + parts[n-1], true
	}
	return "", false
}

// CheckFiles says what is wrong with the files that a package of the plugin in
// dir would hold.
func (m *Manifest) CheckFiles(dir string) error {
	_, err := m.packed(dir)
	return err
}
