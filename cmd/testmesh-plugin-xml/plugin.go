//go:build libxml2 && cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxDocumentBytes bounds a document; libxml2 takes some ten times as much
	// memory.
	maxDocumentBytes = 16 << 20
	// maxLeft is how many judgements may go on after their call was left before
	// the process asks to be replaced: libxml2 cannot be stopped.
	maxLeft = 4
)

// xsd is the plugin.
type xsd struct {
	version string
	lib     library
	turns   chan struct{} // one for each judgement at a time
	left    atomic.Int32  // judgements that nobody waits for any more
}

func newPlugin(version string) *xsd {
	return &xsd{version: version, lib: start(), turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// EndRun has nothing to drop.
func (x *xsd) EndRun(string) {}

// Close has nothing to release.
func (x *xsd) Close() error { return nil }

// Health says when too many judgements do not end.
func (x *xsd) Health(context.Context) error {
	if n := x.left.Load(); n >= maxLeft {
		return fmt.Errorf("%d judgements do not end", n)
	}
	return nil
}

// Finding is one thing that is wrong with a document.
type finding struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

func (f finding) String() string {
	if f.Line == 0 {
		return f.Message
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Message)
}

type config struct {
	Document   *string `json:"document"`
	File       *string `json:"file"`
	SchemaFile string  `json:"schema_file"`
}

type result struct {
	Valid  bool      `json:"valid"`
	Errors []finding `json:"errors"`
	Count  int       `json:"count"`
}

// Execute runs xml.validate.
func (x *xsd) Execute(ctx context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
	if req.Action != "xml.validate" {
		return nil, refuse("", "there is no action "+req.Action)
	}
	var c config
	if err := json.Unmarshal(req.Config, &c); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, refuse(kind.Field, kind.Field+" takes a text")
		}
		return nil, refuse("", "the config is no JSON object: "+err.Error())
	}
	if c.SchemaFile == "" {
		return nil, refuse("schema_file", "schema_file is missing")
	}
	document, err := c.document(req)
	if err != nil {
		return nil, err
	}
	judged, err := x.judge(ctx, req, document, c.SchemaFile)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(judged)
	if err != nil {
		return nil, err
	}
	return &plugin.Response{Result: text}, nil
}

// document is what the config names.
func (c *config) document(req *plugin.Request) ([]byte, error) {
	switch {
	case c.Document != nil && c.File != nil:
		return nil, refuse("file", "document and file exclude each other")
	case c.Document != nil:
		return inText(*c.Document)
	case c.File == nil:
		return nil, refuse("document", "document or file is missing")
	}
	data, err := req.ReadFile(*c.File, maxDocumentBytes)
	if err != nil {
		return nil, refuse("file", unreadable(*c.File, err))
	}
	text, err := decode(data)
	if err != nil {
		return nil, unjudged(*c.File + ": " + err.Error())
	}
	return text, nil
}

// inText is a document that has been text already.
func inText(document string) ([]byte, error) {
	if len(document) > maxDocumentBytes {
		return nil, unjudged(fmt.Sprintf("the document is over %d MiB", maxDocumentBytes>>20))
	}
	text, err := plain(bytes.TrimPrefix([]byte(document), []byte("\xEF\xBB\xBF")))
	if err != nil {
		return nil, unjudged("the document is not judged: " + err.Error())
	}
	return text, nil
}

// judge validates a document. libxml2 cannot be stopped: a judgement that takes
// longer than the call goes on alone.
func (x *xsd) judge(ctx context.Context, req *plugin.Request, document []byte, schemaFile string) (*result, error) {
	files, err := schemaFiles(req, schemaFile)
	if err != nil {
		return nil, refuse("schema_file", unreadable(schemaFile, err))
	}
	select {
	case x.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, late(ctx)
	}
	type outcome struct {
		*result
		error
	}
	done := make(chan outcome, 1)
	var left atomic.Bool
	go func() {
		out, err := x.judgeNow(files, document)
		done <- outcome{out, err}
		<-x.turns
		if !left.CompareAndSwap(false, true) {
			x.left.Add(-1)
		}
	}()
	select {
	case out := <-done:
		return out.result, out.error
	case <-ctx.Done():
		if left.CompareAndSwap(false, true) {
			x.left.Add(1)
		}
		return nil, late(ctx)
	}
}

func (x *xsd) judgeNow(files []file, document []byte) (*result, error) {
	compiled, wrong, err := x.lib.compile(files)
	if err != nil {
		return nil, err
	}
	if compiled == nil {
		return nil, wrongSchema(files[0].name, wrong)
	}
	defer compiled.free()
	seen, err := compiled.validate(document)
	if err != nil {
		return nil, err
	}
	if p, ok := seen.limit(); ok {
		return nil, unjudged("the document is past a bound of libxml2: " + p.Message)
	}
	out := &result{Valid: seen.count == 0, Errors: []finding{}, Count: seen.count}
	for _, p := range seen.problems {
		out.Errors = append(out.Errors, finding{p.Line, p.Column, p.Message})
	}
	return out, nil
}

// Call runs xml.schema_errors.
func (x *xsd) Call(ctx context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	if req.Function != "schema_errors" {
		return nil, refuse("", "there is no function "+req.Function)
	}
	var args []any
	if err := json.Unmarshal(req.Args, &args); err != nil {
		return nil, refuse("", "the arguments are no JSON list")
	}
	if len(args) != 2 {
		return nil, refuse("", fmt.Sprintf("schema_errors takes a document and the path of a schema, not %d arguments", len(args)))
	}
	document, ok := args[0].(string)
	if !ok {
		return nil, refuse("document", "the document is no text; an answer's text is body, not xml")
	}
	schemaFile, ok := args[1].(string)
	if !ok {
		return nil, refuse("schema_file", "the schema is no path of a file")
	}
	text, err := inText(document)
	if err != nil {
		return nil, err
	}
	judged, err := x.judge(ctx, &plugin.Request{Root: req.Root, Dir: req.Dir}, text, schemaFile)
	if err != nil {
		return nil, inFunction(err)
	}
	messages := []string{}
	for _, f := range judged.Errors {
		messages = append(messages, f.String())
	}
	if more := judged.Count - len(judged.Errors); more > 0 {
		messages = append(messages, fmt.Sprintf("and %d more", more))
	}
	return json.Marshal(messages)
}

// inFunction is a schema that cannot be used, in a function: there a fault of
// the definition would say that the argument, an answer, is wrong.
func inFunction(err error) error {
	var fault *plugin.Error
	if errors.As(err, &fault) && fault.Blame == plugin.BlameDefinition {
		known := *fault
		known.Blame = plugin.BlameAgent
		return &known
	}
	return err
}

func refuse(field, message string) *plugin.Error {
	return &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Field: field, Message: message}
}

// unjudged is a document that is not refused as wrong: nobody looked.
func unjudged(message string) *plugin.Error {
	return &plugin.Error{Code: plugin.CodeBody, Blame: plugin.BlameSystem, Message: message}
}

func wrongSchema(name string, wrong found) *plugin.Error {
	e := refuse("schema_file", "the schema "+name+" is wrong")
	for i, p := range wrong.problems {
		line := finding{p.Line, p.Column, p.Message}.String()
		if p.File != "" {
			line = p.File + " " + line
		}
		if i == 0 {
			e.Message += ": " + line
			continue
		}
		e.Details = append(e.Details, line)
	}
	return e
}

func unreadable(name string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no file " + name
	case errors.Is(err, fs.ErrPermission):
		return name + " may not be read"
	}
	return err.Error()
}

func late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &plugin.Error{Code: plugin.CodeTimeout, Blame: plugin.BlameAgent, Message: "the document was not judged in the step's time"}
}
