package stream

import (
	"bytes"
	"context"
	"fmt"

	"github.com/testmesh/testmesh/sdk/redact"
)

// maxHeld bounds the beginning of a line that is kept back until its end is there: no
// event is longer. What is, is looked through in parts.
const maxHeld = 4 << 20

// scan looks a stream through for what its agent should have masked. It changes no
// length: positions in a stream are its agent's.
type scan struct {
	masker *redact.Masker
	found  int64 // how many secrets were covered
	marked int64 // how many of them the blob store knows of
	told   func(run, mask string, n int64, first bool)
}

// Masked is how many secrets were masked here that agents had let through.
func (s *Streams) Masked() int64 { return s.masked.Load() }

// leaked counts what was masked here, and says it once for each stream.
func (s *Streams) leaked(run, mask string, n int64, first bool) {
	s.masked.Add(n)
	if first {
		s.cfg.Logger.Warn("an agent let a secret through: it was masked before it was stored", "run", run, "secret", mask)
	}
}

func (c *scan) cover(run, mask string, n int64) {
	c.told(run, mask, n, c.found == 0)
	c.found += n
}

// know reads the secrets of a run, once for each time its stream is opened.
func (s *Streams) know(ctx context.Context, st *stream) error {
	st.mu.Lock()
	known := st.scan != nil
	st.mu.Unlock()
	if known {
		return nil
	}
	made := &scan{masker: redact.New(), told: s.leaked}
	if s.cfg.Secrets != nil {
		values, err := s.cfg.Secrets(ctx, st.id.run)
		if err != nil {
			return fmt.Errorf("read the secrets of run %s: %w", st.id.run, err)
		}
		for name, value := range values {
			// One that is too short to be masked is masked nowhere.
			_ = made.masker.Add(name, value)
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.scan == nil {
		st.scan = made
	}
	return nil
}

func (c *scan) unmarked() int64 {
	if c == nil || c.found == c.marked {
		return 0
	}
	return c.found
}

func (c *scan) mark(found int64) {
	if found > 0 {
		c.marked = found
	}
}

// take adds what came, as far as it is known to hold no secret.
func (st *stream) take(fresh []byte) {
	if st.scan.masker.Empty() {
		st.pending = append(st.pending, fresh...)
		return
	}
	st.held = append(st.held, fresh...)
	end := bytes.LastIndexByte(st.held, '\n') + 1
	if end == 0 && len(st.held) > maxHeld {
		end = len(st.held)
	}
	st.settle(end)
}

// complete adds what was kept back: nothing more comes.
func (st *stream) complete() {
	if len(st.held) > 0 {
		st.settle(len(st.held))
		st.tell()
	}
}

func (st *stream) settle(end int) {
	if end == 0 {
		return
	}
	lines := st.held[:end]
	if spans := st.scan.masker.Spans(lines); len(spans) > 0 {
		if n := cover(lines, spans); n > 0 {
			st.scan.cover(st.id.run, spans[0].Mask, int64(n))
		}
	}
	st.pending = append(st.pending, lines...)
	st.held = bytes.Clone(st.held[end:])
}

// cover overwrites the secrets in some lines of JSON, where they stand in texts that a
// run made; it gives how many. Numbers stay, and so do the names and words that an
// event consists of: a secret that is `passed` must not change a verdict.
func cover(lines []byte, spans []redact.Span) (covered int) {
	for from := 0; from < len(lines) && len(spans) > 0; {
		end := from + bytes.IndexByte(lines[from:], '\n') + 1
		if end == from {
			end = len(lines)
		}
		inside := 0
		for inside < len(spans) && spans[inside].Start < end {
			inside++
		}
		if inside > 0 {
			covered += coverLine(lines[from:end], spans[:inside], from)
		}
		spans, from = spans[inside:], end
	}
	return covered
}

// kept are the members of an event, at its top, that are not what a run made.
var kept = map[string]bool{
	"type": true, "time": true, "batch_id": true, "run_id": true, "flow": true, "step_id": true, "name": true, "step_name": true,
	"action": true, "phase": true, "path": true, "file": true, "version": true, "status": true, "level": true, "sha256": true,
	"media_type": true, "protocol": true, "effect": true, "suite": true, "tags": true, "environment": true, "agent": true,
	"row": true, "files": true, "of": true, "unit": true, "timings": true,
}

// coverLine overwrites in one line, which begins at a position of the spans' text.
func coverLine(line []byte, spans []redact.Span, base int) int {
	if line[0] != '{' { // no event, or the middle of one that is too long: nothing of it is kept
		for _, sp := range spans {
			for at := max(0, sp.Start-base); at < min(len(line), sp.End-base); at++ {
				line[at] = '*'
			}
		}
		return len(spans)
	}
	hit := map[int]bool{}
	texts(line, func(start, end int) {
		for at := start; at < end; {
			unit := unitLength(line[at:end])
			for i, sp := range spans {
				if sp.Start-base < at+unit && sp.End-base > at {
					hit[i] = true
					copy(line[at:at+unit], "******"[:unit])
					break
				}
			}
			at += unit
		}
	})
	return len(hit)
}

// unitLength is that of a byte of a JSON text, or of an escape, which stays whole.
func unitLength(text []byte) int {
	if text[0] != '\\' || len(text) == 1 {
		return 1
	}
	if text[1] == 'u' {
		return min(6, len(text))
	}
	return 2
}

// texts shows where the texts of a line of JSON are that are values and not kept.
func texts(line []byte, visit func(start, end int)) {
	var in []byte // the brackets that are open
	key, top := false, ""
	for at := 0; at < len(line); at++ {
		switch c := line[at]; c {
		case '{', '[':
			in = append(in, c)
			key = c == '{'
		case '}', ']':
			if len(in) > 0 {
				in = in[:len(in)-1]
			}
			key = false
		case ',':
			key = len(in) > 0 && in[len(in)-1] == '{'
		case '"':
			start := at + 1
			for at++; at < len(line) && line[at] != '"'; at++ {
				if line[at] == '\\' {
					at++
				}
			}
			end := min(at, len(line))
			switch {
			case key && len(in) == 1:
				top, key = string(line[start:end]), false
			case key:
				key = false
			case len(in) == 0 || !kept[top]:
				visit(start, end)
			}
		}
	}
}
