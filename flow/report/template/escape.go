package template

import (
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

// escapes are the formats that a template may be in. What a placeholder gives is
// data in them, never markup; control characters are gone already.
var escapes = [...]struct {
	name   string
	escape func(string) string
}{
	{"none", func(s string) string { return s }},
	{"html", markup},
	{"xml", markup},
	{"markdown", markdown},
	{"json", jsonText},
	{"csv", csvCell},
}

func formats() []string {
	out := make([]string, len(escapes))
	for i, f := range escapes {
		out[i] = f.name
	}
	return out
}

// markup is s in the text of an element or in a quoted attribute.
func markup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s)
}

// markdown is s by character references (CommonMark 0.31 section 2.5), which no
// rule of Markdown takes for structure, and which an element such as <pre> shows
// as well. A line feed is one, too, so that s stays in its cell or item.
func markdown(s string) string {
	s = strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "\n", "&#10;", "\t", "&#9;",
		`\`, "&#92;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "]", "&#93;", "|", "&#124;", "~", "&#126;", "$", "&#36;", "@", "&#64;",
	).Replace(s)
	// What begins a block does so only where a line begins.
	if s != "" && strings.ContainsRune("#+-= ", rune(s[0])) {
		return "&#" + strconv.Itoa(int(s[0])) + ";" + s[1:]
	}
	// An item of a list is a number, a mark and a blank.
	rest := strings.TrimLeft(s, "0123456789")
	digits := len(s) - len(rest)
	if digits > 0 && rest != "" && strings.ContainsRune(".)", rune(rest[0])) && (len(rest) == 1 || rest[1] == ' ' || rest[1] == '&') {
		return s[:digits] + "&#" + strconv.Itoa(int(rest[0])) + ";" + rest[1:]
	}
	return s
}

// jsonText is s inside of the quotes of a JSON string.
func jsonText(s string) string {
	quoted := value.Compact(s)
	return quoted[1 : len(quoted)-1]
}

// csvCell is s as a cell (RFC 4180), which is never a formula.
func csvCell(s string) string {
	if _, err := value.ParseNumber(s); err != nil {
		s = plain.Cell(s)
	}
	if strings.ContainsAny(s, ",;\t\"\r\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}
