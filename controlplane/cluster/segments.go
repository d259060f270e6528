package cluster

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// segments are the files of the log. A follower whose last entries contradict the
// leader's takes them back, and raft-wal 0.4.0 then marks the file as complete without
// ever writing the index of it (wal.go, truncateTailLocked): read again after a start,
// it "has no index block", and the node would never start any more. Such a file is read
// through, as the newest one always is.
type segments struct{ types.SegmentFiler }

func (s segments) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart == 0 {
		return s.RecoverTail(info)
	}
	return s.SegmentFiler.Open(info)
}

// openLog opens the log in a folder.
func openLog(dir string, meta types.MetaStore) (*wal.WAL, error) {
	log, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithMetaStore(meta), wal.WithSegmentFiler(segments{segment.NewFiler(dir, fs.New())}))
	if err != nil {
		return nil, fmt.Errorf("open log in %s: %w", dir, err)
	}
	return log, nil
}
