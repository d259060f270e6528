package schema

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/value"
)

// corpusCase is one group of testdata/corpus: a schema, the drafts in which
// it means the same, and values with their verdict.
type corpusCase struct {
	name     string
	from, to Draft
	schema   any
	values   []verdict
}

type verdict struct {
	line  string
	value any
	valid bool
}

var draftNames = map[string]Draft{"4": Draft4, "6": Draft6, "7": Draft7, "2019": Draft2019, "2020": Draft2020}

// readCorpus parses the corpus; anything that it does not understand is fatal,
// so that no case is lost in silence.
func readCorpus(t *testing.T) []corpusCase {
	t.Helper()
	var out []corpusCase
	files, err := fs.Glob(os.DirFS("testdata/corpus"), "*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile("testdata/corpus/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			word, rest, _ := strings.Cut(line, " ")
			if line == "" {
				continue
			}
			if word == "==" {
				out = append(out, corpusCase{name: file + ": " + rest})
				continue
			}
			if err := out[len(out)-1].read(word, rest); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
	}
	return out
}

func (c *corpusCase) read(word, rest string) error {
	if word == "drafts" {
		from, to, ok := strings.Cut(rest, "-")
		if !ok {
			to = from
		}
		c.from, c.to = draftNames[from], draftNames[to]
		if c.from == 0 || c.to == 0 {
			return fmt.Errorf("no drafts %q", rest)
		}
		return nil
	}
	v, err := value.Decode([]byte(rest))
	if err != nil {
		return err
	}
	switch word {
	case "schema":
		c.schema = v
	case "ok", "no":
		c.values = append(c.values, verdict{rest, v, word == "ok"})
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return nil
}

func TestCorpusHoldsInEveryDraft(t *testing.T) {
	for _, c := range readCorpus(t) {
		if len(c.values) == 0 || c.from == 0 {
			t.Errorf("%s: has no values or no drafts", c.name)
		}
		for draft := c.from; draft <= c.to; draft++ {
			s, err := Compile(c.schema, Options{Draft: draft})
			if err != nil {
				t.Errorf("%s (%s): %v", c.name, draft, err)
				continue
			}
			for _, v := range c.values {
				errs := s.Validate(v.value)
				if got := len(errs) == 0; got != v.valid {
					t.Errorf("%s (%s): %s: got valid %v, want %v; %v", c.name, draft, v.line, got, v.valid, errs)
				}
				for _, e := range errs {
					if e.Limit || e.Message == "" || !strings.HasPrefix(e.Message, e.Path+": ") || !strings.HasPrefix(e.SchemaPath, "#") && !strings.Contains(e.SchemaPath, "#") {
						t.Errorf("%s (%s): %s: an incomplete error %+v", c.name, draft, v.line, e)
					}
				}
			}
		}
	}
}

// TestCorpusCoversEveryKeyword keeps the corpus whole: a keyword that decides
// something must decide a case of each draft that has it.
func TestCorpusCoversEveryKeyword(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range readCorpus(t) {
		for draft := c.from; draft <= c.to; draft++ {
			noteKeywords(c.schema, draft, covered)
		}
	}
	for _, k := range keywords() {
		for draft := Draft4; draft <= Draft2020; draft++ {
			skip := k.vocabulary == metaData || k.vocabulary == content || k.name == "$schema" || k.name == "$comment" || k.name == "$vocabulary"
			if (dialect{draft: draft}).has(k) && !skip && !covered[fmt.Sprint(k.name, draft)] {
				t.Errorf("no case of the corpus uses %s in %s", k.name, draft)
			}
		}
	}
}

func noteKeywords(v any, draft Draft, covered map[string]bool) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			noteKeywords(e, draft, covered)
		}
	case map[string]any:
		for k, e := range x {
			covered[fmt.Sprint(k, draft)] = true
			noteKeywords(e, draft, covered)
		}
	}
}
