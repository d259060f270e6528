package value

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number: digits · 10^exponent. The language uses it
// for numbers that neither a 64-bit integer nor a float64 holds without losing
// digits, and for DECIMAL columns. It is immutable.
//
// It is our own because the kept libraries cost more than a millisecond of
// start-up each (tables of powers of ten made at package init) for the five
// operations that the language needs.
type Decimal struct {
	digits   *big.Int
	exponent int // of ten
}

// maxExponent bounds |exponent|: past it a number could only be compared by
// writing out more zeros than any system means.
const maxExponent = 4096

// maxDigits bounds the digits of one number.
const maxDigits = 8192

// smallestNormal is the least float64 with all its 53 bits.
const smallestNormal = 0x1p-1022

// ParseNumber reads a JSON number (RFC 8259 section 6) into int64, float64 or
// *Decimal, the first that holds it exactly: 10 is an int64, 0.1 a float64
// (its shortest form gives the digits back), 0.12345678901234567890 a Decimal.
func ParseNumber(text string) (any, error) {
	integral := true
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c != '-' || i > 0) {
			integral = false
			break
		}
	}
	if integral && len(text) > 0 && len(text) <= 20 {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" && validNumber(text) {
			return n, nil
		}
	}
	if !validNumber(text) {
		return nil, fmt.Errorf("parse number %q: not a number", clip(text))
	}
	if len(text) <= 15 { // at most 15 significant digits survive a float64, unless it is denormal
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && (math.Abs(f) >= smallestNormal || !strings.ContainsAny(mantissa(text), "123456789")) {
			return f, nil
		}
	}
	d, err := ParseDecimal(text)
	if err != nil {
		return nil, err
	}
	if !integral {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			if back, err := ParseDecimal(strconv.FormatFloat(f, 'g', -1, 64)); err == nil && back.cmp(d) == 0 {
				return f, nil
			}
		}
	}
	return d, nil
}

func mantissa(text string) string {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		return text[:i]
	}
	return text
}

func validNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	n := digits()
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	s = s[n:]
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		if n = digits(); n == 0 {
			return false
		}
		s = s[n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if n = digits(); n == 0 {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// ParseDecimal reads a decimal number exactly. Numbers past maxDigits digits or
// maxExponent powers of ten are errors, so that none can exhaust memory.
func ParseDecimal(text string) (*Decimal, error) {
	if !validNumber(text) {
		return nil, fmt.Errorf("parse decimal %q: not a number", clip(text))
	}
	mant, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e > maxExponent || e < -maxExponent {
			return nil, fmt.Errorf("parse decimal %q: exponent past %d", clip(text), maxExponent)
		}
		mant, exponent = text[:i], e
	}
	if i := strings.IndexByte(mant, '.'); i >= 0 {
		exponent -= len(mant) - i - 1
		mant = mant[:i] + mant[i+1:]
	}
	if len(mant) > maxDigits {
		return nil, fmt.Errorf("parse decimal %q: over %d digits", clip(text), maxDigits)
	}
	if exponent < -maxExponent { // what String prints must be readable again
		return nil, fmt.Errorf("parse decimal %q: over %d decimal places", clip(text), maxExponent)
	}
	digits, ok := new(big.Int).SetString(mant, 10)
	if !ok {
		return nil, fmt.Errorf("parse decimal %q: not a number", clip(text))
	}
	return &Decimal{digits, exponent}, nil
}

// String prints d in shortest exact form: 1.50 stays 1.50, since the trailing
// zero of a DECIMAL column is part of what the system answered.
func (d *Decimal) String() string {
	s := d.digits.String()
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	switch {
	case d.exponent == 0 || s == "0" && d.exponent > 0:
		return sign + s
	case d.exponent > 0:
		if len(s)+d.exponent <= 40 {
			return sign + s + strings.Repeat("0", d.exponent)
		}
		return sign + s + "e+" + strconv.Itoa(d.exponent)
	case -d.exponent > 400:
		return sign + s + "e" + strconv.Itoa(d.exponent)
	}
	if pad := -d.exponent - len(s) + 1; pad > 0 {
		s = strings.Repeat("0", pad) + s
	}
	point := len(s) + d.exponent
	return sign + s[:point] + "." + s[point:]
}

// Float is the float64 nearest to d.
func (d *Decimal) Float() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64) // out of range it is the signed infinity
	return f
}

func (d *Decimal) isInteger() bool {
	if d.exponent >= 0 {
		return true
	}
	_, rest := new(big.Int).QuoRem(d.digits, pow10(-d.exponent), new(big.Int))
	return rest.Sign() == 0
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// align writes both numbers with one exponent.
func align(a, b *Decimal) (x, y *big.Int, exponent int) {
	x, y, exponent = a.digits, b.digits, min(a.exponent, b.exponent)
	if a.exponent > exponent {
		x = new(big.Int).Mul(x, pow10(a.exponent-exponent))
	}
	if b.exponent > exponent {
		y = new(big.Int).Mul(y, pow10(b.exponent-exponent))
	}
	return x, y, exponent
}

func (d *Decimal) cmp(o *Decimal) int {
	x, y, _ := align(d, o)
	return x.Cmp(y)
}

// decimalOf widens any number of the model to a Decimal, exactly: a float64
// stands for the binary fraction's shortest decimal form, as it was written.
func decimalOf(n any) (*Decimal, bool) {
	switch n := n.(type) {
	case int64:
		return &Decimal{big.NewInt(n), 0}, true
	case float64:
		d, err := ParseDecimal(strconv.FormatFloat(n, 'g', -1, 64))
		return d, err == nil
	case *Decimal:
		return n, true
	}
	return nil, false
}

// narrow gives the smallest kind that holds d exactly.
func narrow(d *Decimal) any {
	if d.isInteger() {
		n := d.digits
		if d.exponent > 0 {
			n = new(big.Int).Mul(n, pow10(d.exponent))
		} else if d.exponent < 0 {
			n = new(big.Int).Quo(n, pow10(-d.exponent))
		}
		if n.IsInt64() {
			return n.Int64()
		}
	}
	return d
}

// Float widens or narrows any number of the model to float64.
func Float(n any) (float64, bool) {
	switch n := n.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case *Decimal:
		return n.Float(), true
	}
	return 0, false
}

// Int gives the integer that n is; 3.0 is 3, 3.5 is none, and so is what does
// not fit 64 bits.
func Int(n any) (int64, bool) {
	switch n := n.(type) {
	case int64:
		return n, true
	case float64:
		if math.Abs(n) <= 1<<53 {
			return int64(n), n == math.Trunc(n)
		}
		// Past 2^53 the decimal form, for which the float64 stands, is not the
		// binary integer.
		if d, ok := decimalOf(n); ok && math.Abs(n) < 1<<64 {
			i, ok := narrow(d).(int64)
			return i, ok
		}
	case *Decimal:
		i, ok := narrow(n).(int64)
		return i, ok
	}
	return 0, false
}

// CompareNumbers orders two numbers of any kinds exactly. ok is false where one
// is not a number.
func CompareNumbers(a, b any) (order int, ok bool) {
	switch x := a.(type) {
	case int64:
		switch y := b.(type) {
		case int64:
			return cmp.Compare(x, y), true
		case float64:
			if exactInFloat(x) {
				return cmp.Compare(float64(x), y), true
			}
		}
	case float64:
		switch y := b.(type) {
		case float64:
			return cmp.Compare(x, y), true
		case int64:
			if exactInFloat(y) {
				return cmp.Compare(x, float64(y)), true
			}
		}
	}
	x, okX := decimalOf(a)
	y, okY := decimalOf(b)
	if !okX || !okY {
		return 0, false
	}
	return x.cmp(y), true
}

// exactInFloat tells whether a float64 holds every integer as large as n.
func exactInFloat(n int64) bool { return n >= -1<<53 && n <= 1<<53 }

// IsMultiple tells whether the number n is a whole multiple of the number of,
// exactly: 0.3 is one of 0.1. Nothing is a multiple of zero.
func IsMultiple(n, of any) bool {
	if x, ok := n.(int64); ok {
		if y, ok := of.(int64); ok {
			return y == -1 || y != 0 && x%y == 0
		}
	}
	x, okX := decimalOf(n)
	y, okY := decimalOf(of)
	if !okX || !okY || y.digits.Sign() == 0 {
		return false
	}
	p, q, _ := align(x, y)
	return new(big.Int).Rem(p, q).Sign() == 0
}
