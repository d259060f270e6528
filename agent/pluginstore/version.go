package pluginstore

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// ValidVersion says whether text is a version of semver.org 2.0, without a v.
func ValidVersion(text string) bool {
	// x/mod takes v1 and v1.2 too, and build metadata away.
	core, _, _ := strings.Cut(text, "-")
	core, _, _ = strings.Cut(core, "+")
	return strings.Count(core, ".") == 2 && len(text) <= 60 && semver.IsValid("v"+text)
}

// CompareVersions is negative, zero or positive as a is older than, as old as or
// newer than b.
func CompareVersions(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// Wanted is a plugin as a person asks for it: tcp, tcp@1.4.0, tcp@^1.2, tcp@~1.2,
// tcp@>=1.2, tcp@latest.
type Wanted struct {
	Name string
	// Range as written; "" and "latest" are the newest release.
	Range string

	exact    string
	from, to string // from <= version < to; "" is no bound
}

// ParseWanted reads NAME or NAME@RANGE.
func ParseWanted(text string) (Wanted, error) {
	name, spec, given := strings.Cut(text, "@")
	w := Wanted{Name: name, Range: spec}
	if !ValidName(name) {
		return w, fmt.Errorf("%q cannot be the name of a plugin: lower-case letters, digits and _", name)
	}
	bad := fmt.Errorf("%q is not a version or range: write %s@1.4.0, %s@^1.2, %s@~1.2, %s@>=1.2 or %s@latest", spec, name, name, name, name, name)
	switch {
	case !given || spec == "latest":
		return w, nil
	case strings.HasPrefix(spec, "^"), strings.HasPrefix(spec, "~"):
		parts, ok := padded(spec[1:])
		if !ok {
			return w, bad
		}
		w.from, w.to = parts.text, parts.next(spec[0] == '^')
	case strings.HasPrefix(spec, ">="):
		parts, ok := padded(spec[2:])
		if !ok {
			return w, bad
		}
		w.from = parts.text
	case ValidVersion(strings.TrimPrefix(spec, "=")):
		w.exact = strings.TrimPrefix(spec, "=")
	default:
		return w, bad
	}
	return w, nil
}

// bound is the lower bound of a range, of one to three numbers.
type bound struct {
	text    string
	numbers [3]int
	given   int
}

func padded(text string) (bound, bool) {
	core, rest, pre := strings.Cut(text, "-")
	b := bound{given: 1 + strings.Count(core, ".")}
	if b.given > 3 || pre && b.given < 3 {
		return b, false
	}
	parts := strings.Split(core, ".")
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || strconv.Itoa(n) != part {
			return b, false
		}
		b.numbers[i] = n
	}
	b.text = fmt.Sprintf("%d.%d.%d", b.numbers[0], b.numbers[1], b.numbers[2])
	if pre {
		b.text += "-" + rest
	}
	return b, ValidVersion(b.text)
}

// next is the first version past the range: for ^ where the leftmost number that
// is not zero changes, for ~ where the second does.
func (b bound) next(caret bool) string {
	major, minor, patch := b.numbers[0], b.numbers[1], b.numbers[2]
	switch {
	case caret && (major > 0 || b.given == 1), !caret && b.given == 1:
		major, minor, patch = major+1, 0, 0
	case !caret || minor > 0 || b.given == 2:
		minor, patch = minor+1, 0
	default:
		patch++
	}
	return fmt.Sprintf("%d.%d.%d-0", major, minor, patch) // before its pre-releases too
}

// Fits says whether a version is one of those asked for. A pre-release is only
// where the range names one of the same three numbers.
func (w Wanted) Fits(version string) bool {
	if w.exact != "" {
		return w.exact == version
	}
	if w.from != "" && CompareVersions(version, w.from) < 0 || w.to != "" && CompareVersions(version, w.to) >= 0 {
		return false
	}
	if semver.Prerelease("v"+version) == "" {
		return true
	}
	return semver.Prerelease("v"+w.from) != "" && core(version) == core(w.from)
}

func core(version string) string {
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, "-")
	return version
}

// String is the plugin as asked for.
func (w Wanted) String() string {
	if w.Range == "" {
		return w.Name
	}
	return w.Name + "@" + w.Range
}
