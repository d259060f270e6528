package redact

// Span is a stretch of a text that gives a secret away.
type Span struct {
	Start, End int
	// Mask is the text that stands in for the secret, see Mask.
	Mask string
}

// Spans finds what Bytes would replace, for whoever replaces it in another way. A mask
// that stands there already is not among it.
func (m *Masker) Spans(p []byte) []Span {
	a := m.automaton()
	if a == nil {
		return nil
	}
	scan := scanner{automaton: a}
	feed(&scan, p)
	var list []Span
	for _, sp := range scan.open {
		if mask := a.masks[sp.secret]; string(p[sp.start:sp.end]) != mask {
			list = append(list, Span{sp.start, sp.end, mask})
		}
	}
	return list
}
