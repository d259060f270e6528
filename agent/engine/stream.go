package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// stream takes what a try reports while it runs. Log lines go out at once;
// exchanges and artifacts wait until the try was judged, since only then are
// its secrets known. What comes after the try has ended is dropped.
type stream struct {
	r *stepRun

	mu        sync.Mutex
	closed    bool
	exchanges []plugin.Exchange
	artifacts []held
	bytes     int
	logs      int
	covered   int
	dropped   int
}

type held struct {
	name, mediaType string
	data            []byte
}

// Log reports a line at once.
func (s *stream) Log(level, message string) {
	s.mu.Lock()
	closed := s.closed
	s.logs++
	n := s.logs
	s.mu.Unlock()
	switch {
	case closed || n > maxTryLogs+1:
	case n == maxTryLogs+1:
		s.r.log("warn", fmt.Sprintf("more than %d log lines in one try: the rest is left out", maxTryLogs), nil)
	default:
		s.r.log(level, cutText(message, maxLogBytes), nil)
	}
}

// Exchange keeps a request and its response.
func (s *stream) Exchange(x plugin.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.r.p.f.run.wants.Exchanges || !s.fits(len(x.Request)+len(x.Response)+len(x.Curl)) {
		return
	}
	s.exchanges = append(s.exchanges, x)
}

// Covered reports at once what of a subject was touched.
func (s *stream) Covered(c plugin.Coverage) {
	s.mu.Lock()
	s.covered += len(c.Items) + len(c.All)
	drop := s.closed || s.covered > maxTryCovered
	s.mu.Unlock()
	if drop {
		return
	}
	s.r.start()
	s.r.p.f.run.out.emit(event.Event{Type: event.TypeStepCoverage, Step: s.r.ev, Coverage: &event.Coverage{
		Of: c.Of, Unit: c.Unit, Items: c.Items, All: c.All,
	}})
}

// Artifact keeps a file.
func (s *stream) Artifact(name, mediaType string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.fits(len(data)) {
		return
	}
	s.artifacts = append(s.artifacts, held{name, mediaType, data})
}

func (s *stream) fits(n int) bool {
	if s.bytes+n > maxTryBytes || len(s.exchanges)+len(s.artifacts) >= maxTryExchanges {
		s.dropped++
		return false
	}
	s.bytes += n
	return true
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// release reports what was kept.
func (s *stream) release() {
	s.mu.Lock()
	exchanges, artifacts, dropped := s.exchanges, s.artifacts, s.dropped
	s.exchanges, s.artifacts = nil, nil
	s.mu.Unlock()
	out := &s.r.p.f.run.out
	for i := range exchanges {
		out.emit(event.Event{Type: event.TypeStepExchange, Step: s.r.ev, Exchange: eventExchange(&exchanges[i])})
	}
	for _, a := range artifacts {
		s.r.artifact(a.name, a.mediaType, a.data)
	}
	if dropped > 0 {
		s.r.log("warn", fmt.Sprintf("%d exchanges or artifacts are left out: a try keeps %d and %d MiB", dropped, maxTryExchanges, maxTryBytes>>20), nil)
	}
}

func eventExchange(x *plugin.Exchange) *event.Exchange {
	return &event.Exchange{
		Protocol: x.Protocol, Summary: x.Summary, Request: lenient(x.Request), Response: lenient(x.Response),
		Timings: x.Timings, Curl: x.Curl,
	}
}

// lenient is JSON as a value, or its text where it is none.
func lenient(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	v, err := value.DecodeLenient(raw)
	if err != nil {
		return string(raw)
	}
	return v
}

func (r *stepRun) log(level, message string, data any) {
	r.start()
	r.p.f.run.out.emit(event.Event{Type: event.TypeStepLog, Step: r.ev, Log: &event.Log{Level: level, Message: message, Data: data}})
}

// artifact reports a file, masked before it is measured.
func (r *stepRun) artifact(name, mediaType string, data []byte) {
	run := r.p.f.run
	if !run.mask.Empty() {
		data = run.mask.Bytes(data)
	}
	sum := sha256.Sum256(data)
	run.out.emit(event.Event{Type: event.TypeStepArtifact, Step: r.ev, Artifact: &event.Artifact{
		Name: name, MediaType: mediaType, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Data: data,
	}})
}

// attach puts result and outputs into the step's last event; what is too large
// becomes an artifact with a preview.
func (r *stepRun) attach(done *event.StepFinished, t *try) {
	done.Outputs = boundedMap(t.outputs)
	if r.s.SaveTo != nil && t.result.has {
		name, err := r.s.SaveTo.Text(r.env)
		if err != nil {
			r.log("warn", "save_to_file: "+err.Error(), nil)
		} else {
			r.artifact(name, "application/json", t.json())
		}
	}
	if !t.result.has || r.s.Spec == nil {
		return // children and outputs tell what a control action did
	}
	if t.bytes <= maxResultBytes {
		if t.status != event.Passed || r.p.f.run.wants.Results {
			done.Result, done.HasResult = t.result.whole(), true
		}
		return
	}
	text := t.json()
	r.artifact(r.s.ID+".result.json", "application/json", text)
	// The mask comes before the cut, so that half a secret is not shown.
	done.ResultPreview = cutText(r.p.f.run.mask.String(string(text)), previewBytes)
}

func (t *try) json() []byte {
	if t.raw != nil {
		return t.raw
	}
	return value.Append(nil, t.result.whole())
}

// boundedMap is m with values over maxResultBytes cut, as their text.
func boundedMap(m map[string]any) map[string]any {
	var out map[string]any // made where something is cut
	for k, v := range m {
		if size(v, maxResultBytes) <= maxResultBytes {
			continue
		}
		if out == nil {
			out = maps.Clone(m)
		}
		out[k] = cutText(value.Text(v), previewBytes)
	}
	if out == nil {
		return m
	}
	return out
}

// size is about how many bytes v prints as; it stops counting past limit.
func size(v any, limit int) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case []any:
		n := 2
		for i := 0; i < len(v) && n <= limit; i++ {
			n += 1 + size(v[i], limit-n)
		}
		return n
	case map[string]any:
		n := 2
		for k, e := range v {
			if n += len(k) + 4 + size(e, limit-n); n > limit {
				break
			}
		}
		return n
	}
	return 8
}

// cutText cuts a text and says so.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes in all)", s[:end], len(s))
}
