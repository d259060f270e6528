package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/testmesh/testmesh/flow/value"
)

// adopt makes of what a plugin in this process gave what its JSON would be read
// as, in place where it is a map or a list.
func adopt(v any) (any, error) {
	var err error
	switch x := v.(type) {
	case nil, bool, int64, string:
		return v, nil
	case float64:
		return adoptFloat(x)
	case json.RawMessage:
		return value.DecodeLenient(x)
	case []any:
		for i, e := range x {
			if x[i], err = adopt(e); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return v, nil
	case map[string]any:
		for k, e := range x {
			if x[k], err = adopt(e); err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
		}
		return v, nil
	}
	return nil, fmt.Errorf("a %T is no value", v)
}

// adoptFloat reads a float as its shortest JSON is read: 3.0 prints as 3, which
// is an integer.
func adoptFloat(f float64) (any, error) {
	const exact, exponents = 1 << 53, 1e21 // from the latter on numbers print with an exponent
	switch size := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, fmt.Errorf("%v is no number of JSON", f)
	case f != math.Trunc(f) || size >= exponents || f == 0 && math.Signbit(f):
		return f, nil
	case size <= exact:
		return int64(f), nil
	}
	return value.ParseNumber(strconv.FormatFloat(f, 'f', -1, 64))
}
