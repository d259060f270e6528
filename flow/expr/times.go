package expr

import "time"

// timeArithmetic computes with times and durations.
func timeArithmetic(op string, l, r any) (any, bool) {
	switch x := l.(type) {
	case time.Time:
		switch y := r.(type) {
		case time.Time:
			if op == "-" {
				return x.Sub(y), true
			}
		case time.Duration:
			switch op {
			case "+":
				return x.Add(y), true
			case "-":
				return x.Add(-y), true
			}
		}
	case time.Duration:
		switch y := r.(type) {
		case time.Time:
			if op == "+" {
				return y.Add(x), true
			}
		case time.Duration:
			switch op {
			case "+":
				return x + y, true
			case "-":
				return x - y, true
			}
		}
	}
	return nil, false
}

// compareTimes orders two times or durations; text on one side is read as one.
func compareTimes(a, b any) (int, bool) {
	switch x := a.(type) {
	case time.Time:
		if y, ok := asTime(b); ok {
			return x.Compare(y), true
		}
	case time.Duration:
		if y, ok := asDuration(b); ok {
			return int(min(max(x-y, -1), 1)), true
		}
	case string:
		switch b.(type) {
		case time.Time, time.Duration:
			order, ok := compareTimes(b, a)
			return -order, ok
		}
	}
	return 0, false
}

func asTime(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case string:
		t, err := time.Parse(time.RFC3339, v)
		return t, err == nil
	}
	return time.Time{}, false
}

func asDuration(v any) (time.Duration, bool) {
	switch v := v.(type) {
	case time.Duration:
		return v, true
	case string:
		d, err := time.ParseDuration(v)
		return d, err == nil
	}
	return 0, false
}
