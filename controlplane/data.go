package controlplane

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/testmesh/testmesh/controlplane/auth"
)

// What a data directory holds.
const (
	lockFile     = "lock"
	formatFile   = "format"
	nodeFile     = "node-id"
	clusterFile  = "cluster-id"
	sealFile     = "seal.key"
	adminFile    = "admin.key"
	adminSumFile = "admin.sha256" // of a node that joined: it never sees the key
	stateDir     = "state"
	raftDir      = "raft"
	identityDir  = "identity"
	identityDone = "complete"
)

// dataFormat is the version of a data directory as a whole.
const dataFormat = "1"

// openDir makes a data directory where there is none, and makes sure that this process
// alone uses it, and that it understands it.
func openDir(dir string) (_ *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	lock, err := lockDir(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	if err := checkFormat(filepath.Join(dir, formatFile)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := finishReplacing(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// checkFormat refuses a directory of a newer program.
func checkFormat(file string) error {
	got, err := once(file, func() string { return dataFormat })
	if err != nil {
		return err
	}
	if got != dataFormat {
		return fmt.Errorf("the data in %s has format %s, and this program knows %s: it was written by a newer version", filepath.Dir(file), got, dataFormat)
	}
	return nil
}

// names gives the node and its cluster their ids. One that begins a cluster gives it
// its own.
func (n *Node) names() (err error) {
	if n.id, err = once(filepath.Join(n.cfg.Dir, nodeFile), newID); err != nil {
		return err
	}
	n.clusterID, err = once(filepath.Join(n.cfg.Dir, clusterFile), func() string { return n.id })
	return err
}

// adminKey finds the sha256 of the administrator's key: the one that was given, the one
// of the cluster that was joined, or the one of the directory, which is made.
func (n *Node) adminKey() error {
	if n.cfg.Open && n.cfg.AdminKey == "" {
		return nil
	}
	key := n.cfg.AdminKey
	if key == "" {
		sum, err := os.ReadFile(filepath.Join(n.cfg.Dir, adminSumFile))
		if err == nil && len(sum) == sha256.Size {
			n.admin = sum
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the administrator's key: %s is damaged (%w)", adminSumFile, err)
		}
		if key, err = once(filepath.Join(n.cfg.Dir, adminFile), func() string {
			n.key = auth.AdminPrefix + newSecret()
			return n.key
		}); err != nil {
			return err
		}
	}
	sum := sha256.Sum256([]byte(key))
	n.admin = sum[:]
	return nil
}

// once reads a file of one line, or makes it.
func once(file string, text func() string) (string, error) {
	got, err := os.ReadFile(file)
	if err == nil && strings.TrimSpace(string(got)) != "" {
		return strings.TrimSpace(string(got)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	made := text()
	return made, writeFile(file, []byte(made+"\n"))
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newSecret is one that nobody guesses.
func newSecret() string {
	b := make([]byte, 24)
	if _, err := rand.Read(b); err != nil {
		panic(err) // the system has no randomness
	}
	return hex.EncodeToString(b)
}
