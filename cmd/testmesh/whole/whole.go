// Package whole lets a program of few libraries, which starts in a moment, carry
// the program with all of them and become it where it is needed. It never runs
// both at a time and never starts what is not the very bytes that it carries.
package whole

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// maxBytes bounds the unpacked program, ten times what it is.
const maxBytes = 1 << 30

// Pack is what Unpack takes: the program's SHA-256 and the program, compressed.
func Pack(program []byte) ([]byte, error) {
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(program)
	return packer.EncodeAll(program, sum[:]), nil
}

// Unpack puts a packed program into a folder below dir, named for its content,
// and gives its path. What is there already, whole and unchanged, stays.
func Unpack(packed []byte, dir string) (string, error) {
	if len(packed) < sha256.Size {
		return "", errors.New("unpack the program: this one carries none")
	}
	sum, packed := packed[:sha256.Size], packed[sha256.Size:]
	folder := filepath.Join(dir, hex.EncodeToString(sum[:8]))
	program := filepath.Join(folder, "testmesh")
	if same(program, sum) {
		return program, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for the program: %w", err)
	}
	if err := write(packed, sum, folder, program); err != nil {
		return "", fmt.Errorf("unpack the program: %w", err)
	}
	return program, nil
}

func same(program string, sum []byte) bool {
	f, err := os.Open(program)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && bytes.Equal(h.Sum(nil), sum)
}

// write unpacks beside the place and renames into it, so that two processes that
// do it at once do not meet half a program.
func write(packed, sum []byte, folder, program string) error {
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBytes))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	text, err := unpacker.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(text); !bytes.Equal(got[:], sum) {
		return errors.New("it is not what was packed")
	}
	return replace(folder, program, text)
}

func replace(folder, path string, text []byte) error {
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = f.Write(text); err == nil {
		err = f.Chmod(0o700)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
