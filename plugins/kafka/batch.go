package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

// maxUnpacked bounds a batch once it is unpacked: a megabyte of zstd can hold
// gigabytes. The library's own reader of batches has no such bound, nor does it
// tell where a batch ends that was compacted, which is why this one exists.
const maxUnpacked = 64 << 20

// record is one message as the broker keeps it.
type record struct {
	topic      string
	partition  int32
	offset     int64
	time       time.Time
	key, value []byte // nil: there is none, which is not the same as empty
	headers    []protocol.Header
}

// size is about what a record takes of memory.
func (r *record) size() int {
	const overhead = 200
	n := overhead + len(r.key) + len(r.value)
	for _, h := range r.headers {
		n += len(h.Key) + len(h.Value) + overhead/4
	}
	return n
}

// The layout of a record batch, in bytes from its beginning:
// https://kafka.apache.org/documentation/#recordbatch
const (
	batchLengthAt   = 8
	batchCounted    = 12 // what its length does not count
	batchMagicAt    = 16
	batchCRCAt      = 17
	batchAttributes = 21
	batchRecords    = 61
)

// batch is a record batch of which only the head has been read.
type batch struct {
	base, last int64 // offsets
	attributes protocol.Attributes
	first      int64 // time in ms of the record times
	newest     int64
	producer   int64
	count      int32
	packed     []byte
}

// logAppendTime is the attribute of a batch whose records all have the time at
// which the broker took it.
const logAppendTime = 1 << 3

// transaction is one that was aborted: what its producer wrote from an offset on
// was never said.
type transaction struct{ producer, first int64 }

var errShort = errors.New("it ends early")

// readBatches gives the records of a partition from an offset on, and the offset
// to go on from. What is behind the last whole batch is left for the next fetch.
func readBatches(data []byte, from int64, aborted []transaction, add func(record) error) (next int64, err error) {
	next = from
	slices.SortFunc(aborted, func(a, b transaction) int { return int(min(max(a.first-b.first, -1), 1)) })
	unsaid := make(map[int64]bool) // producers in a transaction that was aborted
	for len(data) >= batchCounted {
		length := int64(int32(binary.BigEndian.Uint32(data[batchLengthAt:]))) + batchCounted
		if length > int64(len(data)) {
			break // the rest comes with the next fetch
		}
		b, err := readHead(data[:max(length, 0)])
		if err != nil {
			return next, fmt.Errorf("the batch at offset %d: %w", int64(binary.BigEndian.Uint64(data)), err)
		}
		data = data[length:]
		for len(aborted) > 0 && aborted[0].first <= b.last {
			unsaid[aborted[0].producer] = true
			aborted = aborted[1:]
		}
		switch {
		case b.attributes.Control():
			delete(unsaid, b.producer) // its transaction ends
		case b.attributes.Transactional() && unsaid[b.producer]:
		default:
			if err := b.records(from, add); err != nil {
				return next, fmt.Errorf("the batch at offset %d: %w", b.base, err)
			}
		}
		next = max(next, b.last+1)
	}
	return next, nil
}

func readHead(data []byte) (*batch, error) {
	if len(data) <= batchMagicAt {
		return nil, errShort
	}
	if magic := data[batchMagicAt]; magic != 2 {
		return nil, fmt.Errorf("its format %d is that of before Kafka 0.11, which TestMesh does not read", magic)
	}
	if len(data) < batchRecords {
		return nil, errShort
	}
	if crc32.Checksum(data[batchAttributes:], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(data[batchCRCAt:]) {
		return nil, errors.New("its checksum is wrong")
	}
	long := func(at int) int64 { return int64(binary.BigEndian.Uint64(data[at:])) }
	base := long(0)
	return &batch{
		base: base, last: base + int64(int32(binary.BigEndian.Uint32(data[23:]))),
		attributes: protocol.Attributes(int16(binary.BigEndian.Uint16(data[batchAttributes:]))),
		first:      long(27), newest: long(35), producer: long(43),
		count: int32(binary.BigEndian.Uint32(data[57:])), packed: data[batchRecords:],
	}, nil
}

// unpacked is the records as bytes.
func (b *batch) unpacked() ([]byte, error) {
	codec := b.attributes.Compression()
	if codec == compress.None {
		return b.packed, nil
	}
	if codec.Codec() == nil {
		return nil, fmt.Errorf("its compression %d is unknown", codec)
	}
	r := codec.Codec().NewReader(bytes.NewReader(b.packed))
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack %s: %w", codec, err)
	case len(data) > maxUnpacked:
		return nil, fmt.Errorf("it is over %d MiB once it is unpacked", maxUnpacked>>20)
	}
	return data, nil
}

func (b *batch) records(from int64, add func(record) error) error {
	data, err := b.unpacked()
	if err != nil {
		return err
	}
	in := fields{rest: data}
	for i := range b.count {
		one := fields{rest: in.bytes(in.varint())}
		r := b.record(&one)
		if in.short || one.short {
			return fmt.Errorf("record %d of %d: %w", i+1, b.count, errShort)
		}
		if r.offset < from {
			continue
		}
		if err := add(r); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) record(in *fields) record {
	in.bytes(1) // attributes, of which there are none
	at := b.first + in.varint()
	if b.attributes&logAppendTime != 0 {
		at = b.newest
	}
	r := record{offset: b.base + in.varint(), time: time.UnixMilli(at).UTC()}
	r.key = in.bytes(in.varint())
	r.value = in.bytes(in.varint())
	for n := in.varint(); n > 0 && !in.short; n-- {
		r.headers = append(r.headers, protocol.Header{Key: string(in.bytes(in.varint())), Value: in.bytes(in.varint())})
	}
	return r
}

// fields reads the parts of a record one after the other.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) varint() int64 {
	n, size := binary.Varint(f.rest)
	if size <= 0 {
		f.short = true
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

// bytes are the next n; of -1 there are none, which is nil.
func (f *fields) bytes(n int64) []byte {
	if n > int64(len(f.rest)) || n < -1 {
		f.short = true
	}
	if n < 0 || f.short {
		return nil
	}
	out := f.rest[:n:n]
	f.rest = f.rest[n:]
	return out
}
