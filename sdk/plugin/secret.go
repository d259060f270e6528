package plugin

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// SecretText is a config key or a result whose value must not be shown. fmt
// prints it as ‹secret›, and it is masked in everything that the step reports
// and, once the step has ended, in everything that the run does; string(x) is
// the value.
type SecretText string

// String hides the value.
func (SecretText) String() string { return "‹secret›" }

// GoString hides the value.
func (s SecretText) GoString() string { return s.String() }

const (
	// minSecret is the shortest text that is masked: what is shorter would hide
	// ordinary text.
	minSecret = 4
	// maxSecrets bounds those of a run that a plugin knows; the oldest go first,
	// and the host has them.
	maxSecrets = 1000
)

// secrets are what a run must not show, as far as a plugin knows it: values of
// its configs and tokens that it obtained. What the host is told is masked here
// before, because it learns of them with a result at the earliest.
type secrets struct {
	mu       sync.Mutex
	list     []Secret
	known    map[string]bool   // by value
	told     int               // how many the host knows
	replacer *strings.Replacer // nil: some came since it was made
}

func (s *secrets) add(more ...Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range more {
		if utf8.RuneCountInString(one.Value) < minSecret || s.known[one.Value] {
			continue
		}
		if s.known == nil {
			s.known = make(map[string]bool)
		}
		if len(s.list) == maxSecrets {
			delete(s.known, s.list[0].Value)
			s.list, s.told = s.list[1:], max(s.told-1, 0)
		}
		s.list, s.known[one.Value], s.replacer = append(s.list, one), true, nil
	}
}

// untold are those that no result has brought to the host.
func (s *secrets) untold() []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := s.list[s.told:]
	s.told = len(s.list)
	return append([]Secret(nil), more...)
}

// mask hides secrets in a text: as they are, and as JSON, URLs and base64 have
// them. The host masks all that it knows in many more forms.
func (s *secrets) mask(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return text
	}
	if s.replacer == nil {
		s.replacer = replacer(s.list)
	}
	return s.replacer.Replace(text)
}

func replacer(list []Secret) *strings.Replacer {
	type form struct{ text, mask string }
	var forms []form
	for _, one := range list {
		escaped := appendText(nil, one.Value)
		for _, text := range []string{
			one.Value, string(escaped[1 : len(escaped)-1]), url.QueryEscape(one.Value), url.PathEscape(one.Value),
			base64.StdEncoding.EncodeToString([]byte(one.Value)), base64.URLEncoding.EncodeToString([]byte(one.Value)),
		} {
			forms = append(forms, form{text, "‹secret:" + one.Name + "›"})
		}
	}
	// Where one is the beginning of another, the longer one is hidden whole.
	slices.SortStableFunc(forms, func(a, b form) int { return len(b.text) - len(a.text) })
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f.text, f.mask)
	}
	return strings.NewReplacer(pairs...)
}
