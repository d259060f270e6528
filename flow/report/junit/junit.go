// Package junit writes JUnit XML as CI systems read it: a suite a folder, a
// test case a run, steps as properties, failed as failure and errored as error.
// It is a view of the event stream and judges nothing.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// maxText bounds one failure's text: CI systems refuse files past their limits
// (GitLab: 30 MB), and a whole body helps nobody there.
const maxText = 8 << 10

// Writer collects a batch and writes the document when it ends.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	started time.Time
	runs    map[string]*testcase
	suites  map[string]*suite
	order   []string
	names   map[string]int // to keep test cases unique: GitLab keeps the first of a name
}

// New makes a Writer that writes to out once the batch has ended.
func New(out io.Writer) *Writer {
	return &Writer{out: out, runs: map[string]*testcase{}, suites: map[string]*suite{}, names: map[string]int{}}
}

// WantsExchanges is false.
func (w *Writer) WantsExchanges() bool { return false }

type document struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []*suite `xml:"testsuite"`
}

type suite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []*testcase `xml:"testcase"`
	seconds   float64
}

type testcase struct {
	Name       string      `xml:"name,attr"`
	Classname  string      `xml:"classname,attr"`
	File       string      `xml:"file,attr,omitempty"`
	Line       int         `xml:"line,attr,omitempty"`
	Time       string      `xml:"time,attr"`
	Properties *properties `xml:"properties,omitempty"`
	Skipped    *outcome    `xml:"skipped,omitempty"`
	Error      *outcome    `xml:"error,omitempty"`
	Failure    *outcome    `xml:"failure,omitempty"`
	Output     string      `xml:"system-out,omitempty"`

	folder   string
	failures []string
	kind     string
	first    string
	retried  bool
}

type properties struct {
	List []property `xml:"property"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type outcome struct {
	Message string `xml:"message,attr,omitempty"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Write takes one event; the document is written with batch.finished.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case event.TypeBatchStarted:
		w.started = e.Time
	case event.TypeRunStarted:
		w.open(e)
	case event.TypeStepFinished:
		if c := w.runs[e.RunID]; c != nil {
			c.step(e)
		}
	case event.TypeRunFinished:
		w.close(e)
	case event.TypeBatchFinished:
		return w.print(e)
	}
	return nil
}

func (w *Writer) open(e *event.Event) {
	s := e.RunStarted
	folder := path.Dir(s.File)
	c := &testcase{
		Name: clean(e.Flow), Classname: clean(strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(s.File, path.Ext(s.File)), ".testmesh"), "/", ".")),
		File: clean(s.File), folder: folder, Properties: &properties{},
	}
	var about []string
	if s.Row != nil {
		row := fmt.Sprintf("row %d", s.Row.Index+1)
		if s.Row.Name != "" {
			row += " " + s.Row.Name
		}
		about = append(about, row)
	} else if s.Iteration > 1 {
		about = append(about, fmt.Sprintf("iteration %d", s.Iteration))
	}
	if s.Environment != "" {
		about = append(about, s.Environment)
	}
	if len(about) > 0 {
		c.Name += clean(" [" + strings.Join(about, ", ") + "]")
	}
	key := c.Classname + "\x00" + c.Name
	if w.names[key]++; w.names[key] > 1 {
		c.Name += fmt.Sprintf(" #%d", w.names[key])
	}
	for _, t := range s.Tags {
		c.Properties.List = append(c.Properties.List, property{"tag", clean(t)})
	}
	w.runs[e.RunID] = c
}

func (c *testcase) step(e *event.Event) {
	end := e.StepFinished
	name := clean(strings.Join(e.Step.Path, "/"))
	c.Properties.List = append(c.Properties.List, property{"step[" + string(end.Status) + "]", name})
	c.retried = c.retried || end.Status == event.Passed && end.Tries > 1
	if end.Status != event.Failed && end.Status != event.Errored || end.Ignored {
		return
	}
	kind, text := "assertion", ""
	for _, a := range end.Assertions {
		if !a.Passed {
			text += fmt.Sprintf("%s:%d:%d: %s\n    %s\n", e.Step.File, a.Line, a.Column, a.Expression, a.Message)
			if c.first == "" {
				c.first = name + ": " + a.Expression + ": " + a.Message
			}
		}
	}
	if err := end.Error; err != nil {
		kind = kindOf(err)
		text += fmt.Sprintf("%s:%d: %s %s\n", e.Step.File, e.Step.Line, err.Code, err.Message)
		if err.Hint != "" {
			text += "    " + err.Hint + "\n"
		}
		if c.first == "" {
			c.first = name + ": " + err.Message
		}
	}
	if m, ok := end.Result.(map[string]any); ok && m["body"] != nil {
		body := value.Text(m["body"])
		if len(body) > 1000 {
			body = body[:1000] + fmt.Sprintf("… (cut, %d bytes)", len(body))
		}
		text += "    body: " + body + "\n"
	}
	if c.kind == "" {
		c.kind = kind
	}
	c.failures = append(c.failures, name+"\n"+text)
}

// kindOf is the type attribute of an error: its cause in one word.
func kindOf(err *event.Error) string {
	switch err.Code {
	case "E-CONN", "E-DNS", "E-TLS":
		return "connection"
	case "E-TIMEOUT", "E-RUNTIME":
		return "timeout"
	case "E-PLUGIN":
		return "plugin"
	}
	return strings.ToLower(strings.TrimPrefix(err.Code, "E-"))
}

func (w *Writer) close(e *event.Event) {
	c := w.runs[e.RunID]
	if c == nil {
		return
	}
	delete(w.runs, e.RunID)
	end := e.RunFinished
	seconds := end.DurationMS / 1000
	c.Time = fmt.Sprintf("%.3f", seconds)
	s, ok := w.suites[c.folder]
	if !ok {
		s = &suite{Name: clean(c.folder), Timestamp: e.Time.UTC().Format("2006-01-02T15:04:05")}
		w.suites[c.folder] = s
		w.order = append(w.order, c.folder)
	}
	s.Tests++
	s.seconds += seconds
	text := strings.Join(c.failures, "\n")
	if len(text) > maxText {
		text = cut(text, maxText) + fmt.Sprintf("\n… (cut, %d bytes)", len(text))
	}
	what := &outcome{Message: clean(c.first), Type: c.kind, Text: clean(text)}
	if what.Message == "" {
		what.Message = clean(end.Reason)
	}
	switch end.Status {
	case event.Passed:
		if c.retried {
			c.Properties.List = append(c.Properties.List, property{"flaky", "true"})
		}
	case event.Failed:
		s.Failures++
		c.Failure = what
	case event.Skipped:
		s.Skipped++
		c.Skipped = &outcome{Message: clean(end.Reason)}
	default: // errored and cancelled: it was not judged
		s.Errors++
		if what.Type == "" {
			what.Type = string(end.Status)
		}
		c.Error = what
	}
	if len(c.Properties.List) == 0 {
		c.Properties = nil
	}
	s.Cases = append(s.Cases, c)
}

func (w *Writer) print(e *event.Event) error {
	doc := document{Name: "testmesh", Time: fmt.Sprintf("%.3f", e.Time.Sub(w.started).Seconds())}
	for _, name := range w.order {
		s := w.suites[name]
		s.Time = fmt.Sprintf("%.3f", s.seconds)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	if _, err := io.WriteString(w.out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w.out)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	_, err := io.WriteString(w.out, "\n")
	return err
}

// clean drops what XML 1.0 cannot hold (section 2.2), ANSI escapes included.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000:
			return r
		}
		return -1
	}, s)
}

func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
