package expr

import (
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"

	"github.com/testmesh/testmesh/flow/value"
)

func timeFunctions() []function {
	out := []function{
		{name: "now", gives: kindTime, impure: true, times: true, do: now},
		{name: "duration", min: 1, max: 1, gives: kindDuration, times: true, do: duration},
		{name: "date", min: 1, max: 3, gives: kindTime, times: true, do: date},
		{name: "timezone", min: 1, max: 1, gives: value.String, do: timezone},
		{name: "parse_time", min: 1, max: 3, gives: kindTime, times: true, do: date},
		{name: "format_time", min: 2, max: 3, gives: value.String, times: true, method: true, do: formatTime},
		{name: "Format", min: 2, max: 2, gives: value.String, times: true, method: true, do: formatTime},
		{name: "In", min: 2, max: 2, gives: kindTime, times: true, method: true, do: in},
	}
	for name, of := range map[string]func(time.Time) any{
		"Year": func(t time.Time) any { return int64(t.Year()) }, "Month": func(t time.Time) any { return int64(t.Month()) },
		"Day": func(t time.Time) any { return int64(t.Day()) }, "Hour": func(t time.Time) any { return int64(t.Hour()) },
		"Minute": func(t time.Time) any { return int64(t.Minute()) }, "Second": func(t time.Time) any { return int64(t.Second()) },
		"YearDay": func(t time.Time) any { return int64(t.YearDay()) }, "Weekday": func(t time.Time) any { return t.Weekday().String() },
		"Unix": func(t time.Time) any { return t.Unix() }, "UnixMilli": func(t time.Time) any { return t.UnixMilli() },
		"UTC": func(t time.Time) any { return t.UTC() },
	} {
		out = append(out, timeMethod(name, of))
	}
	for name, of := range map[string]func(time.Duration) any{
		"Hours": func(d time.Duration) any { return d.Hours() }, "Minutes": func(d time.Duration) any { return d.Minutes() },
		"Seconds": func(d time.Duration) any { return d.Seconds() }, "Milliseconds": func(d time.Duration) any { return d.Milliseconds() },
	} {
		out = append(out, durationMethod(name, of))
	}
	return out
}

func timeMethod(name string, of func(time.Time) any) function {
	return function{name: name, min: 1, max: 1, times: true, method: true, do: func(_ *evaluation, args []any) (any, error) {
		t, err := instant(name, args[0])
		if err != nil {
			return nil, err
		}
		return of(t), nil
	}}
}

func durationMethod(name string, of func(time.Duration) any) function {
	return function{name: name, min: 1, max: 1, gives: value.Number, times: true, method: true, do: func(_ *evaluation, args []any) (any, error) {
		d, ok := asDuration(args[0])
		if !ok {
			return nil, valueErrorf("%s needs a duration, got %s", name, describe(args[0]))
		}
		return normalized(of(d))
	}}
}

func normalized(v any) (any, error) {
	n, err := value.Normalize(v)
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	return n, nil
}

// now is the time in UTC.
func now(e *evaluation, _ []any) (any, error) {
	if e.env.Now == nil {
		return nil, valueErrorf("there is no clock here")
	}
	return e.env.Now().UTC(), nil
}

// instant reads a time: a time, RFC 3339 or a date, or seconds since 1970.
func instant(who string, v any) (time.Time, error) {
	if t, ok := asTime(v); ok {
		return t, nil
	}
	if s, ok := v.(string); ok {
		if t, err := parseAny(s, time.UTC); err == nil {
			return t, nil
		}
	}
	if n, ok := value.Int(v); ok && kindOf(v) == value.Number {
		return time.Unix(n, 0).UTC(), nil
	}
	return time.Time{}, valueErrorf("%s needs a time such as \"2026-01-31T12:00:00Z\", got %s", who, describe(v))
}

// layouts are the forms that a time is read in without being told.
var layouts = [...]string{
	time.RFC3339, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	time.DateOnly, time.TimeOnly, time.RFC1123, time.RFC1123Z, time.RFC850, time.RFC822, time.RFC822Z,
}

func parseAny(s string, zone *time.Location) (time.Time, error) {
	var first error
	for _, layout := range layouts {
		t, err := time.ParseInLocation(layout, s, zone)
		if err == nil {
			return t, nil
		}
		if first == nil {
			first = err
		}
	}
	return time.Time{}, first
}

func duration(_ *evaluation, args []any) (any, error) {
	d, ok := asDuration(args[0])
	if !ok {
		return nil, valueErrorf("duration needs a text such as \"1h30m\", got %s", describe(args[0]))
	}
	return d, nil
}

// date is date(text), date(text, format) or date(text, format, zone), and
// parse_time by another name.
func date(e *evaluation, args []any) (any, error) {
	if len(args) == 1 {
		return instantAny(args[0])
	}
	s, err := text("date", args, 0)
	if err != nil {
		return nil, err
	}
	format, err := text("date", args, 1)
	if err != nil {
		return nil, err
	}
	zone := time.UTC
	if len(args) == 3 {
		if zone, err = location(e, args, 2); err != nil {
			return nil, err
		}
	}
	t, err := parseWith(s, format, zone)
	if err != nil {
		return nil, valueErrorf("%s is not a time of the form %q: %s", describe(s), cut(format, maxShown), err)
	}
	return t, nil
}

func instantAny(v any) (any, error) {
	t, err := instant("date", v)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func location(e *evaluation, args []any, i int) (*time.Location, error) {
	name, err := text("a time zone", args, i)
	if err != nil {
		return nil, err
	}
	if name == "UTC" {
		return time.UTC, nil
	}
	if e.env.Zone == nil {
		return nil, valueErrorf("no time zone but UTC is known here")
	}
	zone, err := e.env.Zone(name)
	if err != nil || zone == nil || name == "Local" || name == "" {
		return nil, valueErrorf("unknown time zone %q; write one such as \"Europe/Zurich\" or \"UTC\"", cut(name, maxShown))
	}
	return zone, nil
}

func timezone(e *evaluation, args []any) (any, error) {
	if _, err := location(e, args, 0); err != nil {
		return nil, err
	}
	return args[0], nil
}

// named are formats by name.
func named(format string) (string, bool) {
	switch strings.ToLower(format) {
	case "rfc3339", "iso8601", "iso":
		return time.RFC3339, true
	case "rfc3339nano":
		return time.RFC3339Nano, true
	case "rfc1123", "http":
		return "Mon, 02 Jan 2006 15:04:05 GMT", true
	case "rfc1123z":
		return time.RFC1123Z, true
	case "rfc822":
		return time.RFC822, true
	case "date":
		return time.DateOnly, true
	case "time":
		return time.TimeOnly, true
	case "datetime":
		return time.DateTime, true
	}
	return "", false
}

// layout is the Go layout that a format means. One that would print the same
// for every time is refused, since it is meant in another notation.
func layout(format string) (string, error) {
	if l, ok := named(format); ok {
		return l, nil
	}
	a := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	b := time.Date(2012, 11, 30, 22, 57, 48, 999, time.UTC)
	if a.Format(format) == b.Format(format) {
		return "", valueErrorf("%q names no part of a time; write 2006-01-02 15:04:05, %%Y-%%m-%%d %%H:%%M:%%S or rfc3339", cut(format, maxShown))
	}
	return format, nil
}

func parseWith(s, format string, zone *time.Location) (time.Time, error) {
	switch {
	case strings.Contains(format, "%"):
		return timefmt.ParseInLocation(s, format, zone)
	case format == "unix" || format == "unix_ms":
		n, err := strconv.ParseInt(s, 10, 64)
		if format == "unix" {
			return time.Unix(n, 0).UTC(), err
		}
		return time.UnixMilli(n).UTC(), err
	}
	l, err := layout(format)
	if err != nil {
		return time.Time{}, err
	}
	return time.ParseInLocation(l, s, zone)
}

// maxFormat bounds what a time is printed as.
const maxFormat = 1000

// formatTime is format_time(time, format, zone): a name (rfc3339, http, date,
// unix …), strftime's notation (%Y-%m-%d) or Go's (2006-01-02).
func formatTime(e *evaluation, args []any) (any, error) {
	t, err := instant("format_time", args[0])
	if err != nil {
		return nil, err
	}
	format, err := text("format_time", args, 1)
	if err != nil {
		return nil, err
	}
	if len(format) > maxFormat {
		return nil, valueErrorf("a format of %d bytes; at most %d are allowed", len(format), maxFormat)
	}
	if len(args) == 3 {
		zone, err := location(e, args, 2)
		if err != nil {
			return nil, err
		}
		t = t.In(zone)
	}
	switch {
	case format == "unix":
		return strconv.FormatInt(t.Unix(), 10), nil
	case format == "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10), nil
	case strings.Contains(format, "%"):
		return timefmt.Format(t, format), nil
	}
	l, err := layout(format)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(l, "GMT") {
		t = t.UTC()
	}
	return t.Format(l), nil
}

// in is x.In("Europe/Zurich").
func in(e *evaluation, args []any) (any, error) {
	t, err := instant("In", args[0])
	if err != nil {
		return nil, err
	}
	zone, err := location(e, args, 1)
	if err != nil {
		return nil, err
	}
	return t.In(zone), nil
}
