package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// maxParameters bounds a function's arguments.
const maxParameters = 16

// function is one function for expressions, ready to be called.
type function struct {
	name       string // "tcp.is_open"
	parameters []string
	f          reflect.Value
	context    bool // it takes a context.Context
	files      bool // it takes *Files
	in         []*shape
	variadic   bool
	fails      bool // it gives an error too
	out        *shape
}

// Files lets a function read files of the project.
type Files struct{ req *Request }

// Open opens a file, relative to the flow file.
func (f *Files) Open(name File) (*os.File, error) {
	file, err := f.req.Open(string(name))
	return file, fileFault(err, name)
}

// ReadFile reads a file, up to limit bytes.
func (f *Files) ReadFile(name File, limit int64) ([]byte, error) {
	data, err := f.req.ReadFile(string(name), limit)
	return data, fileFault(err, name)
}

// Function is a function that expressions may call as <plugin>.<name>, as a
// custom assertion for one. F is a Go function
//
//	func([ctx context.Context,] [files *Files,] a A, b B, more ...C) (R[, error])
//
// whose arguments and result are values as in a config; parameters are the names
// of its arguments for messages and completion. It changes nothing outside and
// keeps nothing.
func Function(name, summary string, f any, parameters ...string) Part {
	return part(func(p *authored) error {
		full := p.descriptor.GetName() + "." + name
		fn := &function{name: full, parameters: parameters, f: reflect.ValueOf(f)}
		mistakes := []error{fn.read()}
		if !isName(name) {
			mistakes = append(mistakes, fmt.Errorf("the name %q is not [a-z][a-z0-9_]*, without the plugin's", name))
		}
		if summary == "" {
			mistakes = append(mistakes, errors.New("there is no summary"))
		}
		if p.functions[name] != nil {
			mistakes = append(mistakes, errors.New("the name is taken"))
		}
		p.functions[name] = fn
		p.descriptor.Functions = append(p.descriptor.Functions, &testmeshv1.Function{Name: name, Summary: summary, Parameters: parameters})
		return within("function "+full, mistakes)
	})
}

// read finds out what the Go function takes and gives.
func (fn *function) read() error {
	if !fn.f.IsValid() || fn.f.Kind() != reflect.Func || fn.f.IsNil() {
		return errors.New("it is no Go function")
	}
	t := fn.f.Type()
	next := 0
	if next < t.NumIn() && t.In(next) == reflect.TypeFor[context.Context]() {
		fn.context = true
		next++
	}
	if next < t.NumIn() && t.In(next) == reflect.TypeFor[*Files]() {
		fn.files = true
		next++
	}
	fn.variadic = t.IsVariadic()
	var mistakes []error
	for ; next < t.NumIn(); next++ {
		in := t.In(next)
		if fn.variadic && next == t.NumIn()-1 {
			in = in.Elem()
		}
		s, err := shapeOf(in, "", fmt.Sprintf("argument %d", len(fn.in)+1), 0)
		fn.in, mistakes = append(fn.in, s), append(mistakes, err)
	}
	if len(fn.parameters) != len(fn.in) || len(fn.in) > maxParameters {
		mistakes = append(mistakes, fmt.Errorf("it takes %d arguments (up to %d), and %d are named", len(fn.in), maxParameters, len(fn.parameters)))
	}
	return errors.Join(append(mistakes, fn.readResults(t))...)
}

func (fn *function) readResults(t reflect.Type) (err error) {
	fn.fails = t.NumOut() == 2 && t.Out(1) == reflect.TypeFor[error]()
	if t.NumOut() != 1 && !fn.fails {
		return errors.New("it gives a value, or a value and an error")
	}
	fn.out, err = shapeOf(t.Out(0), "", "result", 0)
	return err
}

// Call runs a function.
func (p *authored) Call(ctx context.Context, req *FunctionRequest) (json.RawMessage, error) {
	fn := p.functions[req.Function]
	if fn == nil {
		return nil, &Error{Code: CodeConfig, Blame: BlameDefinition, Message: fmt.Sprintf("there is no function %s.%s", p.descriptor.GetName(), req.Function)}
	}
	arguments, err := fn.arguments(ctx, req)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	results := fn.f.Call(arguments)
	call := &Call{req: &Request{Action: fn.name}, run: &runState{}}
	if fn.fails && !results[1].IsNil() {
		return nil, call.fault(ctx, results[1].Interface().(error), began)
	}
	var e encoder
	if err := e.encode(fn.out, results[0], ""); err != nil {
		return nil, &Error{Code: CodePlugin, Blame: BlamePlugin, Cause: err, Message: fmt.Sprintf("the result of %s cannot be printed: %s", fn.name, err)}
	}
	return e.out, nil
}

// arguments reads what an expression gives; an error is nil or a *Error.
func (fn *function) arguments(ctx context.Context, req *FunctionRequest) ([]reflect.Value, error) {
	var given []json.RawMessage
	if len(req.Args) > 0 {
		if err := json.Unmarshal(req.Args, &given); err != nil {
			return nil, wrong("", "", "the arguments of %s are no list: %s", fn.name, err)
		}
	}
	least := len(fn.in)
	if fn.variadic {
		least--
	}
	if len(given) < least || len(given) > len(fn.in) && !fn.variadic {
		return nil, wrong("", "it is "+fn.name+"("+fn.signature()+")", "%s takes %s, not %d", fn.name, fn.count(), len(given))
	}
	var values []reflect.Value
	if fn.context {
		values = append(values, reflect.ValueOf(ctx))
	}
	if fn.files {
		values = append(values, reflect.ValueOf(&Files{&Request{Root: req.Root, Dir: req.Dir}}))
	}
	for i, raw := range given {
		s := fn.in[min(i, len(fn.in)-1)]
		v := reflect.New(s.goType()).Elem()
		d := decoder{}
		if err := d.decode(s, raw, v, ""); err != nil {
			return nil, fn.argument(i, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// argument names the argument that is wrong.
func (fn *function) argument(i int, err *Error) *Error {
	name := fn.parameters[min(i, len(fn.parameters)-1)]
	message := err.Message
	if err.Field != "" {
		message = err.Field + ": " + message
	}
	err.Field = ""
	err.Message = fmt.Sprintf("argument %d of %s (%s) %s", i+1, fn.name, name, message)
	return err
}

func (fn *function) signature() string {
	text := strings.Join(fn.parameters, ", ")
	if fn.variadic {
		text += ", …"
	}
	return text
}

func (fn *function) count() string {
	n := len(fn.in)
	words := "%d arguments"
	if fn.variadic {
		n, words = n-1, "%d arguments or more"
	}
	if n == 1 {
		words = strings.Replace(words, "arguments", "argument", 1)
	}
	return fmt.Sprintf(words, n)
}

// goType is the type with its pointer.
func (s *shape) goType() reflect.Type {
	if s.pointer {
		return reflect.PointerTo(s.typ)
	}
	return s.typ
}
