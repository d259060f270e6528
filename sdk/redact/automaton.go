package redact

import (
	"cmp"
	"slices"
)

// denseStates is how many states nearest to the root have a full row of
// transitions: ordinary text stays among them, one load a byte, and their table
// stays within a processor's cache.
const denseStates = 256

// automaton is Aho and Corasick's: after each byte its state is the longest
// prefix of any form that the text ends with. States are numbered breadth
// first, so the children of a state are neighbours and a fail link always leads
// to a smaller number.
type automaton struct {
	first  []int32 // the first child of a state; its children end where the next state's begin
	label  []byte  // the byte that leads to a state
	fail   []int32 // the longest proper suffix that is a state
	depth  []int32 // the length of the prefix, while growing
	reach  []int32 // the length of the longest suffix that may yet become a form
	outLen []int32 // the length of the longest form that ends here, 0: none
	out    []int32 // the secret of that form
	dense  []int32 // 256 transitions for each of the first states
	rows   int32   // how many states have such transitions
	masks  []string
}

// form is one text that gives a secret away.
type form struct {
	text   string
	secret int32
}

// newAutomaton compiles the forms of all secrets, in time proportional to their
// bytes. Where two secrets share a form the earlier one has it.
func newAutomaton(secrets []secret) *automaton {
	a := &automaton{}
	var forms []form
	for i, s := range secrets {
		a.masks = append(a.masks, s.mask)
		for _, text := range s.forms {
			forms = append(forms, form{text: text, secret: int32(i)})
		}
	}
	slices.SortFunc(forms, func(x, y form) int {
		return cmp.Or(cmp.Compare(x.text, y.text), cmp.Compare(x.secret, y.secret))
	})
	forms = slices.CompactFunc(forms, func(x, y form) bool { return x.text == y.text })
	a.grow(forms)
	a.link()
	a.depth = nil
	return a
}

// grow numbers the states: sorted forms that share a prefix are neighbours, so a
// state is a range of them.
func (a *automaton) grow(forms []form) {
	type bounds struct{ low, high int32 }
	ranges := []bounds{{0, int32(len(forms))}}
	a.add(0, 0)
	for s := 0; s < len(ranges); s++ {
		low, high, depth := ranges[s].low, ranges[s].high, int(a.depth[s])
		a.first = append(a.first, int32(len(ranges)))
		// The form that ends here sorts before the longer ones; equal ones are gone.
		if low < high && len(forms[low].text) == depth && depth > 0 {
			a.outLen[s], a.out[s] = int32(depth), forms[low].secret
			low++
		}
		for low < high {
			b, end := forms[low].text[depth], low+1
			for end < high && forms[end].text[depth] == b {
				end++
			}
			ranges = append(ranges, bounds{low, end})
			a.add(b, int32(depth+1))
			low = end
		}
	}
	a.first = append(a.first, int32(len(ranges)))
}

func (a *automaton) add(label byte, depth int32) {
	a.label = append(a.label, label)
	a.depth = append(a.depth, depth)
	a.fail = append(a.fail, 0)
	a.outLen = append(a.outLen, 0)
	a.out = append(a.out, 0)
}

// link sets fail links, inherited outputs and the dense rows, each state after
// all those nearer to the root.
func (a *automaton) link() {
	states := int32(len(a.label))
	a.rows = min(states, denseStates)
	a.dense = make([]int32, int(a.rows)*256)
	a.reach = make([]int32, states)
	for s := range states {
		if a.reach[s] = a.depth[s]; a.first[s] == a.first[s+1] {
			a.reach[s] = a.reach[a.fail[s]]
		}
		if s > 0 && a.outLen[s] == 0 {
			a.outLen[s], a.out[s] = a.outLen[a.fail[s]], a.out[a.fail[s]]
		}
		if s > 0 && s < a.rows {
			copy(a.dense[int(s)<<8:int(s+1)<<8], a.dense[int(a.fail[s])<<8:])
		}
		for c := a.first[s]; c < a.first[s+1]; c++ {
			if s > 0 {
				a.fail[c] = a.next(a.fail[s], a.label[c])
			}
			if s < a.rows {
				a.dense[int(s)<<8|int(a.label[c])] = c
			}
		}
	}
}

// next is the state after one more byte.
func (a *automaton) next(s int32, b byte) int32 {
	for s >= a.rows {
		for c, end := a.first[s], a.first[s+1]; c < end; c++ {
			if a.label[c] == b {
				return c
			}
		}
		s = a.fail[s]
	}
	return a.dense[int(s)<<8|int(b)]
}

// span is a stretch of text to be replaced by one mask.
type span struct {
	start, end int
	longest    int32 // the length of the form that names it
	secret     int32
}

// scanner follows one text through an automaton. open holds the stretches found
// and not yet taken out, apart from each other and in order. Forms that overlap
// become one stretch under the name of the longest, so that no rest of the
// others is left over.
type scanner struct {
	automaton *automaton
	state     int32
	pos       int
	open      []span
}

// feed reads more text.
func feed[T string | []byte](sc *scanner, text T) {
	a, state := sc.automaton, sc.state
	for i := range len(text) {
		if b := text[i]; state < a.rows {
			state = a.dense[int(state)<<8|int(b)]
		} else {
			state = a.next(state, b)
		}
		if length := a.outLen[state]; length > 0 {
			end := sc.pos + i + 1
			sc.cover(span{start: end - int(length), end: end, longest: length, secret: a.out[state]})
		}
	}
	sc.state = state
	sc.pos += len(text)
}

// cover adds a stretch. Only the longest form that ends at a byte is reported;
// the shorter ones are inside it.
func (sc *scanner) cover(add span) {
	n := len(sc.open)
	for n > 0 && add.start < sc.open[n-1].end {
		last := sc.open[n-1]
		add.start, add.end = min(add.start, last.start), max(add.end, last.end)
		if last.longest >= add.longest {
			add.longest, add.secret = last.longest, last.secret
		}
		n--
	}
	sc.open = append(sc.open[:n], add)
}

// settled is the position before which no form can begin any more.
func (sc *scanner) settled() int {
	return sc.pos - int(sc.automaton.reach[sc.state])
}
