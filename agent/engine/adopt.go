package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// adopt makes of what a plugin in this process gave as a field what its JSON
// would be read as, in place where it is a map or a list, and counts in size
// about how many bytes it prints as. changed tells that made is not v.
func adopt(v any, size *int) (made any, changed bool, err error) {
	switch x := v.(type) {
	case nil, bool, int64:
		*size += 8
		return v, false, nil
	case string:
		*size += len(x) + 2
		return v, false, nil
	case float64:
		*size += 8
		return adoptFloat(v, x)
	case json.RawMessage:
		*size += len(x)
		made, err = value.DecodeLenient(x)
		return made, true, err
	case []any:
		*size += len(x) + 2
		for i, e := range x {
			if made, changed, err = adopt(e, size); err != nil {
				return nil, false, fmt.Errorf("[%d]: %w", i, err)
			}
			if changed {
				x[i] = made
			}
		}
		return v, false, nil
	case plugin.Values:
		*size += 2 + usualMember*len(x)
		return map[string]any(x), true, nil
	case map[string]any:
		*size += 2
		for k, e := range x {
			*size += len(k) + 4
			if made, changed, err = adopt(e, size); err != nil {
				return nil, false, fmt.Errorf("%s: %w", k, err)
			}
			if changed {
				x[k] = made
			}
		}
		return v, false, nil
	}
	return nil, false, fmt.Errorf("a %T is no value", v)
}

// usualMember is about what a member of plugin.Values prints as.
const usualMember = 32

// adoptFloat reads a float as its shortest JSON is read: 3.0 prints as 3, which
// is an integer.
func adoptFloat(v any, f float64) (made any, changed bool, err error) {
	const exact, exponents = 1 << 53, 1e21 // from the latter on numbers print with an exponent
	switch size := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, false, fmt.Errorf("%v is no number of JSON", f)
	case f != math.Trunc(f) || size >= exponents || f == 0 && math.Signbit(f):
		return v, false, nil
	case size <= exact:
		return int64(f), true, nil
	}
	made, err = value.ParseNumber(strconv.FormatFloat(f, 'f', -1, 64))
	return made, true, err
}
