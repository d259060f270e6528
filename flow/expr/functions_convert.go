package expr

import (
	"math"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

func conversionFunctions() []function {
	return []function{
		{name: "int", min: 1, max: 1, gives: value.Number, method: true, do: toInt},
		{name: "float", min: 1, max: 1, gives: value.Number, method: true, do: toFloat},
		{name: "string", min: 1, max: 1, gives: value.String, method: true, do: toText},
		{name: "type", min: 1, max: 1, gives: value.String, times: true, method: true, do: kindName},
		{name: "toJSON", min: 1, max: 1, gives: value.String, method: true, do: toJSON},
		{name: "fromJSON", min: 1, max: 1, method: true, do: fromJSON("fromJSON")},
		{name: "json_encode", min: 1, max: 1, gives: value.String, method: true, do: toJSON},
		{name: "json_decode", min: 1, max: 1, method: true, do: fromJSON("json_decode")},
	}
}

// toInt cuts the fraction off a number, and reads a string of digits.
func toInt(_ *evaluation, args []any) (any, error) {
	v := args[0]
	if s, ok := v.(string); ok {
		n, err := value.ParseNumber(strings.TrimPrefix(strings.TrimSpace(s), "+"))
		if err != nil || !value.IsInteger(n) {
			return nil, valueErrorf("int needs a whole number, got %s", describe(v))
		}
		v = n
	}
	if b, ok := v.(bool); ok {
		return int64(map[bool]int{true: 1}[b]), nil
	}
	if err := number("int", v); err != nil {
		return nil, err
	}
	if n, ok := value.Int(v); ok {
		return n, nil
	}
	r, ok := rat(v)
	if !ok {
		return nil, valueErrorf("int of a number with too many digits")
	}
	return value.ParseNumber(toward(r, -r.Sign()).String())
}

func toFloat(_ *evaluation, args []any) (any, error) {
	v := args[0]
	if s, ok := v.(string); ok {
		n, err := value.ParseNumber(strings.TrimPrefix(strings.TrimSpace(s), "+"))
		if err != nil {
			return nil, valueErrorf("float needs a number, got %s", describe(v))
		}
		v = n
	}
	if err := number("float", v); err != nil {
		return nil, err
	}
	f, _ := value.Float(v)
	if math.IsInf(f, 0) {
		return nil, valueErrorf("%s is too large for float", describe(v))
	}
	return f, nil
}

func toText(e *evaluation, args []any) (any, error) {
	s := value.Text(args[0])
	return s, e.produce(len(s))
}

// kindName is the language's word for a kind: type(1) is "number".
func kindName(_ *evaluation, args []any) (any, error) { return string(kindOf(args[0])), nil }

func toJSON(e *evaluation, args []any) (any, error) {
	s := value.Compact(args[0])
	return s, e.produce(len(s))
}

func fromJSON(who string) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		s, err := text(who, args, 0)
		if err != nil {
			return nil, err
		}
		if err := e.produce(4 * len(s)); err != nil {
			return nil, err
		}
		v, err := value.Decode([]byte(s))
		if err != nil {
			return nil, valueErrorf("%s needs JSON: %s", who, err)
		}
		return v, nil
	}
}
