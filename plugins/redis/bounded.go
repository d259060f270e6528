package redis

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
)

const (
	// maxLine bounds what RESP ends by a line break: numbers, states, errors. It is
	// the size of a connection's buffer, which such a line must fit.
	maxLine = 32 << 10
	// maxElements bounds the values of one reply, those inside of others counted:
	// each costs 16 bytes and more before its content.
	maxElements = 1_000_000
	// maxDepth bounds lists inside of lists: go-redis reads them by recursion. Redis'
	// own deepest reply, COMMAND DOCS, has eight.
	maxDepth = 32
)

// bounded is a connection to Redis that shows go-redis nothing that would hurt.
// go-redis makes room for as much as a length announces, reads lines and nesting
// without end, and would take all memory for a value of a gigabyte, or for a
// server that only says it has one. Here long texts are cut to a limit, and what
// is no reply, or holds too many values, is an error. It is read by one goroutine
// at a time.
type bounded struct {
	net.Conn
	src    *bufio.Reader
	closed atomic.Bool

	// limit is how many bytes of text one reply may have.
	limit int64
	// cut is the length of the longest text that was cut since it was last set to 0.
	cut int64
	// refusal is the last error that the server sent by itself: of a server that
	// closes a connection it is the reason.
	refusal string

	left     int64   // bytes of text that are left of the reply's limit
	elements int64   // values of the reply so far
	open     []group // the lists that the reader is in
	ready    []byte  // of a line that goes through
	pass     int64   // bytes of text that go through,
	drop     int64   // and then those that do not
	text     bool    // a text is being read
	err      error   // what ended it
}

// group is a list, set, map or push that is being read.
type group struct {
	left int64
	// aside: an attribute, which comes before a value and is none.
	aside bool
}

func newBounded(c net.Conn) *bounded {
	return &bounded{Conn: c, src: bufio.NewReaderSize(c, maxLine)}
}

// malformed is an answer that is not Redis' protocol.
type malformed struct{ what string }

func (e *malformed) Error() string { return e.what }

// tooLarge is a reply that is not read.
type tooLarge struct{ what string }

func (e *tooLarge) Error() string { return e.what }

// errTLS is an answer in TLS to a question without.
var errTLS = errors.New("the answer is TLS")

// Close ends a Read that waits.
func (b *bounded) Close() error {
	b.closed.Store(true)
	return b.Conn.Close()
}

// Read gives what the server sent, as far as it is within bounds.
func (b *bounded) Read(p []byte) (int, error) {
	for b.err == nil {
		switch {
		case len(b.ready) > 0:
			n := copy(p, b.ready)
			b.ready = b.ready[n:]
			return n, nil
		case b.pass > 0:
			n, err := b.src.Read(p[:min(int64(len(p)), b.pass)])
			b.pass -= int64(n)
			if n > 0 {
				return n, nil
			}
			b.err = err
		case b.drop > 0:
			n, err := b.src.Discard(int(min(b.drop, maxLine)))
			b.drop -= int64(n)
			b.err = err
		case b.text:
			b.err = b.endText()
		default:
			b.err = b.line()
		}
	}
	return 0, b.err
}

// line takes one line of RESP.
func (b *bounded) line() error {
	if len(b.open) == 0 {
		b.left, b.elements = b.limit, 0
	}
	if first, err := b.src.Peek(1); err == nil && first[0] == tlsAlert {
		return errTLS // which has no line to wait for
	}
	line, err := b.src.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if kind := line[0]; kind == '+' || kind == '-' {
			return &tooLarge{fmt.Sprintf("a line of more than %d KiB", maxLine>>10)}
		}
		return notRESP(line)
	case err != nil:
		return err
	case len(line) < 3 || line[len(line)-2] != '\r':
		return notRESP(line)
	}
	if b.elements++; b.elements > maxElements {
		return &tooLarge{fmt.Sprintf("a reply of more than %d values", maxElements)}
	}
	switch line[0] {
	case '-':
		b.refusal = string(line[1 : len(line)-2])
		fallthrough
	case '+', ':', ',', '#', '(', '_':
		b.ready = line
		b.ended()
		return nil
	case '$', '=', '!':
		return b.beginText(line)
	case '*', '~', '>', '%', '|':
		return b.beginGroup(line)
	}
	return notRESP(line)
}

// length is the number of a line that announces something; -1: nothing follows,
// the value is null.
func length(line []byte) (int64, error) {
	n, err := strconv.ParseInt(string(line[1:len(line)-2]), 10, 64)
	if err != nil || n < -1 {
		return 0, notRESP(line)
	}
	return n, nil
}

func (b *bounded) beginText(line []byte) error {
	n, err := length(line)
	if err != nil {
		return err
	}
	if n == -1 {
		b.ready = line
		b.ended()
		return nil
	}
	through := n
	if n > b.left {
		through = b.left
		b.cut = max(b.cut, n)
		if format := int64(len("txt:")); line[0] == '=' && through < format {
			through = min(n, format) // with which a verbatim text begins
		}
	}
	b.left -= min(through, b.left)
	b.pass, b.drop, b.text = through, n-through, true
	b.ready = line
	if through < n {
		b.ready = fmt.Appendf(nil, "%c%d\r\n", line[0], through)
	}
	return nil
}

// endText takes the line break after a text.
func (b *bounded) endText() error {
	end, err := b.src.Peek(2)
	if err != nil {
		return err
	}
	if string(end) != "\r\n" {
		return &malformed{"a text that does not end where it says"}
	}
	_, err = b.src.Discard(2)
	b.ready, b.text = []byte("\r\n"), false
	b.ended()
	return err
}

func (b *bounded) beginGroup(line []byte) error {
	n, err := length(line)
	if err != nil {
		return err
	}
	aside := line[0] == '|'
	if n > maxElements {
		return &tooLarge{fmt.Sprintf("a reply of %d values", n)}
	}
	if n > 0 {
		if line[0] == '%' || aside {
			n *= 2
		}
		if len(b.open) == maxDepth {
			return &tooLarge{fmt.Sprintf("a reply nested deeper than %d", maxDepth)}
		}
		b.open = append(b.open, group{n, aside})
	} else if !aside {
		b.ended()
	}
	b.ready = line
	return nil
}

// ended counts a value that was read whole, and the groups that end with it.
func (b *bounded) ended() {
	for len(b.open) > 0 {
		last := &b.open[len(b.open)-1]
		if last.left--; last.left > 0 {
			return
		}
		aside := last.aside
		b.open = b.open[:len(b.open)-1]
		if aside {
			return
		}
	}
}

const (
	// tlsAlert is the first byte of what a TLS server says to a client without.
	tlsAlert = 0x15
	// maxQuoted bounds what a message shows of an answer.
	maxQuoted = 60
)

func notRESP(line []byte) error {
	return &malformed{fmt.Sprintf("%q", line[:min(len(line), maxQuoted)])}
}
