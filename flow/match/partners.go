package match

import (
	"fmt"

	"github.com/testmesh/testmesh/flow/source"
)

// MaxPartners bounds the lists of $contains and $unordered, whose comparison is
// quadratic.
const MaxPartners = 2000

// partners is {$contains: [...]} or {$unordered: [...]}: every pattern finds an
// element of its own.
type partners struct {
	pos       source.Pos
	items     []node
	unordered bool // and no element is left over
}

func (n *partners) where() source.Pos { return n.pos }

func (n *partners) written() string {
	if n.unordered {
		return fmt.Sprintf("$unordered list of %d", len(n.items))
	}
	return fmt.Sprintf("$contains list of %d", len(n.items))
}

func (n *partners) check(m *matching, path string, actual any, present bool) {
	have, ok := actual.([]any)
	switch {
	case !present || !ok:
		m.fail(n, path, actual, present, path+": want a list, "+got(actual))
		return
	case n.unordered && len(have) != len(n.items):
		m.fail(n, path, actual, true, fmt.Sprintf("%s: want %d elements in any order, got %d", path, len(n.items), len(have)))
		return
	case len(have) > MaxPartners || len(n.items) > MaxPartners:
		m.err = fmt.Errorf("match %s: a list of over %d elements cannot be compared in any order", path, MaxPartners)
		return
	}
	alone := n.pair(m, have)
	if m.err != nil {
		return
	}
	for _, i := range alone {
		m.fail(n.items[i], path, actual, true,
			fmt.Sprintf("%s: no element of its own for %s (pattern %d of %d)", path, n.items[i].written(), i+1, len(n.items)))
	}
}

// pair gives the patterns that find no partner in a largest assignment of
// patterns to different elements (augmenting paths).
func (n *partners) pair(m *matching, have []any) (alone []int) {
	fits := make([][]int, len(n.items))
	for i, item := range n.items {
		for j, v := range have {
			if m.matches(item, v) {
				fits[i] = append(fits[i], j)
			}
			if m.err != nil {
				return nil
			}
		}
	}
	owner := make([]int, len(have))
	for j := range owner {
		owner[j] = -1
	}
	seen := make([]int, len(have))
	var assign func(i, round int) bool
	assign = func(i, round int) bool {
		for _, j := range fits[i] {
			if seen[j] == round {
				continue
			}
			seen[j] = round
			if owner[j] < 0 || assign(owner[j], round) {
				owner[j] = i
				return true
			}
		}
		return false
	}
	for i := range n.items {
		if !assign(i, i+1) {
			alone = append(alone, i)
		}
	}
	return alone
}
