package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a connection whose other side has said a text.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func through(limit int64, r io.Reader) (string, *bounded, error) {
	b := newBounded(stream{Reader: r})
	b.limit = limit
	out, err := io.ReadAll(b)
	return string(out), b, err
}

func TestWhatIsWithinBoundsGoesThroughAsItIs(t *testing.T) {
	tests := map[string]string{
		"lines":                 "+OK\r\n-ERR no\r\n:-12\r\n,1.5\r\n#t\r\n(123456789012345678901\r\n_\r\n",
		"a text":                "$5\r\nhello\r\n",
		"an empty text":         "$0\r\n\r\n",
		"a text of line breaks": "$4\r\n\r\n\r\n\r\n",
		"null, three times":     "$-1\r\n*-1\r\n_\r\n",
		"a verbatim text":       "=7\r\ntxt:abc\r\n",
		"a long error":          "!9\r\nERR hello\r\n",
		"lists in lists":        "*2\r\n*2\r\n:1\r\n$1\r\na\r\n~1\r\n+x\r\n",
		"an empty list":         "*2\r\n*0\r\n%0\r\n",
		"a map":                 "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
		"a push":                ">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n:1\r\n",
		"what is said aside":    "*2\r\n|1\r\n+ttl\r\n:3600\r\n:1\r\n:2\r\n|0\r\n:3\r\n",
		"all of it, twice":      strings.Repeat("*1\r\n$1\r\nx\r\n", 2),
		"as deep as may be":     strings.Repeat("*1\r\n", maxDepth) + ":1\r\n",
		"as long as a line is":  "+" + strings.Repeat("x", maxLine-3) + "\r\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
				got, b, err := through(10, r)
				if got != text || err != nil || b.cut != 0 || len(b.open) != 0 {
					t.Errorf("%s: got %.100q, %v, cut %d, in %v", how, got, err, b.cut, b.open)
				}
			}
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	tests := map[string]struct {
		sent, want string
		cut        int64
	}{
		"one":                        {"$12\r\nhello world!\r\n+OK\r\n", "$5\r\nhello\r\n+OK\r\n", 12},
		"those of a list, together":  {"*3\r\n$3\r\nabc\r\n$3\r\ndef\r\n$1\r\ng\r\n", "*3\r\n$3\r\nabc\r\n$2\r\nde\r\n$0\r\n\r\n", 3},
		"each answer by itself":      {"$4\r\nabcd\r\n$4\r\nefgh\r\n", "$4\r\nabcd\r\n$4\r\nefgh\r\n", 0},
		"a verbatim text has a form": {"*2\r\n$5\r\nabcde\r\n=7\r\ntxt:xyz\r\n", "*2\r\n$5\r\nabcde\r\n=4\r\ntxt:\r\n", 7},
		"an error":                   {"!9\r\nERR hello\r\n", "!5\r\nERR h\r\n", 9},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, b, err := through(5, iotest.OneByteReader(strings.NewReader(test.sent)))
			if got != test.want || err != nil || b.cut != test.cut {
				t.Errorf("got %q, %v, cut %d, want %q, %d", got, err, b.cut, test.want, test.cut)
			}
		})
	}
}

// What is announced costs nothing: the server has to send it.
func TestALongTextTakesNoMoreThanItsLimit(t *testing.T) {
	const long = 1 << 30
	sent := io.MultiReader(strings.NewReader(fmt.Sprintf("$%d\r\n", long)), io.LimitReader(zeros{}, long), strings.NewReader("\r\n:1\r\n"))
	got, b, err := through(10, sent)
	if got != "$10\r\n"+strings.Repeat("\x00", 10)+"\r\n:1\r\n" || err != nil || b.cut != long {
		t.Errorf("got %.100q, %v, cut %d", got, err, b.cut)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestWhatIsNoAnswerOrTooMuchOfOne(t *testing.T) {
	tests := map[string]struct {
		sent string
		want any // a pointer to the error's type
		what string
	}{
		"another protocol":             {"HTTP/1.1 400 Bad Request\r\n", new(*malformed), `"HTTP/1.1 400 Bad Request\r\n"`},
		"no line break of Redis'":      {"+OK\n", new(*malformed), `"+OK\n"`},
		"an empty line":                {"\r\n", new(*malformed), `"\r\n"`},
		"a long line of something":     {strings.Repeat("x", maxLine+1), new(*malformed), strings.Repeat("x", maxQuoted)},
		"a length that is none":        {"$abc\r\n", new(*malformed), `"$abc\r\n"`},
		"a length below null's":        {"$-2\r\n", new(*malformed), `"$-2\r\n"`},
		"a length beyond numbers":      {"$99999999999999999999\r\n", new(*malformed), "$9999"},
		"a text that goes on":          {"$2\r\nabc\r\n", new(*malformed), "does not end where it says"},
		"streamed texts":               {"$?\r\n;4\r\nabcd\r\n;0\r\n", new(*malformed), `"$?\r\n"`},
		"a state without an end":       {"+" + strings.Repeat("x", maxLine), new(*tooLarge), "a line of more than 32 KiB"},
		"a list of a billion":          {"*1000000000\r\n", new(*tooLarge), "a reply of 1000000000 values"},
		"a map of all that there is":   {"%9223372036854775807\r\n", new(*tooLarge), "a reply of 9223372036854775807 values"},
		"lists that are many together": {"*2\r\n*600000\r\n" + strings.Repeat(":1\r\n", 600000) + "*600000\r\n" + strings.Repeat(":1\r\n", 600000), new(*tooLarge), "a reply of more than 1000000 values"},
		"lists without a bottom":       {strings.Repeat("*1\r\n", maxDepth+1), new(*tooLarge), "nested deeper than 32"},
		"TLS":                          {"\x15\x03\x03\x00\x02\x02\x16", nil, errTLS.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, b, err := through(10, strings.NewReader(test.sent))
			if err == nil || !strings.Contains(err.Error(), test.what) || test.want != nil && !errors.As(err, test.want) {
				t.Errorf("got %T %v, want %s", err, err, test.what)
			}
			if _, again := b.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("a second look gives %v", again)
			}
		})
	}
}

func TestTheReasonOfAServerThatClosesIsKept(t *testing.T) {
	_, b, _ := through(10, strings.NewReader("+OK\r\n-DENIED go away\r\n"))
	if b.refusal != "DENIED go away" {
		t.Errorf("got %q", b.refusal)
	}
}

// FuzzBounded holds whatever comes to what go-redis may be shown.
func FuzzBounded(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "$5\r\nhello\r\n", "*2\r\n:1\r\n$-1\r\n", "%1\r\n+a\r\n=7\r\ntxt:abc\r\n", "|1\r\n+a\r\n:1\r\n:2\r\n",
		"$1000000000\r\n", "*1000000000\r\n", strings.Repeat("*1\r\n", 40), ">2\r\n!3\r\nERR\r\n_\r\n",
	} {
		f.Add([]byte(seed))
	}
	const limit = 20
	f.Fuzz(func(t *testing.T, sent []byte) {
		once, _, _ := through(limit, bytes.NewReader(sent))
		slowly, _, _ := through(limit, iotest.OneByteReader(bytes.NewReader(sent)))
		if once != slowly {
			t.Fatalf("how it comes matters: %q and %q", once, slowly)
		}
		if err := harmless(bufio.NewReader(strings.NewReader(once)), limit); err != nil {
			t.Fatalf("%q became %q: %v", sent, once, err)
		}
	})
}

// harmless reads as go-redis does, and complains of what would hurt it.
func harmless(r *bufio.Reader, limit int) error {
	depth := []int{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil //nolint:nilerr // the end
		}
		n, _ := strconv.Atoi(strings.TrimSuffix(line[1:], "\r\n"))
		switch line[0] {
		case '$', '=', '!':
			if n > limit {
				return fmt.Errorf("a text of %d", n)
			}
			if n >= 0 {
				if _, err := r.Discard(n + 2); err != nil {
					return nil //nolint:nilerr // the end
				}
			}
		case '*', '~', '>', '%', '|':
			if n > maxElements {
				return fmt.Errorf("a list of %d", n)
			}
			if line[0] == '%' || line[0] == '|' {
				n *= 2
			}
			if n > 0 {
				if depth = append(depth, n+1); len(depth) > maxDepth {
					return fmt.Errorf("%d lists in each other", len(depth))
				}
			}
		}
		for len(depth) > 0 {
			if depth[len(depth)-1]--; depth[len(depth)-1] > 0 {
				break
			}
			depth = depth[:len(depth)-1]
		}
	}
}
