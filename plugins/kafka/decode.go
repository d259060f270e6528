package kafka

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go/protocol"
)

// decode reads the body of an answer into one of kafka-go's structs, by their
// tags. The library's own decoder believes whatever length stands in an answer,
// and makes a list of two billion elements for a frame of ten bytes; this one
// never makes more than what came can fill. It knows no versions with tagged
// fields, which is why plainVersion keeps to those before.
func decode(data []byte, version int16, into any) error {
	d := answerDecoder{rest: data, version: version}
	d.value(reflect.ValueOf(into).Elem(), "")
	if d.short {
		return errShort
	}
	return nil
}

// plainVersion is the newest version of a request that both sides know, without
// tagged fields. An error says that the broker knows only newer ones.
func plainVersion(key protocol.ApiKey, low, high int16) (int16, error) {
	newest := key.MaxVersion()
	switch key { // of those that the library has with tagged fields, too
	case protocol.CreateTopics:
		newest = 4
	case protocol.JoinGroup:
		newest = 5
	case protocol.SyncGroup, protocol.LeaveGroup, protocol.Heartbeat:
		newest = 3
	}
	if low > newest {
		return 0, fmt.Errorf("it knows %s from version %d on, and TestMesh up to %d", key, low, newest)
	}
	return min(newest, high), nil
}

type answerDecoder struct {
	rest    []byte
	version int16
	short   bool
}

// take is the next n bytes, which are nil where so many are not there.
func (d *answerDecoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.short, d.rest = true, nil
		return nil
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

// integer is the next one of so many bytes.
func (d *answerDecoder) integer(size int) int64 {
	data := d.take(size)
	if data == nil {
		return 0
	}
	switch size {
	case 1:
		return int64(int8(data[0]))
	case 2:
		return int64(int16(binary.BigEndian.Uint16(data)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(data)))
	}
	return int64(binary.BigEndian.Uint64(data))
}

func (d *answerDecoder) value(v reflect.Value, tag string) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.integer(1) != 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(d.integer(v.Type().Bits() / 8))
	case reflect.String:
		if n := d.integer(2); n >= 0 {
			v.SetString(string(d.take(int(n))))
		}
	case reflect.Slice:
		d.list(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && d.has(f.Tag.Get("kafka")) {
				d.value(v.Field(i), f.Tag.Get("kafka"))
			}
		}
	default:
		panic(fmt.Sprintf("kafka: no answer holds a %s (%s)", v.Type(), tag))
	}
}

func (d *answerDecoder) list(v reflect.Value) {
	n := d.integer(4)
	switch {
	case n < 0 || d.short: // null
		return
	case v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(d.take(int(n)))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, int(min(n, 64))))
	for range n {
		one := reflect.New(v.Type().Elem()).Elem()
		if d.value(one, ""); d.short {
			return
		}
		v.Set(reflect.Append(v, one))
	}
}

// has tells whether the version has a field: min=v0,max=v5|min=v6,max=v7,compact.
func (d *answerDecoder) has(tag string) bool {
	for part := range strings.SplitSeq(tag, "|") {
		low, high := -1, -1
		for option := range strings.SplitSeq(part, ",") {
			name, text, _ := strings.Cut(option, "=v")
			n, err := strconv.Atoi(text)
			switch {
			case err != nil:
			case name == "min":
				low = n
			case name == "max":
				high = n
			}
		}
		if low >= 0 && low <= int(d.version) && int(d.version) <= high {
			return true
		}
	}
	return false
}
