package pluginstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// ErrNotInstalled says that a locked plugin has no package on this machine.
var ErrNotInstalled = errors.New("not installed")

// ErrChanged says that what is installed is not what the lock file says.
var ErrChanged = errors.New("it has another checksum than was locked")

// Package is an installed plugin.
type Package struct {
	Dir string // absolute
	// Files are its files by slash-separated path, each with its SHA-256.
	Files map[string]string
}

// Installed finds the package of a locked plugin. It compares the list of files
// with the lock file; Verify, and the host on every start, compare the files.
func (s *Store) Installed(p *Locked) (*Package, error) {
	want, ok := p.Here()
	if !ok {
		return nil, fmt.Errorf("plugin %s %s has no package for %s in plugins.lock: %w", p.Name, p.Version, Platform(), ErrNotInstalled)
	}
	dir := s.PackageDir(p.Name, p.Version)
	text, err := readFile(filepath.Join(dir, SumsFile), maxFiles*(maxPath+80))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("plugin %s %s: %w", p.Name, p.Version, ErrNotInstalled)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %s %s: %w", p.Name, p.Version, err)
	}
	if digestOf(text) != want.Content {
		return nil, fmt.Errorf("plugin %s %s: %w", p.Name, p.Version, ErrChanged)
	}
	files, err := parseSums(text)
	if err != nil {
		return nil, fmt.Errorf("plugin %s %s: %w", p.Name, p.Version, err)
	}
	return &Package{Dir: dir, Files: files}, nil
}

// Verify reads every file of an installed package and compares it with its
// checksum.
func (p *Package) Verify() error {
	for name, want := range p.Files {
		got, err := digestFile(filepath.Join(p.Dir, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if got != want {
			return fmt.Errorf("%s has changed: %w", name, ErrChanged)
		}
	}
	return nil
}

func digestFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Candidate is a package that was unpacked and checked, and is not installed yet.
type Candidate struct {
	Manifest   *Manifest
	Descriptor *testmeshv1.Descriptor
	Checksums  Checksums

	store *Store
	dir   string
}

// Unpack reads an archive into the project's store, where it is no plugin before
// Install. It writes the archive by fetch, compares it with the checksums that
// are not empty in want before it looks inside, and refuses an archive whose
// manifest and descriptor do not agree. The caller ends with Install or Discard.
func (s *Store) Unpack(want Checksums, fetch func(io.Writer) error) (_ *Candidate, err error) {
	release, err := s.hold()
	if err != nil {
		return nil, err
	}
	release() // the folder is there
	c := &Candidate{store: s}
	if c.dir, err = os.MkdirTemp(s.dir(), ".new-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Discard())
		}
	}()
	archive, err := os.CreateTemp(s.dir(), ".archive-")
	if err != nil {
		return nil, fmt.Errorf("make a file: %w", err)
	}
	defer func() { err = errors.Join(err, archive.Close(), os.Remove(archive.Name())) }()
	hash := sha256.New()
	if err := fetch(io.MultiWriter(archive, hash)); err != nil {
		return nil, err
	}
	c.Checksums = Checksums{Archive: hex.EncodeToString(hash.Sum(nil)), URL: want.URL}
	if want.Archive != "" && want.Archive != c.Checksums.Archive {
		return nil, fmt.Errorf("its checksum is %s…, not %s…: %w", c.Checksums.Archive[:12], want.Archive[:12], ErrChecksum)
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	return c, c.read(archive, want)
}

// ErrChecksum says that an archive is not the one that was published.
var ErrChecksum = errors.New("the archive is not the one that was published")

func (c *Candidate) read(archive io.Reader, want Checksums) error {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	defer root.Close()
	files, err := unpack(archive, root, limits{bytes: maxUnpacked, files: maxFiles})
	if err != nil {
		return fmt.Errorf("the archive is refused: %w", err)
	}
	list := sums(files)
	c.Checksums.Content = digestOf(list)
	if want.Content != "" && want.Content != c.Checksums.Content {
		return fmt.Errorf("its files are not those that were published: %w", ErrChecksum)
	}
	if err := root.WriteFile(SumsFile, list, 0o644); err != nil {
		return fmt.Errorf("write the list of files: %w", err)
	}
	text, err := root.ReadFile(ManifestFile)
	if err != nil {
		return fmt.Errorf("the archive holds no %s: pack it with testmesh plugin package", ManifestFile)
	}
	m, problems := ParseManifest(ManifestFile, text)
	if err := problems.Err(); err != nil {
		return fmt.Errorf("the manifest in the archive is wrong: %w", err)
	}
	if text, err = root.ReadFile(DescriptorFile); err != nil {
		return fmt.Errorf("the archive holds no %s: pack it with testmesh plugin package", DescriptorFile)
	}
	d, err := ParseDescriptor(text)
	if err != nil {
		return err
	}
	if err := Agree(m, d); err != nil {
		return err
	}
	if first := m.Command[0]; strings.Contains(first, "/") {
		if info, err := root.Stat(first); err != nil || info.Mode()&0o111 == 0 {
			return fmt.Errorf("the archive holds no program %s, which its manifest starts", first)
		}
	}
	c.Manifest, c.Descriptor = m, d
	return nil
}

// Agree says where a manifest and a descriptor contradict each other.
func Agree(m *Manifest, d *testmeshv1.Descriptor) error {
	for _, pair := range [][3]string{{"name", m.Name, d.GetName()}, {"version", m.Version, d.GetVersion()}} {
		if pair[1] != pair[2] {
			return fmt.Errorf("%s says %s %q and the plugin itself %q: make them one", ManifestFile, pair[0], pair[1], pair[2])
		}
	}
	return nil
}

// Platform is the key of the package in index and lock file.
func (m *Manifest) Platform() string {
	if m.AnyPlatform() {
		return AnyPlatform
	}
	return Platform()
}

// Install puts the package in its place, over an older one of the same version.
func (c *Candidate) Install() error {
	release, err := c.store.hold()
	if err != nil {
		return err
	}
	defer release()
	dir := c.store.PackageDir(c.Manifest.Name, c.Manifest.Version)
	old := c.dir + "-old"
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move the older package away: %w", err)
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(c.dir, dir); err != nil {
		return fmt.Errorf("install: %w", errors.Join(err, os.Rename(old, dir)))
	}
	return os.RemoveAll(old)
}

// Discard removes what Unpack made. It does nothing after Install.
func (c *Candidate) Discard() error { return os.RemoveAll(c.dir) }

// Uninstall removes the packages of a plugin, but for the version to keep.
func (s *Store) Uninstall(name, keep string) error {
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	entries, err := os.ReadDir(s.dir())
	if err != nil {
		return fmt.Errorf("list the packages: %w", err)
	}
	for _, e := range entries {
		version, ok := strings.CutPrefix(e.Name(), name+"-")
		if !ok || !ValidVersion(version) || version == keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir(), e.Name())); err != nil {
			return fmt.Errorf("remove the package: %w", err)
		}
	}
	return nil
}
