// Package redact keeps secrets out of everything that leaves a process: logs,
// events, reports, files. A Masker is told the values; texts, values and streams
// that pass through it show ‹secret:NAME› wherever one stood, raw or encoded,
// whole or cut over several writes.
//
// The package never decides what is a secret, never keeps what passes through
// it longer than it must to recognise a secret, and never reads files, clocks or
// the environment.
package redact

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

const (
	// MinSecretChars is the shortest secret that can be masked: below it the
	// masks would hide more ordinary text than secrets.
	MinSecretChars = 4
	// MaxSecretBytes is the longest secret: the automaton costs about 25 times its
	// length, and keys, certificates and tokens are far below it.
	MaxSecretBytes = 64 << 10
	// maxFormBytes bounds the automaton of one Masker, at about 17 bytes of
	// memory for each, and the time it takes to make it.
	maxFormBytes = 32 << 20
	// maxNameBytes keeps a mask readable within a line.
	maxNameBytes = 64
)

// Masker replaces secrets. It may be used by any number of goroutines; secrets
// may be added at any time and are masked in everything that is passed in after
// Add has returned. The zero Masker is not usable: see New.
type Masker struct {
	count atomic.Int64
	// built is nil when a secret came since the automaton was made.
	built atomic.Pointer[automaton]

	mu        sync.Mutex
	secrets   []secret
	known     map[string]bool
	formBytes int
}

// secret is one registered value: what is shown in its place and every text
// that gives it away.
type secret struct {
	mask  string
	forms []string
}

// Refusal says why a secret cannot be masked. Its message names the secret and
// never holds its value.
type Refusal struct {
	Name   string
	Reason string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("secret %q cannot be masked: %s", r.Name, r.Reason)
}

// New gives a Masker that knows no secret yet.
func New() *Masker {
	return &Masker{known: map[string]bool{}}
}

// Mask is the text that stands in for the secret of that name. It is the same
// inside JSON, XML and URLs: characters of the name other than letters, digits
// and `_-./` are shown as `_`.
func Mask(name string) string {
	if len(name) > maxNameBytes {
		name = name[:maxNameBytes]
	}
	clean := strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isAlphanumeric(byte(r)) || strings.ContainsRune("_-./", r)) {
			return r
		}
		return '_'
	}, name)
	return "‹secret:" + clean + "›"
}

// Add registers a secret. A value that cannot be masked is refused with a
// *Refusal; it is then not masked at all, so the caller must not use it as a
// secret. A value known already keeps its first name.
func (m *Masker) Add(name, value string) error {
	if reason := refusal(value); reason != "" {
		return &Refusal{Name: name, Reason: reason}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[value] {
		return nil
	}
	mask := Mask(name)
	// The mask is a form of its own secret, the longest wins and is replaced by
	// itself: masking what is masked already changes nothing.
	forms := append(formsOf(value), mask)
	size := 0
	for _, form := range forms {
		size += len(form)
	}
	if m.formBytes+size > maxFormBytes {
		return &Refusal{Name: name, Reason: fmt.Sprintf("the %d secrets known already fill the table of secrets", len(m.secrets))}
	}
	m.formBytes += size
	m.known[value] = true
	m.secrets = append(m.secrets, secret{mask: mask, forms: forms})
	m.built.Store(nil)
	m.count.Store(int64(len(m.secrets)))
	return nil
}

// refusal is the reason why a value cannot be masked, or "". White space at the
// ends does not count: files end in a line feed, and a secret of blanks would
// mask every indentation.
func refusal(value string) string {
	switch chars := utf8.RuneCountInString(strings.TrimSpace(value)); {
	case len(value) > MaxSecretBytes:
		return fmt.Sprintf("it is %d bytes long, the limit is %d", len(value), MaxSecretBytes)
	case value == "":
		return fmt.Sprintf("it is empty; a secret needs at least %d characters", MinSecretChars)
	case chars == 0:
		return "it is only white space"
	case chars < MinSecretChars:
		return fmt.Sprintf("it has %d of the at least %d characters a secret needs (white space at its ends not counted)", chars, MinSecretChars)
	}
	return ""
}

// Empty tells whether no secret is registered: then every method hands back what
// it was given, at no cost.
func (m *Masker) Empty() bool { return m.count.Load() == 0 }

// automaton is the one for all secrets known now, nil when there are none.
func (m *Masker) automaton() *automaton {
	if m.Empty() {
		return nil
	}
	if a := m.built.Load(); a != nil {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.built.Load(); a != nil {
		return a
	}
	a := newAutomaton(m.secrets)
	m.built.Store(a)
	return a
}

// String masks a whole text. A secret cut at an end of s is not recognised, so
// mask first and shorten later. Without a secret in it, s itself is returned.
func (m *Masker) String(s string) string {
	a := m.automaton()
	if a == nil {
		return s
	}
	scan := scanner{automaton: a}
	feed(&scan, s)
	if len(scan.open) == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	last := 0
	for _, sp := range scan.open {
		b.WriteString(s[last:sp.start])
		b.WriteString(a.masks[sp.secret])
		last = sp.end
	}
	b.WriteString(s[last:])
	return b.String()
}

// Bytes masks a whole text like String. Without a secret in it, p itself is
// returned, else a new slice; p is never changed.
func (m *Masker) Bytes(p []byte) []byte {
	a := m.automaton()
	if a == nil {
		return p
	}
	scan := scanner{automaton: a}
	feed(&scan, p)
	if len(scan.open) == 0 {
		return p
	}
	out := make([]byte, 0, len(p))
	last := 0
	for _, sp := range scan.open {
		out = append(out, p[last:sp.start]...)
		out = append(out, a.masks[sp.secret]...)
		last = sp.end
	}
	return append(out, p[last:]...)
}
