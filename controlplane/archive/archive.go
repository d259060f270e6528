// Package archive packs ended runs into files that never change, and reads them. It
// never says which runs, and knows of no blob store.
package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// MaxRuns bounds the runs of one file, which is what a reader goes through at least.
	MaxRuns = 2500
	// MaxBytes bounds them before they are packed: a reader has the packed file in memory.
	MaxBytes = 16 << 20
	// maxRun bounds one run: a finish carries 128 KiB at most, and attempts are few.
	maxRun = 4 << 20
	// Prefix is before the keys of all files.
	Prefix = "days/"
)

// Day is that of a run's creation, in UTC.
func Day(r *apiv1.Run) string { return r.GetCreated().AsTime().UTC().Format(time.DateOnly) }

// Compare orders runs as lists do: the newest first.
func Compare(a, b *apiv1.Run) int {
	return cmp.Or(
		cmp.Compare(b.GetCreated().AsTime().UnixMilli(), a.GetCreated().AsTime().UnixMilli()),
		cmp.Compare(b.GetId(), a.GetId()),
	)
}

// File is a packed file.
type File struct {
	Key    string
	SHA256 []byte
	Data   []byte
}

// Pack makes a file of runs of one workspace and one day; the same runs give the same
// file.
func Pack(runs []*apiv1.Run) (*File, error) {
	if len(runs) == 0 || len(runs) > MaxRuns {
		return nil, fmt.Errorf("pack %d runs: a file has 1 to %d", len(runs), MaxRuns)
	}
	sorted := slices.SortedFunc(slices.Values(runs), Compare)
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("pack runs: %w", err)
	}
	for _, r := range sorted {
		if r.GetWorkspace() != runs[0].GetWorkspace() || Day(r) != Day(runs[0]) {
			return nil, fmt.Errorf("pack runs: run %s is of another workspace or day than run %s", r.GetId(), runs[0].GetId())
		}
		if _, err := (protodelim.MarshalOptions{MarshalOptions: proto.MarshalOptions{Deterministic: true}}).MarshalTo(z, r); err != nil {
			return nil, fmt.Errorf("pack run %s: %w", r.GetId(), err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack runs: %w", err)
	}
	sum := sha256.Sum256(out.Bytes())
	key := Prefix + runs[0].GetWorkspace() + "/" + Day(runs[0]) + "/" + hex.EncodeToString(sum[:]) + ".zst"
	return &File{Key: key, SHA256: sum[:], Data: out.Bytes()}, nil
}

// errStop ends a read without an error.
var errStop = errors.New("stop")

// Stop is what visit gives to see no more.
func Stop() error { return errStop }

// Read shows each run of a file, the newest first, until visit errors. A file of other
// bytes than those that were packed is an error before the first.
func Read(from io.Reader, sum []byte, visit func(*apiv1.Run) error) error {
	data, err := io.ReadAll(io.LimitReader(from, MaxBytes+maxRun+1))
	if err != nil {
		return fmt.Errorf("read archived runs: %w", err)
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], sum) {
		return errors.New("read archived runs: the file is damaged: its sha256 is another")
	}
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("read archived runs: %w", err)
	}
	defer z.Close()
	in := bufio.NewReaderSize(z, 64<<10)
	for {
		r := &apiv1.Run{}
		switch err := (protodelim.UnmarshalOptions{MaxSize: maxRun}).UnmarshalFrom(in, r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read archived runs: %w", err)
		}
		switch err := visit(r); {
		case errors.Is(err, errStop):
			return nil
		case err != nil:
			return err
		}
	}
}
