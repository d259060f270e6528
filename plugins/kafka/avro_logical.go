package kafka

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
)

// Sizes of what Avro keeps as fixed.
const (
	durationSize = 12
	uuidSize     = 16
)

// maxDecimalText bounds a decimal as text, and maxExponent what e says in it:
// 1e999999999 would be a gigabyte of digits.
const (
	maxDecimalText = 1000
	maxExponent    = 1000
)

const (
	dateForm  = "2006-01-02"
	clockForm = "15:04:05.999999"
	localForm = "2006-01-02T15:04:05.999999"
)

// timeText is a number of days, milliseconds or microseconds as people write it.
// false: it is just a number.
func timeText(n int64, logical avro.LogicalType) (string, bool) {
	const day = 24 * 60 * 60
	switch logical {
	case avro.Date:
		return time.Unix(n*day, 0).UTC().Format(dateForm), true
	case avro.TimeMillis:
		return time.UnixMilli(n).UTC().Format(clockForm), n >= 0 && n < day*1e3
	case avro.TimeMicros:
		return time.UnixMicro(n).UTC().Format(clockForm), n >= 0 && n < day*1e6
	case avro.TimestampMillis:
		return time.UnixMilli(n).UTC().Format(time.RFC3339Nano), true
	case avro.TimestampMicros:
		return time.UnixMicro(n).UTC().Format(time.RFC3339Nano), true
	case avro.LocalTimestampMillis:
		return time.UnixMilli(n).UTC().Format(localForm), true
	case avro.LocalTimestampMicros:
		return time.UnixMicro(n).UTC().Format(localForm), true
	}
	return "", false
}

// timeNumber is the other way around.
func timeNumber(text string, logical avro.LogicalType) (int64, error) {
	form := map[avro.LogicalType]string{
		avro.Date: dateForm, avro.TimeMillis: clockForm, avro.TimeMicros: clockForm,
		avro.TimestampMillis: time.RFC3339Nano, avro.TimestampMicros: time.RFC3339Nano,
		avro.LocalTimestampMillis: localForm, avro.LocalTimestampMicros: localForm,
	}[logical]
	if form == "" {
		return 0, fmt.Errorf("is the text %q, and must be a whole number", text)
	}
	t, err := time.Parse(form, text)
	if err != nil {
		return 0, fmt.Errorf("is no %s: write %q as %s", logical, text, form)
	}
	switch logical {
	case avro.Date:
		return t.Unix() / (24 * 60 * 60), nil
	case avro.TimeMillis, avro.TimeMicros:
		t = time.Date(1970, 1, 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	}
	if strings.HasSuffix(string(logical), "micros") {
		return t.UnixMicro(), nil
	}
	return t.UnixMilli(), nil
}

// appendDecimal writes a two's complement number with so many digits behind the
// point.
func appendDecimal(out, data []byte, scale int) []byte {
	n := new(big.Int).SetBytes(data)
	if len(data) > 0 && data[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
	}
	digits := n.String()
	if n.Sign() < 0 {
		out, digits = append(out, '-'), digits[1:]
	}
	if scale <= 0 {
		return append(out, digits...)
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	point := len(digits) - scale
	return append(append(append(out, digits[:point]...), '.'), digits[point:]...)
}

// decimalBytes is the other way around. size is that of a fixed, 0 as short as
// may be.
func decimalBytes(text string, precision, scale, size int) ([]byte, error) {
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if e, err := strconv.Atoi(exponent); exponent != "" && (err != nil || e > maxExponent || e < -maxExponent) || len(text) > maxDecimalText {
		return nil, fmt.Errorf("is too long a number: %.40s", text)
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || strings.Contains(text, "/") {
		return nil, fmt.Errorf("must be a decimal number, not %q", text)
	}
	exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !exact.IsInt() {
		return nil, fmt.Errorf("has more than the %d digits behind the point that the schema keeps: %s", scale, text)
	}
	n := exact.Num()
	if digits := len(new(big.Int).Abs(n).String()); precision > 0 && digits > precision {
		return nil, fmt.Errorf("has %d digits, and the schema keeps %d: %s", digits, precision, text)
	}
	length := size
	if length == 0 {
		length = n.BitLen()/8 + 1
	}
	if n.BitLen()/8 >= length {
		return nil, fmt.Errorf("does not fit into the %d bytes of the schema: %s", size, text)
	}
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*length)))
	}
	return n.FillBytes(make([]byte, length)), nil
}

// appendDuration writes Avro's duration: months, days and milliseconds.
func appendDuration(out, data []byte) []byte {
	return fmt.Appendf(out, `{"months":%d,"days":%d,"millis":%d}`,
		binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:]))
}

func uuidText(data []byte) string {
	text := hex.EncodeToString(data)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
