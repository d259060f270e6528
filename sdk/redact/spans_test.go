package redact

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpansAreWhatBytesReplaces(t *testing.T) {
	m := New()
	if got := m.Spans([]byte("no secret is known")); got != nil {
		t.Errorf("got %v", got)
	}
	if err := m.Add("TOKEN", "hunter22"); err != nil {
		t.Fatal(err)
	}
	text := "a hunter22 b " + Mask("TOKEN") + " c aHVudGVyMjI= d"
	got := m.Spans([]byte(text))
	var parts []string
	for _, s := range got {
		parts = append(parts, text[s.Start:s.End]+" "+s.Mask)
	}
	want := []string{"hunter22 ‹secret:TOKEN›", "aHVudGVyMjI= ‹secret:TOKEN›"}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}
