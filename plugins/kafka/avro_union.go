package kafka

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hamba/avro/v2"

	"github.com/testmesh/testmesh/flow/value"
)

// union writes the first branch that a value looks like, or the one that
// {branch: value} names, as Avro's own JSON has it.
func (w avroWriter) union(s *avro.UnionSchema, v any, path string, depth int) error {
	names := make([]string, len(s.Types()))
	for i, branch := range s.Types() {
		names[i] = branchName(branch)
	}
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		name := value.Keys(m)[0]
		if n := slices.Index(names, name); n >= 0 {
			w.WriteLong(int64(n))
			return w.value(s.Types()[n], m[name], path, depth+1)
		}
	}
	for n, branch := range s.Types() {
		if looksLike(branch, v) {
			w.WriteLong(int64(n))
			return w.value(branch, v, path, depth+1)
		}
	}
	return not(path, "one of "+strings.Join(names, ", "), v)
}

func branchName(s avro.Schema) string {
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	if named, ok := s.(avro.NamedSchema); ok {
		return named.FullName()
	}
	return string(s.Type())
}

// looksLike tells whether a value may be meant for a branch of a union.
func looksLike(s avro.Schema, v any) bool {
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	_, isText := v.(string)
	_, isRaw := v.(rawBytes)
	switch s := s.(type) {
	case *avro.NullSchema:
		return v == nil
	case *avro.RecordSchema:
		return fieldsFit(s, v)
	case *avro.MapSchema:
		_, ok := v.(map[string]any)
		return ok
	case *avro.ArraySchema:
		_, ok := v.([]any)
		return ok
	case *avro.EnumSchema:
		text, _ := v.(string)
		return isText && slices.Contains(s.Symbols(), text)
	case *avro.PrimitiveSchema, *avro.FixedSchema:
		w := avroWriter{avro.NewWriter(new(bytes.Buffer), 64)}
		return (isText || isRaw || isScalar(v)) && w.value(s, v, "", 0) == nil
	}
	return false
}

func isScalar(v any) bool {
	switch v.(type) {
	case bool, int64, float64, *value.Decimal:
		return true
	}
	return false
}

// fieldsFit tells whether a map has the fields of a record, and no others.
func fieldsFit(s *avro.RecordSchema, v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	met := 0
	for _, f := range s.Fields() {
		_, given := m[f.Name()]
		if given {
			met++
		} else if !f.HasDefault() {
			return false
		}
	}
	return met == len(m)
}
