package explain

import (
	"strings"

	"github.com/testmesh/testmesh/flow/report/text"
)

// maxLine is where paragraphs end: longer lines are hard to read.
const maxLine = 80

// Render shows a page in a terminal: of Markdown it knows headings, paragraphs,
// lists, tables, fences, `code` and **strong**, which is all that pages use.
func Render(page string, style text.Style) string {
	r := renderer{style: style, columns: maxLine}
	if style.Width > 0 {
		r.columns = max(40, min(maxLine, style.Width))
	}
	if style.ASCII {
		page = strings.NewReplacer("›", ">", "·", "-", "…", "...", "│", "|", "┌─", "+-", "→", "->",
			"✓", "ok", "✗", "FAIL", "↻", "FLKY", "○", "skip", "■", "STOP", "°", "s", "±", "~").Replace(page)
	}
	lines := strings.Split(strings.TrimSpace(page), "\n")
	for len(lines) > 0 {
		lines = r.block(lines)
	}
	return strings.TrimRight(r.out.String(), "\n") + "\n"
}

type renderer struct {
	out     strings.Builder
	style   text.Style
	columns int
}

// block takes one block off lines.
func (r *renderer) block(lines []string) []string {
	line := lines[0]
	switch {
	case strings.TrimSpace(line) == "":
		return lines[1:]
	case strings.HasPrefix(line, "#"):
		r.out.WriteString(r.style.Strong(strings.TrimLeft(line, "# ")) + "\n\n")
		return lines[1:]
	case strings.HasPrefix(line, "```"):
		return r.fence(lines[1:])
	case strings.HasPrefix(line, "|"):
		return r.table(lines)
	}
	indent, first := "", ""
	if strings.HasPrefix(line, "- ") {
		indent, first = "    ", "  "+r.bullet()+" "
	}
	n := 1
	for n < len(lines) && continues(lines[n]) {
		n++
	}
	paragraph := strings.TrimPrefix(strings.Join(lines[:n], " "), "- ")
	for i, l := range wrap(strings.Join(strings.Fields(paragraph), " "), r.columns-len(indent)) {
		if i == 0 {
			r.out.WriteString(first + r.inline(l) + "\n")
		} else {
			r.out.WriteString(indent + r.inline(l) + "\n")
		}
	}
	if n == len(lines) || !strings.HasPrefix(lines[n], "- ") || indent == "" {
		r.out.WriteString("\n")
	}
	return lines[n:]
}

func (r *renderer) bullet() string {
	if r.style.ASCII {
		return "*"
	}
	return "•"
}

// continues tells whether a line belongs to the paragraph above it.
func continues(line string) bool {
	return strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "- ") &&
		!strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "|")
}

func (r *renderer) fence(lines []string) []string {
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			r.out.WriteString("\n")
			return lines[i+1:]
		}
		r.out.WriteString(strings.TrimRight("    "+line, " ") + "\n")
	}
	return nil
}

// table prints aligned columns without the lines of Markdown.
func (r *renderer) table(lines []string) []string {
	var rows [][]string
	var widths []int
	n := 0
	for ; n < len(lines) && strings.HasPrefix(lines[n], "|"); n++ {
		if strings.Trim(lines[n], "|-: ") == "" {
			continue
		}
		var row []string
		for i, cell := range strings.Split(strings.Trim(strings.TrimSpace(lines[n]), "|"), "|") {
			cell = strings.TrimSpace(cell)
			row = append(row, cell)
			if len(widths) <= i {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], text.Columns(plain(cell)))
		}
		rows = append(rows, row)
	}
	for i, row := range rows {
		r.row(row, widths, i == 0)
	}
	r.out.WriteString("\n")
	return lines[n:]
}

// row prints the cells of one row; the last one wraps below itself.
func (r *renderer) row(cells []string, widths []int, head bool) {
	line, at := "  ", 2
	for i, cell := range cells {
		shown := r.inline(cell)
		if head {
			shown = r.style.Strong(plain(cell))
		}
		if i < len(cells)-1 {
			fill := widths[i] + 2 - text.Columns(plain(cell))
			line += shown + strings.Repeat(" ", fill)
			at += widths[i] + 2
			continue
		}
		if head {
			line += shown
			break
		}
		for n, part := range wrap(cell, max(r.columns-at, 24)) {
			if n > 0 {
				line += "\n" + strings.Repeat(" ", at)
			}
			line += r.inline(part)
		}
	}
	r.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

// inline shows `code` and **strong**. Without colour, code keeps its ticks only
// where it would be unclear where it ends.
func (r *renderer) inline(s string) string {
	if !r.style.Color {
		return plain(s)
	}
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			part = r.style.Accent(part)
		} else {
			for j, piece := range strings.Split(part, "**") {
				if j%2 == 1 {
					piece = r.style.Strong(piece)
				}
				b.WriteString(piece)
			}
			continue
		}
		b.WriteString(part)
	}
	return b.String()
}

// plain is a text without its marks; code with a blank in it keeps them, since
// nothing else would show where it ends.
func plain(s string) string {
	s = strings.ReplaceAll(s, "**", "")
	parts := strings.Split(s, "`")
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 && strings.Contains(part, " ") {
			part = "`" + part + "`"
		}
		b.WriteString(part)
	}
	return b.String()
}

// wrap breaks at blanks, but not in `code`.
func wrap(s string, columns int) []string {
	var out []string
	line, used, code := "", 0, false
	for _, word := range strings.Split(s, " ") {
		n := text.Columns(plain(word))
		if line != "" && used+1+n > columns && !code {
			out = append(out, line)
			line, used = "", 0
		}
		if line != "" {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
		if strings.Count(word, "`")%2 == 1 {
			code = !code
		}
	}
	return append(out, line)
}
