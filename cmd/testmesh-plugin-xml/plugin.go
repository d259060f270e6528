//go:build libxml2 && cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxDocumentBytes bounds a document; libxml2 takes some ten times as much
	// memory.
	maxDocumentBytes = 16 << 20
	// minTurns is how many judgements there are at a time, at least.
	minTurns = 4
)

// xsd is the plugin.
type xsd struct {
	version string
	lib     library
	turns   chan struct{} // one for each judgement at a time
	left    atomic.Int32  // judgements that nobody waits for any more
}

func newPlugin(version string) *xsd {
	return &xsd{version: version, lib: start(), turns: make(chan struct{}, max(minTurns, runtime.GOMAXPROCS(0)))}
}

// EndRun has nothing to drop.
func (x *xsd) EndRun(string) {}

// Close has nothing to release.
func (x *xsd) Close() error { return nil }

// Health says when half of the turns are taken by judgements that nobody waits
// for: libxml2 cannot be stopped, but the process can be replaced.
func (x *xsd) Health(context.Context) error {
	if n := x.left.Load(); int(n) >= cap(x.turns)/2 {
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
	Schema     *string `json:"schema"`
	SchemaFile *string `json:"schema_file"`
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
	c, err := readConfig(req.Config)
	if err != nil {
		return nil, err
	}
	schema, err := c.schema(req)
	if err != nil {
		return nil, err
	}
	document, err := c.document(req)
	if err != nil {
		return nil, err
	}
	judged, err := x.judge(ctx, schema, document)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(judged)
	if err != nil {
		return nil, err
	}
	return &plugin.Response{Result: text}, nil
}

func readConfig(text []byte) (*config, error) {
	c := &config{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(c)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &kind) && kind.Field != "":
		return nil, refuse(kind.Field, kind.Field+" takes a text")
	}
	if _, key, ok := strings.Cut(err.Error(), "unknown field "); ok { // encoding/json has no type for it
		key = strings.Trim(key, `"`)
		return nil, refuse(key, "there is no key "+key)
	}
	return nil, refuse("", "the config is no JSON object: "+err.Error())
}

// schema is what the config names.
func (c *config) schema(req *plugin.Request) ([]file, error) {
	switch {
	case c.Schema != nil && c.SchemaFile != nil:
		return nil, refuse("schema", "schema and schema_file exclude each other")
	case c.Schema != nil && !isInline(*c.Schema):
		return nil, refuse("schema", "schema takes the schema's text, schema_file its path")
	case c.Schema != nil:
		files, err := schemaFiles(req, *c.Schema)
		if err != nil {
			return nil, refuse("schema", unreadable(err))
		}
		return files, nil
	case c.SchemaFile == nil || *c.SchemaFile == "" || isInline(*c.SchemaFile):
		return nil, refuse("schema_file", "schema_file takes the path of a schema")
	}
	files, err := schemaFiles(req, *c.SchemaFile)
	if err != nil {
		return nil, refuse("schema_file", unreadable(err))
	}
	return files, nil
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("file", "there is no file "+*c.File)
	}
	if err != nil {
		return nil, refuse("file", unreadable(err))
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
func (x *xsd) judge(ctx context.Context, files []file, document []byte) (*result, error) {
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
		return nil, refuse("", fmt.Sprintf("schema_errors takes a document and a schema, not %d arguments", len(args)))
	}
	document, ok := args[0].(string)
	if !ok {
		return nil, refuse("document", "the document is no text; an answer's text is body, not xml")
	}
	schemaFile, ok := args[1].(string)
	if !ok {
		return nil, refuse("schema", "the schema is neither the path of a file nor a schema as text")
	}
	text, err := inText(document)
	if err != nil {
		return nil, err
	}
	files, err := schemaFiles(&plugin.Request{Root: req.Root, Dir: req.Dir}, schemaFile)
	if err != nil {
		return nil, inFunction(refuse("schema", unreadable(err)))
	}
	judged, err := x.judge(ctx, files, text)
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
	if path.Base(name) == inline {
		e = refuse("schema", "the schema is wrong")
	}
	for i, p := range wrong.problems {
		line := finding{p.Line, p.Column, p.Message}.String()
		if p.File != "" && path.Base(p.File) != inline {
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

// unreadable is why a file was not read, without the machine's own paths.
func unreadable(err error) string {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return "read " + failed.Path + ": " + failed.Err.Error()
	}
	return err.Error()
}

func late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &plugin.Error{Code: plugin.CodeTimeout, Blame: plugin.BlameAgent, Message: "the document was not judged in the step's time"}
}
