package syntax

import (
	"fmt"
	"sort"
	"strings"
)

// idFrom makes an id of any text: lower case, with _ for what an id cannot hold.
func idFrom(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return strings.Trim(b.String(), "_")
}

// generateIDs gives the steps without an id theirs: the action, and its number
// among the unnamed steps of that action in the order of the file. A taken id is
// passed over.
func (p *parser) generateIDs() {
	sort.SliceStable(p.unnamed, func(i, j int) bool {
		a, b := p.unnamed[i].Pos, p.unnamed[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	next := map[string]int{}
	for _, s := range p.unnamed {
		stem := strings.ReplaceAll(idFrom(s.Action.Value), "-", "_")
		if stem == "" || stem[0] < 'a' || stem[0] > 'z' {
			stem = "step"
		}
		if len(stem) > maxIDLength-6 { // room for _1000
			stem = stem[:maxIDLength-6]
		}
		for {
			next[stem]++
			id := fmt.Sprintf("%s_%d", stem, next[stem])
			if _, taken := p.ids[id]; taken {
				continue
			}
			s.ID = Field[string]{Value: id, Pos: s.Pos}
			p.ids[id] = s.Pos
			p.ed.id(s)
			break
		}
	}
}
