package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keySize is that of AES-256.
const keySize = 32

// Seal keeps secrets in the state unreadable without the key file of the
// installation. What is sealed for one purpose opens for no other.
type Seal struct{ aead cipher.AEAD }

// NewSeal makes a seal of a key.
func NewSeal(key []byte) (*Seal, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("the sealing key has %d bytes, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make seal: %w", err)
	}
	return &Seal{aead}, nil
}

// LoadKey reads the key file, or makes it where there is none.
func LoadKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) != keySize {
		return nil, fmt.Errorf("read %s: it has %d bytes, not %d", file, len(key), keySize)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make sealing key: %w", err)
	}
	return key, WriteKey(file, key)
}

// WriteKey writes a key file that is not there yet.
func WriteKey(file string, key []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// Close seals a value for a purpose: "secret", workspace, environment, name.
func (s *Seal) Close(value []byte, purpose ...string) []byte {
	return s.aead.Seal(nil, nil, value, []byte(strings.Join(purpose, "\x00")))
}

// Open gives back what was sealed for that purpose.
func (s *Seal) Open(sealed []byte, purpose ...string) ([]byte, error) {
	value, err := s.aead.Open(nil, nil, sealed, []byte(strings.Join(purpose, "\x00")))
	if err != nil {
		return nil, fmt.Errorf("open what is sealed for %s: it was sealed by another key, or changed", strings.Join(purpose, " "))
	}
	return value, nil
}
