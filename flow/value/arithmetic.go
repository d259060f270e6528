package value

import (
	"fmt"
	"math"
	"math/big"
)

// maxBits is maxDigits in binary: log2(10) is 3.32….
const maxBits = maxDigits * 332 / 100

// quotientDigits is how many significant digits a division keeps where the
// result is not exact: IEEE 754-2019 decimal128.
const quotientDigits = 34

// Arithmetic does a op b for + - * / % **. Integers stay integers while they
// fit; a quotient of integers is exact where it can be, as in expr-lang a
// float64 else; with a Decimal on one side the result is a Decimal. It errors
// for a division by zero and for operands that are not numbers.
func Arithmetic(op string, a, b any) (any, error) {
	if KindOf(a) != Number || KindOf(b) != Number {
		return nil, fmt.Errorf("%s needs two numbers, got %s and %s", op, KindOf(a), KindOf(b))
	}
	if isZero(b) && (op == "/" || op == "%") {
		return nil, fmt.Errorf("division by zero")
	}
	_, decA := a.(*Decimal)
	_, decB := b.(*Decimal)
	_, floatA := a.(float64)
	_, floatB := b.(float64)
	switch {
	case op == "**":
		x, _ := Float(a)
		y, _ := Float(b)
		return finite(math.Pow(x, y))
	case op == "%":
		x, okX := Int(a)
		y, okY := Int(b)
		if !okX || !okY {
			return nil, fmt.Errorf("%% needs two integers, got %s and %s", Compact(a), Compact(b))
		}
		if y == -1 {
			return int64(0), nil
		}
		return x % y, nil
	case decA || decB:
		return decimalArithmetic(op, a, b)
	case floatA || floatB:
		return floatArithmetic(op, a, b)
	case op == "/":
		x, y := a.(int64), b.(int64)
		switch {
		case y == -1: // the one quotient that may not fit
			return intArithmetic("-", 0, x)
		case x%y == 0:
			return x / y, nil
		}
		return floatArithmetic(op, a, b)
	}
	return intArithmetic(op, a.(int64), b.(int64))
}

func isZero(n any) bool {
	order, _ := CompareNumbers(n, int64(0))
	return order == 0
}

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("the result is not a finite number")
	}
	return f, nil
}

func floatArithmetic(op string, a, b any) (any, error) {
	x, _ := Float(a)
	y, _ := Float(b)
	switch op {
	case "+":
		return finite(x + y)
	case "-":
		return finite(x - y)
	case "*":
		return finite(x * y)
	case "/":
		return finite(x / y)
	}
	return nil, fmt.Errorf("unknown operator %q", op)
}

func intArithmetic(op string, x, y int64) (any, error) {
	wide := new(big.Int)
	switch op {
	case "+":
		if sum := x + y; (sum > x) == (y > 0) {
			return sum, nil
		}
		wide.Add(big.NewInt(x), big.NewInt(y))
	case "-":
		if diff := x - y; (diff < x) == (y > 0) {
			return diff, nil
		}
		wide.Sub(big.NewInt(x), big.NewInt(y))
	case "*":
		wide.Mul(big.NewInt(x), big.NewInt(y))
		if wide.IsInt64() {
			return wide.Int64(), nil
		}
	default:
		return nil, fmt.Errorf("unknown operator %q", op)
	}
	return &Decimal{wide, 0}, nil
}

func decimalArithmetic(op string, a, b any) (any, error) {
	x, okX := decimalOf(a)
	y, okY := decimalOf(b)
	if !okX || !okY {
		return nil, fmt.Errorf("%s needs two finite numbers", op)
	}
	var out *Decimal
	switch op {
	case "+", "-":
		p, q, exponent := align(x, y)
		sum := new(big.Int)
		if op == "+" {
			sum.Add(p, q)
		} else {
			sum.Sub(p, q)
		}
		out = &Decimal{sum, exponent}
	case "*":
		out = &Decimal{new(big.Int).Mul(x.digits, y.digits), x.exponent + y.exponent}
	case "/":
		out = quotient(x, y)
	default:
		return nil, fmt.Errorf("unknown operator %q", op)
	}
	if out.exponent > maxExponent || out.exponent < -maxExponent || out.digits.BitLen() > maxBits {
		return nil, fmt.Errorf("the result has too many digits")
	}
	return narrow(out), nil
}

func digitCount(d *Decimal) int { return len(new(big.Int).Abs(d.digits).String()) }

func quotient(x, y *Decimal) *Decimal {
	shift := max(0, quotientDigits+digitCount(y)-digitCount(x))
	num := new(big.Int).Mul(x.digits, pow10(shift))
	q, rest := new(big.Int).QuoRem(num, y.digits, new(big.Int))
	if twice := new(big.Int).Abs(new(big.Int).Lsh(rest, 1)); twice.Cmp(new(big.Int).Abs(y.digits)) >= 0 {
		q.Add(q, big.NewInt(int64(num.Sign()*y.digits.Sign()))) // round half away from zero
	}
	out := &Decimal{q, x.exponent - y.exponent - shift}
	ten := big.NewInt(10)
	for out.exponent < 0 {
		whole, rest := new(big.Int).QuoRem(out.digits, ten, new(big.Int))
		if rest.Sign() != 0 {
			break
		}
		out = &Decimal{whole, out.exponent + 1}
	}
	return out
}
