package expr

import (
	"math"
	"math/big"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

func numberFunctions() []function {
	return []function{
		{name: "abs", min: 1, max: 1, gives: value.Number, method: true, do: abs},
		{name: "ceil", min: 1, max: 1, gives: value.Number, method: true, do: rounding("ceil", 1)},
		{name: "floor", min: 1, max: 1, gives: value.Number, method: true, do: rounding("floor", -1)},
		{name: "round", min: 1, max: 2, gives: value.Number, method: true, do: round},
		{name: "min", min: 1, max: -1, method: true, do: extreme("min", -1)},
		{name: "max", min: 1, max: -1, method: true, do: extreme("max", 1)},
		{name: "mean", min: 1, max: 1, gives: value.Number, method: true, do: mean},
		{name: "median", min: 1, max: 1, gives: value.Number, method: true, do: median},
		bits("bitand", 2, func(a, b int64) int64 { return a & b }),
		bits("bitor", 2, func(a, b int64) int64 { return a | b }),
		bits("bitxor", 2, func(a, b int64) int64 { return a ^ b }),
		bits("bitnand", 2, func(a, b int64) int64 { return a &^ b }),
		bits("bitnot", 1, func(a, _ int64) int64 { return ^a }),
		bits("bitshl", 2, func(a, b int64) int64 { return a << uint64(b) }),
		bits("bitshr", 2, func(a, b int64) int64 { return a >> uint64(b) }),
		bits("bitushr", 2, func(a, b int64) int64 { return int64(uint64(a) >> uint64(b)) }),
	}
}

func number(who string, v any) error {
	if kindOf(v) != value.Number {
		return valueErrorf("%s needs numbers, got %s", who, describe(v))
	}
	return nil
}

func abs(_ *evaluation, args []any) (any, error) {
	if err := number("abs", args[0]); err != nil {
		return nil, err
	}
	if order, _ := value.CompareNumbers(args[0], int64(0)); order >= 0 {
		return args[0], nil
	}
	return signed(args[0], true)
}

// rat is n exactly, as it is printed.
func rat(n any) (*big.Rat, bool) {
	text := value.Compact(n)
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 5 {
		return nil, false // beyond 1e±999: no float64, and too long to write out
	}
	return new(big.Rat).SetString(text)
}

// rounding gives ceil and floor exactly; away is the side.
func rounding(who string, away int) func(*evaluation, []any) (any, error) {
	return func(_ *evaluation, args []any) (any, error) {
		if err := number(who, args[0]); err != nil {
			return nil, err
		}
		r, ok := rat(args[0])
		if !ok {
			return nil, valueErrorf("%s of a number with too many digits", who)
		}
		return value.ParseNumber(toward(r, away).String())
	}
}

// toward is the nearest integer below (-1) or above (1) r.
func toward(r *big.Rat, away int) *big.Int {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int)) // Euclidean: floor for a positive denominator
	if away > 0 && m.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// maxPlaces bounds round's second argument.
const maxPlaces = 100

// round(x) is the nearest integer, round(x, 2) has two decimals; halves go away
// from zero.
func round(_ *evaluation, args []any) (any, error) {
	if err := number("round", args[0]); err != nil {
		return nil, err
	}
	places := int64(0)
	if len(args) == 2 {
		var err error
		if places, err = whole("round", args, 1); err != nil {
			return nil, err
		}
		if places < 0 || places > maxPlaces {
			return nil, valueErrorf("round takes 0 to %d decimals, got %d", maxPlaces, places)
		}
	}
	r, ok := rat(args[0])
	if !ok {
		return nil, valueErrorf("round of a number with too many digits")
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(places), nil))
	r.Mul(r, scale)
	half := big.NewRat(1, 2)
	var whole *big.Int
	if r.Sign() < 0 {
		whole = toward(r.Sub(r, half), 1)
	} else {
		whole = toward(r.Add(r, half), -1)
	}
	rounded := new(big.Rat).Quo(new(big.Rat).SetInt(whole), scale)
	text := rounded.FloatString(int(places))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return value.ParseNumber(text)
}

// numbers are the arguments, or the elements of the only one.
func numbers(args []any) []any {
	if l, ok := args[0].([]any); ok && len(args) == 1 {
		return l
	}
	return args
}

// extreme gives min and max, of numbers or of strings; of lists their elements'.
func extreme(who string, side int) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		of := numbers(args)
		if len(of) == 0 {
			return nil, valueErrorf("%s of an empty array", who)
		}
		e.steps += len(of)
		best := of[0]
		for _, v := range of {
			if l, ok := v.([]any); ok && len(args) > 1 {
				return nil, valueErrorf("%s needs numbers or one array, got %s", who, describe(l))
			}
			order, ok := compare(v, best)
			if !ok {
				return nil, valueErrorf("%s needs numbers or strings, got %s and %s", who, describe(best), describe(v))
			}
			if order*side > 0 {
				best = v
			}
		}
		return best, nil
	}
}

func sum(e *evaluation, args []any) (any, error) {
	l, err := list("sum", args, 0)
	if err != nil {
		return nil, err
	}
	e.steps += len(l)
	var total any = int64(0)
	for _, v := range l {
		if err := number("sum", v); err != nil {
			return nil, err
		}
		if total, err = compute("+", total, v); err != nil {
			return nil, valueErrorf("%s", err)
		}
	}
	return total, nil
}

func mean(e *evaluation, args []any) (any, error) {
	l, err := list("mean", args, 0)
	if err != nil {
		return nil, err
	}
	if len(l) == 0 {
		return nil, valueErrorf("the mean of an empty array")
	}
	total, err := sum(e, []any{l})
	if err != nil {
		return nil, err
	}
	v, err := value.Arithmetic("/", total, int64(len(l)))
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	return v, nil
}

func median(e *evaluation, args []any) (any, error) {
	l, err := list("median", args, 0)
	if err != nil {
		return nil, err
	}
	if len(l) == 0 {
		return nil, valueErrorf("the median of an empty array")
	}
	for _, v := range l {
		if err := number("median", v); err != nil {
			return nil, err
		}
	}
	sorted, err := sortBy(e, l, l, false)
	if err != nil {
		return nil, err
	}
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid], nil
	}
	return mean(e, []any{sorted[mid-1 : mid+1]})
}

func bits(name string, n int, do func(a, b int64) int64) function {
	return function{name: name, min: n, max: n, gives: value.Number, do: func(_ *evaluation, args []any) (any, error) {
		var in [2]int64
		for i := range args {
			v, err := whole(name, args, i)
			if err != nil {
				return nil, err
			}
			in[i] = v
		}
		if strings.Contains(name, "sh") && (in[1] < 0 || in[1] > math.MaxUint32) {
			return nil, valueErrorf("%s shifts by 0 or more bits, got %d", name, in[1])
		}
		return do(in[0], in[1]), nil
	}}
}
