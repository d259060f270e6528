package sql

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Types of PostgreSQL that are read in a way of their own; every other one is a
// text, as PostgreSQL prints it. The numbers are those of pg_type.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidJSONB       = 3802
)

// postgresType is what we know of a type.
type postgresType struct {
	name    string
	element uint32 // of an array; 0: it is none
}

// postgresTypes are the types of one database, its own ones added as they are met.
// It is safe for concurrent use.
type postgresTypes struct {
	mu    sync.RWMutex
	known map[uint32]postgresType
}

func newPostgresTypes() *postgresTypes {
	t := &postgresTypes{known: map[uint32]postgresType{}}
	for _, one := range []struct {
		oid, array uint32
		name       string
	}{
		{oidBool, 1000, "boolean"},
		{oidBytea, 1001, "bytea"},
		{18, 1002, `"char"`},
		{19, 1003, "name"},
		{oidInt8, 1016, "bigint"},
		{oidInt2, 1005, "smallint"},
		{oidInt4, 1007, "integer"},
		{oidText, 1009, "text"},
		{oidOID, 1028, "oid"},
		{oidJSON, 199, "json"},
		{142, 143, "xml"},
		{oidFloat4, 1021, "real"},
		{oidFloat8, 1022, "double precision"},
		{705, 0, "unknown"},
		{790, 791, "money"},
		{869, 1041, "inet"},
		{1042, 1014, "character"},
		{1043, 1015, "character varying"},
		{oidDate, 1182, "date"},
		{1083, 1183, "time without time zone"},
		{oidTimestamp, 1115, "timestamp without time zone"},
		{oidTimestamptz, 1185, "timestamp with time zone"},
		{1186, 1187, "interval"},
		{1266, 1270, "time with time zone"},
		{oidNumeric, 1231, "numeric"},
		{2278, 0, "void"},
		{2950, 2951, "uuid"},
		{oidJSONB, 3807, "jsonb"},
	} {
		t.known[one.oid] = postgresType{name: one.name}
		if one.array != 0 {
			t.known[one.array] = postgresType{one.name + "[]", one.oid}
		}
	}
	return t
}

func (t *postgresTypes) of(oid uint32) (postgresType, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found, ok := t.known[oid]
	return found, ok
}

func (t *postgresTypes) knows(oid uint32) bool {
	_, ok := t.of(oid)
	return ok
}

func (t *postgresTypes) name(oid uint32) string {
	found, ok := t.of(oid)
	if !ok {
		return "type " + strconv.FormatUint(uint64(oid), 10)
	}
	return found.name
}

func (t *postgresTypes) add(oid, name, element string) {
	number, err := strconv.ParseUint(oid, 10, 32)
	of, elementErr := strconv.ParseUint(element, 10, 32)
	if errors.Join(err, elementErr) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[uint32(number)] = postgresType{name, uint32(of)}
}

// decode reads what PostgreSQL printed; nil is NULL.
func (t *postgresTypes) decode(oid uint32, text []byte) (any, error) {
	if text == nil {
		return nil, nil
	}
	if known, _ := t.of(oid); known.element != 0 {
		return t.array(known.element, string(text))
	}
	switch oid {
	case oidBool:
		return string(text) == "t", nil
	case oidInt2, oidInt4, oidInt8, oidOID, oidFloat4, oidFloat8, oidNumeric:
		return number(string(text)), nil
	case oidJSON, oidJSONB:
		return document(text), nil
	case oidBytea:
		return bytea(string(text))
	case oidTimestamp, oidTimestamptz:
		return timestamp(string(text), oid == oidTimestamptz), nil
	}
	return valid(string(text))
}

// number is a number as the database wrote it. What JSON has no number for (NaN,
// Infinity), and what has more digits than a value of a flow may have, is a text.
func number(text string) any {
	if _, err := value.ParseNumber(text); err != nil {
		return text
	}
	return json.Number(text)
}

// document is JSON as a value; what is nested too deep for a flow is a text.
func document(text []byte) any {
	if _, err := value.DecodeLenient(text); err != nil {
		return string(text)
	}
	return json.RawMessage(append([]byte(nil), text...))
}

// valid is a text, which must be one to be printed as JSON.
func valid(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is no text in UTF-8")
	}
	return text, nil
}

// bytea are bytes as base64. PostgreSQL prints them in hex, or as it once did.
func bytea(text string) (any, error) {
	digits, inHex := strings.CutPrefix(text, `\x`)
	if inHex {
		data, err := hex.DecodeString(digits)
		return base64.StdEncoding.EncodeToString(data), err
	}
	var data []byte
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			data = append(data, text[i])
		case strings.HasPrefix(text[i+1:], `\`):
			data = append(data, '\\')
			i++
		default:
			n, err := strconv.ParseUint(text[i+1:min(i+4, len(text))], 8, 8)
			if err != nil {
				return nil, fmt.Errorf("it is no bytea: %w", err)
			}
			data = append(data, byte(n))
			i += 3
		}
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

// timestamp is a timestamp in the form of RFC 3339, with its zone where it has
// one: "2026-01-02 03:04:05.5+00" is 2026-01-02T03:04:05.5Z. Those that RFC 3339
// has no form for (infinity, before Christ, years of five digits) stay.
func timestamp(text string, zone bool) string {
	const day = len("2026-01-02")
	if len(text) < day+len(" 03:04:05") || text[day] != ' ' || strings.HasSuffix(text, "BC") {
		return text
	}
	out := text[:day] + "T" + text[day+1:]
	if !zone {
		return out
	}
	at := strings.LastIndexAny(out, "+-")
	if at <= day {
		return out
	}
	offset := out[at:]
	switch {
	case strings.Trim(offset, "+-0:") == "":
		offset = "Z"
	case len(offset) == len("+02"):
		offset += ":00"
	}
	return out[:at] + offset
}

// arguments prints the values of a statement for the types that PostgreSQL wants.
func (t *postgresTypes) arguments(args []any, oids []uint32) ([][]byte, error) {
	if len(args) != len(oids) {
		return nil, plugin.Definitionf("params", "holds %s, and the database counts %d in the statement", count(len(args), "value"), len(oids))
	}
	out := make([][]byte, len(args))
	for i, v := range args {
		if v == nil {
			continue
		}
		text, err := t.argument(v, oids[i])
		if err != nil {
			return nil, plugin.Definitionf("params", "has as number %d a value that is no %s: %w", i+1, t.name(oids[i]), err)
		}
		out[i] = []byte(text)
	}
	return out, nil
}

// argument prints a value. Lists are arrays where PostgreSQL wants one; else they
// and maps are JSON.
func (t *postgresTypes) argument(v any, oid uint32) (string, error) {
	known, _ := t.of(oid)
	if elements, ok := v.([]any); ok && known.element != 0 {
		return t.arrayOf(elements, known.element)
	}
	inJSON := oid == oidJSON || oid == oidJSONB
	switch x := v.(type) {
	case []byte:
		if oid == oidBytea {
			return `\x` + hex.EncodeToString(x), nil
		}
		return string(x), nil
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case json.Number:
		if oid == oidInt2 || oid == oidInt4 || oid == oidInt8 {
			return whole(x), nil
		}
		return x.String(), nil
	case []any, map[string]any:
		if !inJSON && oid != oidText && oid != 1043 {
			return "", errors.New("a list or map is for JSON, a list for an array or IN (…)")
		}
		return jsonText(x)
	}
	return "", fmt.Errorf("a %T is no value", v)
}

// whole is a number without a fraction where it has none: 1.0 is 1.
func whole(n json.Number) string {
	if v, err := value.ParseNumber(n.String()); err == nil {
		if i, ok := value.Int(v); ok {
			return strconv.FormatInt(i, 10)
		}
	}
	return n.String()
}
