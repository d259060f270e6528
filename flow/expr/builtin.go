package expr

import (
	"strings"
	"time"
)

// BuiltinNames are the built-in names that need no run: those of a clock and of
// random bits. RUN_ID, FLOW_ID and the like are the engine's.
func BuiltinNames() []string {
	return []string{
		"DATE", "DATETIME", "DAY_OF_WEEK", "FAKER", "ISO_TIMESTAMP", "RANDOM_ID", "RANDOM_INT", "RANDOM_STRING",
		"TIME", "TIMESTAMP", "TIMESTAMP_UNIX", "TODAY", "UUID",
	}
}

// LookupBuiltin gives the value of a built-in name; expressions ask it for
// whatever their Scope does not hold. Times are in UTC. Random names give a new
// value each time they are read. FAKER is no value: its fields are compiled.
func LookupBuiltin(name string, env *Env) (v any, ok bool) {
	if env == nil || name == "" || name[0] < 'A' || name[0] > 'Z' {
		return nil, false
	}
	if env.Now != nil {
		if layout, ok := clockName(name); ok {
			return env.Now().UTC().Format(layout), true
		}
		if name == "TIMESTAMP_UNIX" {
			return env.Now().Unix(), true
		}
	}
	if env.Random == nil {
		return nil, false
	}
	r := env.source()
	switch name {
	case "UUID":
		return r.uuid(), true
	case "RANDOM_ID":
		return r.text("0123456789abcdefghijklmnopqrstuvwxyz", 12), true
	case "RANDOM_INT":
		return r.between(0, 1<<31-1), true
	case "RANDOM_STRING":
		return r.text(letters, 16), true
	}
	return nil, false
}

func clockName(name string) (layout string, ok bool) {
	switch name {
	case "TIMESTAMP":
		return time.RFC3339, true
	case "ISO_TIMESTAMP":
		return "2006-01-02T15:04:05.000Z", true
	case "DATE", "TODAY":
		return time.DateOnly, true
	case "TIME":
		return time.TimeOnly, true
	case "DATETIME":
		return time.DateTime, true
	case "DAY_OF_WEEK":
		return "Monday", true
	}
	return "", false
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// random draws from the evaluation's bits; equal bits give equal values.
type random struct {
	bits func() uint64
	now  func() time.Time // nil: there is no clock
}

// source is the random bits of an env, and its clock.
func (env *Env) source() random { return random{env.Random.Uint64, env.Now} }

// below is a number from 0 to n-1; the bias of 64 bits over n is not seen.
func (r random) below(n int) int {
	if n <= 1 {
		return 0
	}
	return int(r.bits() % uint64(n))
}

// between is a number from a to b, both included; a <= b.
func (r random) between(a, b int64) int64 {
	size := uint64(b) - uint64(a) + 1
	if size == 0 {
		return int64(r.bits())
	}
	return int64(uint64(a) + r.bits()%size)
}

func (r random) text(alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[r.below(len(alphabet))]
	}
	return string(out)
}

// uuid is a version 4 UUID.
func (r random) uuid() string {
	const digits = "0123456789abcdef"
	hi, lo := r.bits(), r.bits()
	hi = hi&^0xF000 | 0x4000
	lo = lo&^(0xC<<60) | 0x8<<60
	var b strings.Builder
	for i := 0; i < 32; i++ {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b.WriteByte('-')
		}
		word := hi
		if i >= 16 {
			word = lo
		}
		b.WriteByte(digits[word>>(60-4*(i%16))&0xF])
	}
	return b.String()
}

func randomFunctions() []function {
	source := func(name string, min, max int, do func(r random, args []any) (any, error)) function {
		return function{name: name, min: min, max: max, impure: true, do: func(e *evaluation, args []any) (any, error) {
			if e.env.Random == nil {
				return nil, valueErrorf("there is no source of random values here")
			}
			return do(e.env.source(), args)
		}}
	}
	return []function{
		source("uuid", 0, 0, func(r random, _ []any) (any, error) { return r.uuid(), nil }),
		source("random_int", 2, 2, func(r random, args []any) (any, error) {
			a, err := whole("random_int", args, 0)
			if err != nil {
				return nil, err
			}
			b, err := whole("random_int", args, 1)
			if err != nil {
				return nil, err
			}
			if a > b {
				return nil, valueErrorf("random_int needs the smaller number first, got %d and %d", a, b)
			}
			return r.between(a, b), nil
		}),
		source("random_string", 1, 1, func(r random, args []any) (any, error) {
			n, err := whole("random_string", args, 0)
			if err != nil {
				return nil, err
			}
			if n < 0 || n > maxRandom {
				return nil, valueErrorf("random_string makes 0 to %d characters, got %d", maxRandom, n)
			}
			return r.text(letters, int(n)), nil
		}),
		{name: "fake", min: 1, max: 1, impure: true, do: fakeFunction},
	}
}

// maxRandom bounds random_string.
const maxRandom = 1 << 20
