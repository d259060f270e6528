package value

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parse(t testing.TB, text string) any {
	t.Helper()
	n, err := ParseNumber(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func TestParseNumberPicksTheFirstKindThatIsExact(t *testing.T) {
	tests := []struct{ text, kind, prints string }{
		{"0", "int64", "0"},
		{"-0", "float64", "0"},
		{"-0.0", "float64", "0"},
		{"42", "int64", "42"},
		{"9223372036854775807", "int64", "9223372036854775807"},
		{"-9223372036854775808", "int64", "-9223372036854775808"},
		{"9223372036854775808", "*value.Decimal", "9223372036854775808"},
		{"0.1", "float64", "0.1"},
		{"1.0", "float64", "1"},
		{"1e3", "float64", "1000"},
		{"1E+2", "float64", "100"},
		{"0.30000000000000004", "float64", "0.30000000000000004"},
		{"0.1000000000000000000", "float64", "0.1"},
		{"0.12345678901234567890", "*value.Decimal", "0.12345678901234567890"},
		{"123456789012345678.5", "*value.Decimal", "123456789012345678.5"},
		{"1e-7", "float64", "1e-7"},
		{"1e21", "float64", "1e+21"},
		{"2.5e-300", "float64", "2.5e-300"},
		{"1.23456e-320", "*value.Decimal", "0." + strings.Repeat("0", 319) + "123456"},
		{"5e-324", "float64", "5e-324"},
		{"1e-400", "*value.Decimal", "0." + strings.Repeat("0", 399) + "1"},
		{"1e400", "*value.Decimal", "1e+400"},
		{"1e-4096", "*value.Decimal", "1e-4096"},
	}
	for _, test := range tests {
		n := parse(t, test.text)
		if kind := fmt.Sprintf("%T", n); kind != test.kind || Compact(n) != test.prints {
			t.Errorf("%s: got %s %s, want %s %s", test.text, kind, Compact(n), test.kind, test.prints)
		}
	}
}

func TestWhatIsNoNumberIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "-", "+1", "01", "-01", "00", ".5", "5.", "1e", "1e+", "0x10", "1_000", "NaN", "Infinity", " 1", "1 ", "1.2.3", "١",
		"1e4097", "1e-4097", "1e99999999999999999999", "1.5e-4096", "0." + strings.Repeat("1", maxExponent+1), strings.Repeat("9", maxDigits+1),
	} {
		if n, err := ParseNumber(text); err == nil {
			t.Errorf("%.40q: got %.40s, want an error", text, Compact(n))
		}
	}
}

// drawNumber draws the text of a JSON number with any digits and exponent.
func drawNumber(t *rapid.T, label string) string {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?`).Draw(t, label)
}

// exact is the number that a text means, by another route than ours.
func exact(t *rapid.T, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("math/big does not read %q", text)
	}
	return r
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawNumber(t, "number")
		n, err := ParseNumber(text)
		if err != nil {
			t.Fatal(err)
		}
		printed := Compact(n)
		if exact(t, printed).Cmp(exact(t, text)) != 0 {
			t.Fatalf("%s became %T %s", text, n, printed)
		}
		again, err := ParseNumber(printed)
		if err != nil || !Equal(n, again) {
			t.Fatalf("%s printed as %s and read as %s, %v", text, printed, Compact(again), err)
		}
	})
}

// nextTo is a number that differs from another in one digit more, or the same.
func nextTo(text string) string {
	switch {
	case strings.ContainsAny(text, "eE"):
		return text
	case strings.Contains(text, "."):
		return text + "1"
	}
	return text + ".0000000000000000000001"
}

func TestComparingIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawNumber(t, "x"), drawNumber(t, "y")
		if rapid.Bool().Draw(t, "near") {
			y = nextTo(x)
		}
		a, errA := ParseNumber(x)
		b, errB := ParseNumber(y)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		got, ok := CompareNumbers(a, b)
		if want := exact(t, x).Cmp(exact(t, y)); !ok || got != want {
			t.Fatalf("%s against %s: got %d, want %d", x, y, got, want)
		}
		if back, _ := CompareNumbers(b, a); back != -got {
			t.Fatalf("%s against %s: %d one way and %d the other", x, y, got, back)
		}
		if Equal(a, b) != (got == 0) {
			t.Fatalf("%s and %s: Equal and CompareNumbers disagree", x, y)
		}
	})
}

func TestIntGivesOnlyWholeNumbersThatFit(t *testing.T) {
	tests := []struct {
		n    any
		want int64
		ok   bool
	}{
		{int64(-7), -7, true},
		{3.0, 3, true},
		{math.Copysign(0, -1), 0, true},
		{3.5, 0, false},
		{9007199254740992.0, 9007199254740992, true},
		{4611686018427387904.0, 4611686018427388000, true}, // its shortest decimal form
		{9.3e18, 0, false},
		{math.Inf(1), 0, false},
		{math.NaN(), 0, false},
		{parse(t, "9223372036854775807.00"), math.MaxInt64, true},
		{parse(t, "9223372036854775807.01"), 0, false},
		{parse(t, "9223372036854775808"), 0, false},
		{"3", 0, false},
		{nil, 0, false},
	}
	for _, test := range tests {
		got, ok := Int(test.n)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%v: got %d %v, want %d %v", test.n, got, ok, test.want, test.ok)
		}
		if ok && !Equal(test.n, got) {
			t.Errorf("%v: Int gives %d, which is not equal to it", test.n, got)
		}
	}
}

func TestArithmetic(t *testing.T) {
	tests := []struct{ a, op, b, want string }{
		{"2", "+", "3", "5"},
		{"9223372036854775807", "+", "1", "9223372036854775808"},
		{"-9223372036854775808", "-", "1", "-9223372036854775809"},
		{"-1", "-", "-9223372036854775808", "9223372036854775807"},
		{"0", "-", "-9223372036854775808", "9223372036854775808"},
		{"4294967296", "*", "4294967296", "18446744073709551616"},
		{"-9223372036854775808", "*", "-1", "9223372036854775808"},
		{"6", "/", "3", "2"},
		{"9007199254740993", "/", "1", "9007199254740993"},
		{"-9223372036854775808", "/", "-1", "9223372036854775808"},
		{"1", "/", "4", "0.25"},
		{"7", "%", "3", "1"},
		{"-7", "%", "3", "-1"},
		{"-9223372036854775808", "%", "-1", "0"},
		{"7.0", "%", "4", "3"},
		{"2", "**", "10", "1024"},
		{"0.5", "+", "1", "1.5"},
		{"0.10000000000000000001", "+", "0.2", "0.30000000000000000001"},
		{"0.10000000000000000001", "-", "0.10000000000000000001", "0"},
		{"0.10000000000000000001", "*", "10", "1.00000000000000000010"},
		{"10000000000000000000000", "/", "4", "2500000000000000000000"},
		{"10000000000000000000000", "/", "3", "3333333333333333333333.333333333333"},
		{"20000000000000000000000", "/", "-3", "-6666666666666666666666.666666666667"},
		{"9223372036854775808", "-", "1", "9223372036854775807"},
	}
	for _, test := range tests {
		got, err := Arithmetic(test.op, parse(t, test.a), parse(t, test.b))
		if err != nil {
			t.Errorf("%s %s %s: %v", test.a, test.op, test.b, err)
			continue
		}
		if !strings.HasPrefix(Compact(got), test.want) || !Equal(got, parse(t, test.want)) {
			t.Errorf("%s %s %s: got %s, want %s", test.a, test.op, test.b, Compact(got), test.want)
		}
	}
}

func TestArithmeticThatHasNoResultIsAnError(t *testing.T) {
	tests := []struct {
		a    any
		op   string
		b    any
		says string
	}{
		{int64(1), "/", int64(0), "division by zero"},
		{int64(1), "%", 0.0, "division by zero"},
		{parse(t, "1e400"), "/", math.Copysign(0, -1), "division by zero"},
		{1.5, "%", int64(2), "two integers"},
		{"1", "+", int64(1), "two numbers, got string and number"},
		{nil, "*", int64(1), "two numbers, got null and number"},
		{1e308, "*", int64(10), "not a finite number"},
		{int64(10), "**", int64(400), "not a finite number"},
		{parse(t, "1e4000"), "*", parse(t, "1e4000"), "too many digits"},
		{parse(t, "1e-4000"), "*", parse(t, "1e-4000"), "too many digits"},
		{int64(1), "^", int64(1), "unknown operator"},
		{0.5, "^", int64(1), "unknown operator"},
		{parse(t, "1e400"), "^", int64(1), "unknown operator"},
	}
	for _, test := range tests {
		if got, err := Arithmetic(test.op, test.a, test.b); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v %s %v: got %v, %v; want an error with %q", test.a, test.op, test.b, got, err, test.says)
		}
	}
}

func TestDecimalArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Forty digits: always a Decimal.
		x := rapid.StringMatching(`-?[1-9][0-9]{20}\.[0-9]{18}[1-9]`).Draw(t, "x")
		y := drawNumber(t, "y")
		op := rapid.SampledFrom([]string{"+", "-", "*"}).Draw(t, "op")
		a, _ := ParseNumber(x)
		b, err := ParseNumber(y)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Arithmetic(op, a, b)
		if err != nil {
			t.Fatal(err)
		}
		want := new(big.Rat)
		switch op {
		case "+":
			want.Add(exact(t, x), exact(t, y))
		case "-":
			want.Sub(exact(t, x), exact(t, y))
		case "*":
			want.Mul(exact(t, x), exact(t, y))
		}
		if exact(t, Compact(got)).Cmp(want) != 0 {
			t.Fatalf("%s %s %s: got %s", x, op, y, Compact(got))
		}
	})
}

func TestIntegerArithmeticNeverWraps(t *testing.T) {
	edges := []int64{0, 1, -1, 2, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 32, -1 << 32}
	for _, x := range edges {
		for _, y := range edges {
			for op, want := range map[string]*big.Int{
				"+": new(big.Int).Add(big.NewInt(x), big.NewInt(y)),
				"-": new(big.Int).Sub(big.NewInt(x), big.NewInt(y)),
				"*": new(big.Int).Mul(big.NewInt(x), big.NewInt(y)),
			} {
				got, err := Arithmetic(op, x, y)
				if err != nil || Compact(got) != want.String() {
					t.Errorf("%d %s %d: got %v, %v; want %s", x, op, y, got, err, want)
				}
			}
		}
	}
}

func TestIsMultipleIsExact(t *testing.T) {
	tests := []struct {
		n, of string
		want  bool
	}{
		{"6", "3", true},
		{"7", "3", false},
		{"0", "3", true},
		{"-9223372036854775808", "-1", true},
		{"0.3", "0.1", true},
		{"19.99", "0.01", true},
		{"0.075", "0.01", false},
		{"1", "0.3", false},
		{"1e300", "1e-300", true},
		{"1e-300", "1e300", false},
		{"5", "0", false},
		{"5.5", "0.0", false},
		{"12345678901234567890.5", "0.5", true},
	}
	for _, test := range tests {
		if got := IsMultiple(parse(t, test.n), parse(t, test.of)); got != test.want {
			t.Errorf("%s of %s: got %v", test.n, test.of, got)
		}
	}
	if IsMultiple("6", int64(3)) {
		t.Error("a text is a multiple")
	}
}

func TestDecimalsKeepTheirTrailingZeros(t *testing.T) {
	for text, want := range map[string]string{"1.50": "1.50", "-0.00": "0.00", "100": "100", "1e3": "1000", "12e-1": "1.2", "0e5": "0", "1e50": "1e+50", "-5e-401": "-5e-401"} {
		d, err := ParseDecimal(text)
		if err != nil || d.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, d, err, want)
		}
	}
	d, _ := ParseDecimal("1.50")
	if !Equal(d, 1.5) || d.Float() != 1.5 {
		t.Error("1.50 is not 1.5")
	}
}
