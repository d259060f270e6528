package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxFiles and maxPackage bound what is copied at a start: a JavaScript
	// plugin with its modules is thousands of files, a browser hundreds of
	// megabytes.
	maxFiles   = 20000
	maxPackage = 2 << 30
)

// private copies the files of a package into an empty folder of our own, and
// checks what it copied. What is started is the copy: nothing that happens to
// the package afterwards reaches it. A file that is not listed is not copied.
func private(p pluginhost.Program, to string) *plugin.Error {
	if len(p.Files) > maxFiles {
		return wordsOf(p).broken(fmt.Sprintf("it has %d files, over the limit of %d", len(p.Files), maxFiles))
	}
	from, err := os.OpenRoot(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return wordsOf(p).broken("its folder " + p.Dir + " is missing")
	} else if err != nil {
		return wordsOf(p).broken(err.Error())
	}
	defer from.Close()
	left := int64(maxPackage)
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		n, err := copyFile(from, name, to, p.Files[name], left)
		var bad *mismatch
		switch {
		case errors.As(err, &bad):
			return wordsOf(p).changed(bad)
		case errors.Is(err, fs.ErrNotExist):
			return wordsOf(p).broken("its file " + name + " is missing")
		case err != nil:
			return wordsOf(p).broken(name + ": " + err.Error())
		}
		left -= n
	}
	return nil
}

// mismatch is a file that is not what the lock file says.
type mismatch struct{ name, got, want string }

func (m *mismatch) Error() string { return m.name + " was changed" }

// copyFile copies one file that must have the digest want. It reads every byte
// once: what was hashed is what is written.
func copyFile(from *os.Root, name, to, want string, limit int64) (n int64, err error) {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\:\x00") {
		return 0, errors.New("this is no path inside of a package")
	}
	// A link is refused for what it says about the package; it could not make us
	// start what the lock file does not list.
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if info, err := from.Lstat(dir); err != nil {
			return 0, err
		} else if info.Mode()&fs.ModeSymlink != 0 {
			return 0, errors.New("a symbolic link, where a package has files only")
		}
	}
	in, err := from.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("not a file")
	}
	target := filepath.Join(to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	n, err = io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("the package is over its limit of %s", bytesText(maxPackage))
	}
	if err == nil {
		err = out.Chmod(0o400 | info.Mode()&0o100)
	}
	err = errors.Join(err, out.Close())
	if err != nil {
		return n, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, want) {
		return n, &mismatch{name: name, got: got, want: want}
	}
	return n, nil
}

// argv is the command of a program whose files lie in root. Its first word is
// an absolute path.
func argv(p pluginhost.Program, root string) ([]string, *plugin.Error) {
	args := slices.Clone(p.Command)
	if filepath.IsAbs(args[0]) {
		return args, nil
	}
	name := path.Clean(filepath.ToSlash(args[0]))
	if !p.Unverified && p.Files[name] == "" {
		return nil, wordsOf(p).broken("its program " + name + " is not one of its files")
	}
	args[0] = filepath.Join(root, filepath.FromSlash(name))
	return args, nil
}
