package setting

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a pflag.Value that can be emptied, and of which the environment can hold
// several.
type value interface {
	String() string
	Set(text string) error
	Type() string
	reset()
	// split gives the parts of a variable's text, each for one Set.
	split(text string) []string
	// plain is the value for a YAML file.
	plain() any
}

// String is a text.
func (t *Table) String(to *string, s Spec) { t.add(s, (*text)(to)) }

// Bool is a switch.
func (t *Table) Bool(to *bool, s Spec) { t.add(s, (*boolean)(to)) }

// Int is a whole number between two bounds.
func (t *Table) Int(to *int, low, high int, s Spec) { t.add(s, &integer{to, low, high}) }

// Duration is a time of at least low: 500ms, 30s, 5m, 2h.
func (t *Table) Duration(to *time.Duration, low time.Duration, s Spec) {
	t.add(s, &duration{to, low})
}

// List are texts: a repeated flag, commas in a variable, a list in the file.
func (t *Table) List(to *[]string, s Spec) { t.add(s, (*list)(to)) }

// Map are texts by name: NAME=VALUE in flags and variables, a mapping in the file.
func (t *Table) Map(to *map[string]string, s Spec) { t.add(s, (*table)(to)) }

type text string

func (v *text) String() string        { return string(*v) }
func (v *text) Set(s string) error    { *v = text(s); return nil }
func (*text) Type() string            { return "string" }
func (v *text) reset()                { *v = "" }
func (*text) split(s string) []string { return []string{s} }
func (v *text) plain() any            { return string(*v) }

type boolean bool

func (v *boolean) String() string { return strconv.FormatBool(bool(*v)) }
func (v *boolean) Set(s string) error {
	switch s {
	case "true", "yes", "on", "1":
		*v = true
	case "false", "no", "off", "0":
		*v = false
	default:
		return fmt.Errorf("%q is neither true nor false", s)
	}
	return nil
}
func (*boolean) Type() string            { return "bool" }
func (v *boolean) reset()                { *v = false }
func (*boolean) split(s string) []string { return []string{s} }
func (v *boolean) plain() any            { return bool(*v) }

type integer struct {
	to        *int
	low, high int
}

func (v *integer) String() string { return strconv.Itoa(*v.to) }
func (v *integer) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is no whole number", s)
	}
	if n < v.low || n > v.high {
		return fmt.Errorf("%d is not between %d and %d", n, v.low, v.high)
	}
	*v.to = n
	return nil
}
func (*integer) Type() string            { return "int" }
func (v *integer) reset()                { *v.to = 0 }
func (*integer) split(s string) []string { return []string{s} }
func (v *integer) plain() any            { return *v.to }

type duration struct {
	to  *time.Duration
	low time.Duration
}

func (v *duration) String() string { return v.to.String() }
func (v *duration) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no time: write one like 500ms, 30s, 5m or 2h", s)
	}
	if d < v.low {
		return fmt.Errorf("%s is less than %s", d, v.low)
	}
	*v.to = d
	return nil
}
func (*duration) Type() string            { return "duration" }
func (v *duration) reset()                { *v.to = 0 }
func (*duration) split(s string) []string { return []string{s} }
func (v *duration) plain() any            { return v.to.String() }

type list []string

func (v *list) String() string        { return strings.Join(*v, ",") }
func (v *list) Set(s string) error    { *v = append(*v, s); return nil }
func (*list) Type() string            { return "strings" }
func (v *list) reset()                { *v = nil }
func (*list) split(s string) []string { return parts(s) }
func (v *list) plain() any            { return []string(*v) }

func parts(s string) []string {
	out := strings.Split(s, ",")
	for i, one := range out {
		out[i] = strings.TrimSpace(one)
	}
	return out
}

type table map[string]string

func (v *table) String() string {
	return strings.Join(said(v), ",")
}

func (v *table) Set(s string) error {
	name, one, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is no NAME=VALUE", s)
	}
	if *v == nil {
		*v = table{}
	}
	(*v)[name] = one
	return nil
}
func (*table) Type() string            { return "name=value" }
func (v *table) reset()                { *v = nil }
func (*table) split(s string) []string { return parts(s) }
func (v *table) plain() any            { return map[string]string(*v) }

// said are the texts that make a value, each for one Set.
func said(v value) []string {
	switch v := v.(type) {
	case *list:
		return *v
	case *table:
		var out []string
		for _, k := range slices.Sorted(maps.Keys(*v)) {
			out = append(out, k+"="+(*v)[k])
		}
		return out
	default:
		return []string{v.String()}
	}
}
