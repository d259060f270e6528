package schema

import (
	"errors"
	"fmt"
	"strings"
)

var errDate = errors.New("want year-month-day, such as 2026-02-28")

// checkDate is RFC 3339's full-date.
func checkDate(s string) error {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return errDate
	}
	year, okY := number(s[:4])
	month, okM := number(s[5:7])
	day, okD := number(s[8:])
	if !okY || !okM || !okD {
		return errDate
	}
	if month < 1 || month > 12 {
		return fmt.Errorf("there is no month %d", month)
	}
	if day < 1 || day > daysIn(year, month) {
		return fmt.Errorf("there is no day %d in month %d of %04d", day, month, year)
	}
	return nil
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// number reads ASCII digits only.
func number(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

var errTime = errors.New("want hour:minute:second and Z or an offset, such as 23:59:59Z")

// checkTime is RFC 3339's full-time. A leap second is one at 23:59:60 UTC.
func checkTime(s string) error {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return errTime
	}
	hour, okH := number(s[:2])
	minute, okM := number(s[3:5])
	second, okS := number(s[6:8])
	if !okH || !okM || !okS {
		return errTime
	}
	if hour > 23 || minute > 59 || second > 60 {
		return fmt.Errorf("there is no %s o'clock", s[:8])
	}
	rest := s[8:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 1 {
			return errTime
		}
		rest = rest[n:]
	}
	offset, err := offsetMinutes(rest)
	if err != nil {
		return err
	}
	if utc := (hour*60 + minute - offset + 2*24*60) % (24 * 60); second == 60 && utc != 23*60+59 {
		return errors.New("a leap second is only at 23:59:60 UTC")
	}
	return nil
}

func offsetMinutes(s string) (int, error) {
	if s == "Z" || s == "z" {
		return 0, nil
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, errTime
	}
	hour, okH := number(s[1:3])
	minute, okM := number(s[4:])
	if !okH || !okM {
		return 0, errTime
	}
	if hour > 23 || minute > 59 {
		return 0, fmt.Errorf("there is no offset %s", s)
	}
	if s[0] == '-' {
		return -hour*60 - minute, nil
	}
	return hour*60 + minute, nil
}

func checkDateTime(s string) error {
	if len(s) < 11 || s[10] != 'T' && s[10] != 't' {
		return errors.New("want date, T and time, such as 2026-02-28T23:59:59Z")
	}
	if err := checkDate(s[:10]); err != nil {
		return err
	}
	return checkTime(s[11:])
}

// checkDuration is the ISO 8601 duration of RFC 3339 appendix A: units in
// order without a gap, weeks alone.
func checkDuration(s string) error {
	wrong := errors.New("want an ISO 8601 duration, such as P1DT2H30M")
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return wrong
	}
	date, clock, hasClock := strings.Cut(rest, "T")
	if hasClock && !unitsIn(clock, "HMS") {
		return wrong
	}
	if unitsIn(date, "W") || unitsIn(date, "YMD") || date == "" && hasClock {
		if !hasClock || !strings.HasSuffix(date, "W") {
			return nil
		}
	}
	return wrong
}

// unitsIn tells whether s is numbers with neighbouring units in their order.
func unitsIn(s, units string) bool {
	from := -1
	for s != "" {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if n == 0 || n == len(s) {
			return false
		}
		at := strings.IndexByte(units, s[n])
		if at < 0 || from >= 0 && at != from+1 {
			return false
		}
		from, s = at, s[n+1:]
	}
	return from >= 0
}
