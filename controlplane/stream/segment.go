package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	// window is how far back a segment's compression looks, and so what its reader needs.
	window = 128 << 10
	// maxWindow bounds that of segments which others wrote.
	maxWindow = 8 << 20
)

// segment is a part of a stream in the blob store.
type segment struct {
	key            string
	offset, length int64
}

func (g segment) end() int64 { return g.offset + g.length }

// segmentKey names a segment by what it holds: written twice it is there once.
func (i id) segmentKey(offset int64, length int) string {
	return fmt.Sprintf("%s%016d-%d.zst", i.prefix(), offset, length)
}

// maskedKey is a blob that says that a stream is not kept as it came.
func (i id) maskedKey() string { return i.prefix() + "masked" }

func (s *Streams) segments(ctx context.Context, i id) (list []segment, masked bool, err error) {
	keys, err := s.cfg.Blobs.List(ctx, i.prefix())
	if err != nil {
		return nil, false, fmt.Errorf("list the segments of run %s: %w", i.run, err)
	}
	end := int64(0)
	for _, key := range keys {
		masked = masked || key == i.maskedKey()
		name, isSegment := strings.CutSuffix(strings.TrimPrefix(key, i.prefix()), ".zst")
		from, length, ok := strings.Cut(name, "-")
		g := segment{key: key}
		var err1, err2 error
		g.offset, err1 = strconv.ParseInt(from, 10, 64)
		g.length, err2 = strconv.ParseInt(length, 10, 64)
		if !isSegment || !ok || err1 != nil || err2 != nil || g.end() <= end || g.offset > end {
			continue // no segment, one of a node that wrote the same again, or one behind what was never acknowledged
		}
		list, end = append(list, g), g.end()
	}
	return list, masked, nil
}

// stored is where the blob store's part of a stream ends.
func (s *Streams) stored(ctx context.Context, i id) (end int64, err error) {
	list, _, err := s.segments(ctx, i)
	if len(list) > 0 {
		end = list[len(list)-1].end()
	}
	return end, err
}

// fresh is a sum that goes on from an end, which only the beginning can be.
func fresh(end int64) hash.Hash {
	if end == 0 {
		return sha256.New()
	}
	return nil
}

// old gives what is in the blob store from an offset on, in parts that are small, and
// where that ends.
func (s *Streams) old(ctx context.Context, i id, offset int64, give func(int64, []byte) error) (int64, error) {
	segments, _, err := s.segments(ctx, i)
	if err != nil {
		return offset, err
	}
	for _, g := range segments {
		if g.end() <= offset {
			continue
		}
		if offset, err = s.read(ctx, g, offset, give); err != nil {
			return offset, err
		}
	}
	return offset, nil
}

// read gives a segment from an offset on.
func (s *Streams) read(ctx context.Context, g segment, offset int64, give func(int64, []byte) error) (int64, error) {
	packed, err := s.cfg.Blobs.Get(ctx, g.key)
	if err != nil {
		return offset, err
	}
	defer packed.Close()
	r, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return offset, fmt.Errorf("read segment %s: %w", g.key, err)
	}
	defer r.Close()
	at := g.offset
	part := make([]byte, min(chunkBytes, g.length))
	for {
		n, err := io.ReadFull(r, part)
		if skip := offset - at; n > 0 && skip < int64(n) {
			if err := give(offset, part[max(0, skip):n]); err != nil {
				return offset, err
			}
			offset = at + int64(n)
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if at != g.end() {
				return offset, fmt.Errorf("segment %s is damaged: it has %d bytes", g.key, at-g.offset)
			}
			return offset, nil
		case err != nil:
			return offset, fmt.Errorf("segment %s is damaged: %w", g.key, err)
		case ctx.Err() != nil:
			return offset, ctx.Err()
		}
	}
}

// sumOf is the sha256 (hex) of a stream as it is kept.
func (s *Streams) sumOf(ctx context.Context, i id) (sum string, masked bool, err error) {
	_, masked, err = s.segments(ctx, i)
	if err != nil {
		return "", false, err
	}
	h := sha256.New()
	_, err = s.old(ctx, i, 0, func(_ int64, data []byte) error {
		_, _ = h.Write(data) // a hash does not fail
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), masked, err
}
