package expr

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
)

// Times and durations exist only inside an expression: now() - duration("1h")
// computes with them; whatever leaves it is text.
const (
	kindTime     value.Kind = "time"
	kindDuration value.Kind = "duration"
)

// kindOf is value.KindOf for what an expression computes with.
func kindOf(v any) value.Kind {
	switch v.(type) {
	case time.Time:
		return kindTime
	case time.Duration:
		return kindDuration
	}
	return value.KindOf(v)
}

// model turns times and durations into text.
func model(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case time.Duration:
		return v.String()
	}
	return v
}

// describe says a value in a message.
func describe(v any) string { return value.Describe(model(v), 80) }

func runeCount(s string) int64 { return int64(utf8.RuneCountInString(s)) }

// valueErrorf is an error of a function, which does not know its place.
func valueErrorf(format string, args ...any) *ValueError {
	return &ValueError{Message: fmt.Sprintf(format, args...)}
}

func valueErrorAt(off, end int, format string, args ...any) *ValueError {
	return &ValueError{Message: fmt.Sprintf(format, args...), Offset: off, Length: end - off}
}

// boolean evaluates n for an operator that needs true or false.
func (e *evaluation) boolean(n node, who string) (bool, error) {
	v, err := e.value(n)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		off, end := n.bytes()
		return false, valueErrorAt(off, end, "%s needs true or false, got %s", who, describe(v))
	}
	return b, nil
}
