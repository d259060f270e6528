package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// guarded makes streams that look for some secrets.
func guarded(t testing.TB, blobs Blobs, secrets map[string]string) *Streams {
	return node(t, blobs, func(c *Config) {
		c.Secrets = func(context.Context, string) (map[string]string, error) { return secrets, nil }
	})
}

func TestWhatAnAgentLetsThroughIsMasked(t *testing.T) {
	secrets := map[string]string{"TOKEN": "hunter22", "WORD": "passed", "QUOTED": `a"b\c é!`, "PIN": "31415926"}
	tests := map[string]struct{ line, want string }{
		"as it is":         {`{"type":"step.log","message":"it is hunter22."}`, `{"type":"step.log","message":"it is ********."}`},
		"in base64":        {`{"message":"aHVudGVyMjI="}`, `{"message":"************"}`},
		"deep inside":      {`{"result":{"headers":{"x":["hunter22"]}}}`, `{"result":{"headers":{"x":["********"]}}}`},
		"escaped":          {`{"message":"<a\"b\\c é!>"}`, `{"message":"<***********>"}`},
		"words of events":  {`{"type":"passed","status":"passed","message":"passed"}`, `{"type":"passed","status":"passed","message":"******"}`},
		"names of members": {`{"outputs":{"hunter22":"x"},"passed":true}`, `{"outputs":{"hunter22":"x"},"passed":true}`},
		"numbers stay":     {`{"seq":31415926,"result":31415926,"message":"31415926"}`, `{"seq":31415926,"result":31415926,"message":"********"}`},
		"masked already":   {`{"message":"‹secret:TOKEN›"}`, `{"message":"‹secret:TOKEN›"}`},
		"nothing":          {`{"message":"hunter 22"}`, `{"message":"hunter 22"}`},
		"behind an escape": {`{"message":"\nhunter22\t"}`, `{"message":"\n********\t"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, newShelf(), secrets)
			line := test.line + "\n"
			appended(t, s, 0, line)
			if err := s.Durable(t.Context(), "run", 1, int64(len(line)), sumOf(line)); err != nil {
				t.Fatal(err)
			}
			got := all(t, s, 0)
			if got != test.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if !json.Valid([]byte(got)) || len(got) != len(line) {
				t.Errorf("%q is no JSON of the same length", got)
			}
		})
	}
}

func TestAnEscapeIsCoveredWhole(t *testing.T) {
	s := guarded(t, newShelf(), map[string]string{"A": "nhunter", "B": "0041cafe"})
	line := `{"message":"x\nhunter y\u0041cafe z"}` + "\n"
	appended(t, s, 0, line)
	got := all(t, s, 0)
	if want := `{"message":"x******** y********** z"}` + "\n"; got != want || !json.Valid([]byte(got)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestASecretIsMaskedHoweverItIsCut(t *testing.T) {
	text := `{"message":"one"}` + "\n" + `{"message":"it is hunter22 and aHVudGVyMjI= here"}` + "\n"
	want := strings.NewReplacer("hunter22", "********", "aHVudGVyMjI=", "************").Replace(text)
	for cut := range len(text) {
		s := guarded(t, newShelf(), map[string]string{"TOKEN": "hunter22"})
		appended(t, s, 0, text[:cut])
		if seen := all(t, s, 0); !strings.HasPrefix(want, seen) {
			t.Fatalf("cut at %d a watcher saw %q", cut, seen)
		}
		appended(t, s, int64(cut), text[cut:])
		if got := all(t, s, 0); got != want {
			t.Fatalf("cut at %d it is %q", cut, got)
		}
	}
}

func TestTheLastLineNeedsNoEnd(t *testing.T) {
	s := guarded(t, newShelf(), map[string]string{"TOKEN": "hunter22"})
	text := `{"message":"hunter22"}`
	appended(t, s, 0, text)
	if got := all(t, s, 0); got != "" {
		t.Errorf("half of a line was shown: %q", got)
	}
	if err := s.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s, 0); got != `{"message":"********"}` {
		t.Errorf("got %q", got)
	}
}

func TestALineWithoutAnEndIsNotKeptBackForEver(t *testing.T) {
	s := guarded(t, newShelf(), map[string]string{"TOKEN": "hunter22"})
	part := `"hunter22` + strings.Repeat("x", maxHeld/2)
	appended(t, s, 0, part)
	appended(t, s, int64(len(part)), part)
	appended(t, s, int64(2*len(part)), part)
	if got := all(t, s, 0); strings.Contains(got, "hunter22") || len(got) < 2*len(part) {
		t.Errorf("%d bytes, beginning with %.20q", len(got), got)
	}
}

func TestAVerdictOverMaskedBytesCountsAtEveryNode(t *testing.T) {
	blobs := newShelf()
	secrets := map[string]string{"TOKEN": "hunter22"}
	a, b := guarded(t, blobs, secrets), guarded(t, blobs, secrets)
	one, two := `{"message":"hunter22"}`+"\n", `{"message":"two"}`+"\n"
	appended(t, a, 0, one)
	if err := a.drain(t.Context(), a.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	appended(t, b, int64(len(one)), two)
	if err := b.Durable(t.Context(), "run", 1, int64(len(one+two)), sumOf(one+two)); err != nil {
		t.Error(err)
	}
	if !slices.Contains(mustList(t, blobs), "streams/run/1/masked") {
		t.Error("nothing says that the stream is not kept as it came")
	}
}

func mustList(t *testing.T, b Blobs) []string {
	t.Helper()
	keys, err := b.List(t.Context(), "streams/")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestASegmentEndsWithALineWhereSecretsAreLookedFor(t *testing.T) {
	blobs := newShelf()
	s := guarded(t, blobs, map[string]string{"TOKEN": "hunter22"})
	line := `{"message":"` + strings.Repeat("y", 1000) + `"}` + "\n"
	text := strings.Repeat(line, segmentBytes/len(line)+1)
	appended(t, s, 0, text[:maxFrame])
	appended(t, s, maxFrame, text[maxFrame:])
	if err := s.drain(t.Context(), s.open[id{"run", 1}]); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.segments(t.Context(), id{"run", 1})
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	for _, g := range list {
		if g.offset%int64(len(line)) != 0 {
			t.Errorf("a segment begins at %d, within a line", g.offset)
		}
	}
}

func TestWhatWasMaskedIsSaidOnceWithItsName(t *testing.T) {
	var log bytes.Buffer
	s := node(t, newShelf(), func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Secrets = func(context.Context, string) (map[string]string, error) {
			return map[string]string{"TOKEN": "hunter22"}, nil
		}
	})
	line := `{"message":"hunter22 hunter22"}` + "\n"
	appended(t, s, 0, line)
	appended(t, s, int64(len(line)), line)
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "‹secret:TOKEN›") || strings.Contains(got, "hunter22") {
		t.Errorf("the log is %s", got)
	}
	if got := s.Masked(); got != 4 {
		t.Errorf("%d are counted", got)
	}
}

func TestWithoutItsSecretsAStreamIsNotTaken(t *testing.T) {
	wrong := errors.New("the key file is another")
	s := node(t, newShelf(), func(c *Config) {
		c.Secrets = func(context.Context, string) (map[string]string, error) { return nil, wrong }
	})
	if _, err := s.Append(t.Context(), "agent", frame(0, "x")); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
}
