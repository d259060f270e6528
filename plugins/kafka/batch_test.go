package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// batchOf are records as a producer writes them.
func batchOf(t testing.TB, codec compress.Compression, records ...protocol.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(records...)}
	if _, err := set.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()[4:] // without the length
}

// sealed corrects the checksum of a batch that was changed.
func sealed(data []byte) []byte {
	binary.BigEndian.PutUint32(data[batchCRCAt:], crc32.Checksum(data[batchAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func readAll(data []byte, from int64, aborted ...transaction) (out []record, next int64, err error) {
	next, err = readBatches(data, from, aborted, func(r record) error {
		out = append(out, r)
		return nil
	})
	return out, next, err
}

func TestBatchesAreReadAsTheyWereWritten(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000).UTC()
	for _, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		data := batchOf(
			t, codec,
			protocol.Record{Time: at, Key: protocol.NewBytes([]byte("k")), Value: protocol.NewBytes([]byte("v")), Headers: []protocol.Header{{Key: "h", Value: []byte{}}, {Key: "n"}}},
			protocol.Record{Time: at.Add(time.Second), Value: protocol.NewBytes([]byte{})},
		)
		got, next, err := readAll(data, 0)
		if err != nil || next != 2 || len(got) != 2 {
			t.Fatalf("%s: got %v, next %d, %v", codec, got, next, err)
		}
		if string(got[0].key) != "k" || !got[0].time.Equal(at) || got[0].headers[0].Value == nil || got[0].headers[1].Value != nil {
			t.Errorf("%s: got %+v", codec, got[0])
		}
		if got[1].key != nil || got[1].value == nil || got[1].offset != 1 || !got[1].time.Equal(at.Add(time.Second)) {
			t.Errorf("%s: got %+v, want no key and an empty value", codec, got[1])
		}
	}
}

func TestReadingGoesOnBehindABatchWhateverItHolds(t *testing.T) {
	one := batchOf(t, compress.None, protocol.Record{Value: protocol.NewBytes([]byte("x"))})
	compacted := bytes.Clone(one)
	binary.BigEndian.PutUint32(compacted[23:], 9) // its last offset was 9, and that record is gone
	sealed(compacted)
	if _, next, err := readAll(compacted, 5); err != nil || next != 10 {
		t.Errorf("compacted: got next %d, %v, want 10", next, err)
	}
	if got, next, err := readAll(append(bytes.Clone(one), one[:len(one)-3]...), 0); err != nil || next != 1 || len(got) != 1 {
		t.Errorf("cut: got %d records, next %d, %v, want the first batch", len(got), next, err)
	}
	if got, next, err := readAll(nil, 7); err != nil || next != 7 || got != nil {
		t.Errorf("nothing: got %v, next %d, %v", got, next, err)
	}
}

func TestBatchesThatAreNone(t *testing.T) {
	good := batchOf(t, compress.None, protocol.Record{Value: protocol.NewBytes([]byte("x"))})
	change := func(at int, with ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], with)
		return sealed(data)
	}
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	bomb := batchOf(t, compress.Zstd, protocol.Record{Value: protocol.NewBytes(make([]byte, maxUnpacked))})
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"a changed byte":          {broken, "its checksum is wrong"},
		"the old format":          {change(batchMagicAt, 1), "its format 1 is that of before Kafka 0.11"},
		"an unknown packing":      {change(batchAttributes, 0, 7), "its compression"},
		"more records than bytes": {change(57, 0x7f, 0xff, 0xff, 0xff), "it ends early"},
		"a length below its head": {change(batchLengthAt, 0, 0, 0, 8), "it ends early"},
		"a negative length":       {change(batchLengthAt, 0xff, 0xff, 0xff, 0), "it ends early"},
		"a bomb":                  {bomb, "it is over 64 MiB once it is unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(test.data) > 1<<20 {
				t.Fatalf("the test's own data have %d bytes", len(test.data))
			}
			if _, _, err := readAll(test.data, 0); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	stop := errors.New("enough")
	if _, err := readBatches(good, 0, nil, func(record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want that of who takes the records", err)
	}
}

func TestAnswersAreDecodedWithinBounds(t *testing.T) {
	want := &metadata.Response{
		ControllerID: 3, ClusterID: "c", Brokers: []metadata.ResponseBroker{{NodeID: 1, Host: "h", Port: 9092}},
		Topics: []metadata.ResponseTopic{{Name: "t", Partitions: []metadata.ResponsePartition{{LeaderID: 1, ReplicaNodes: []int32{1, 2}}}}},
	}
	for version := range int16(9) {
		var frame bytes.Buffer
		if err := protocol.WriteResponse(&frame, version, 1, want); err != nil {
			t.Fatal(err)
		}
		body := frame.Bytes()[headSize:]
		var got metadata.Response
		if err := decode(body, version, &got); err != nil || got.Brokers[0].Host != "h" || got.Topics[0].Partitions[0].ReplicaNodes[1] != 2 || version > 0 && got.ControllerID != 3 {
			t.Errorf("version %d: got %+v, %v", version, got, err)
		}
		for n := range body {
			if err := decode(body[:n], version, new(metadata.Response)); err == nil {
				t.Errorf("version %d: %d of %d bytes were enough", version, n, len(body))
			}
		}
	}
	if err := decode([]byte("\x00\x00\x7f\xff\xff\xff"), 0, new(apiversions.Response)); !errors.Is(err, errShort) {
		t.Errorf("two billion elements in nothing: got %v", err)
	}
}

func TestVersionsThatNobodyShares(t *testing.T) {
	if _, err := plainVersion(protocol.CreateTopics, 5, 7); err == nil || err.Error() != "it knows CreateTopics from version 5 on, and TestMesh up to 4" {
		t.Errorf("got %v", err)
	}
	if got, err := plainVersion(protocol.CreateTopics, 2, 7); err != nil || got != 4 {
		t.Errorf("got %d, %v", got, err)
	}
}
