package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Info is what a plugin says of itself.
type Info struct {
	// Name is the part of its actions before the dot: [a-z][a-z0-9_]*.
	Name string
	// Version as in semver.org 2.0.
	Version string
	// Summary in one sentence.
	Summary string
}

// Part is an action, a function or a hook of a plugin.
type Part interface {
	addTo(p *authored) error
}

type part func(p *authored) error

func (f part) addTo(p *authored) error { return f(p) }

// New makes a plugin of its parts. It opens nothing. A mistake of the author (a
// type that JSON has not, a tag that does not fit, two actions of one name)
// panics with all of them in words: it shows in the first test, and as soon as
// the program starts.
func New(info Info, parts ...Part) Plugin {
	p, err := build(info, parts)
	if err != nil {
		panic(fmt.Errorf("plugin %s: %w", info.Name, err))
	}
	return p
}

func build(info Info, parts []Part) (*authored, error) {
	p := &authored{
		descriptor: &testmeshv1.Descriptor{Name: info.Name, Version: info.Version, Summary: info.Summary},
		actions:    make(map[string]*action), functions: make(map[string]*function),
	}
	var mistakes []error
	if !isName(info.Name) {
		mistakes = append(mistakes, fmt.Errorf("the name %q is not [a-z][a-z0-9_]*", info.Name))
	}
	if !isVersion(info.Version) {
		mistakes = append(mistakes, fmt.Errorf("the version %q is not one of three numbers, as 1.0.0", info.Version))
	}
	if info.Summary == "" {
		mistakes = append(mistakes, errors.New("there is no summary"))
	}
	for _, one := range parts {
		mistakes = append(mistakes, one.addTo(p))
	}
	if len(p.actions)+len(p.functions) == 0 {
		mistakes = append(mistakes, errors.New("it has neither an action nor a function"))
	}
	return p, errors.Join(mistakes...)
}

// isName tells whether a name can stand in an action or expression.
func isName(name string) bool {
	for i, r := range name {
		if r < 'a' || r > 'z' {
			if i == 0 || r != '_' && (r < '0' || r > '9') {
				return false
			}
		}
	}
	return name != ""
}

func isVersion(version string) bool {
	numbers, _, _ := strings.Cut(strings.ReplaceAll(version, "+", "-"), "-")
	parts := strings.Split(numbers, ".")
	for _, n := range parts {
		if n == "" || strings.Trim(n, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 3
}

// authored is a Plugin made of parts.
type authored struct {
	descriptor *testmeshv1.Descriptor
	actions    map[string]*action
	functions  map[string]*function
	configure  []func(context.Context, Host) error
	health     []func(context.Context) error
	closing    []func() error
	host       Host
	runs       runs
}

// Describe gives the descriptor.
func (p *authored) Describe() *testmeshv1.Descriptor { return p.descriptor }

// Configure keeps the host for the calls and tells the author's hooks.
func (p *authored) Configure(ctx context.Context, host Host) error {
	p.host = host
	for _, hook := range p.configure {
		if err := hook(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// Health asks the author's hooks.
func (p *authored) Health(ctx context.Context) error {
	for _, hook := range p.health {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Execute decodes the config, runs the author's function and prints its result.
func (p *authored) Execute(ctx context.Context, req *Request, out Stream) (*Response, error) {
	a := p.actions[req.Action]
	if a == nil {
		return nil, &Error{Code: CodeConfig, Blame: BlameDefinition, Message: fmt.Sprintf("there is no action %s", req.Action)}
	}
	call := &Call{req: req, out: out, run: p.runs.of(req.RunID), host: p.host}
	defer call.end()
	began := time.Now()
	result, err := a.run(ctx, call)
	if err != nil {
		return nil, call.fault(ctx, err, began)
	}
	return call.response(result), nil
}

// EndRun closes what was kept for the run.
func (p *authored) EndRun(runID string) { p.runs.end(runID) }

// Close ends the runs that are left, and then calls the author's hooks.
func (p *authored) Close() error {
	faults := []error{p.runs.close()}
	for _, hook := range p.closing {
		faults = append(faults, hook())
	}
	return errors.Join(faults...)
}

// OnConfigure is told about the host, before the first call. An error ends the
// plugin with it.
func OnConfigure(f func(ctx context.Context, host Host) error) Part {
	return part(func(p *authored) error {
		p.configure = append(p.configure, f)
		return nil
	})
}

// OnHealth is asked whether the plugin still works, and answers within a second.
// A plugin that gives an error is replaced by a new process.
func OnHealth(f func(ctx context.Context) error) Part {
	return part(func(p *authored) error {
		p.health = append(p.health, f)
		return nil
	})
}

// OnClose releases what belongs to no run, once, after the last call.
func OnClose(f func() error) Part {
	return part(func(p *authored) error {
		p.closing = append(p.closing, f)
		return nil
	})
}

// action is one action, ready to run.
type action struct {
	spec *testmeshv1.Action
	run  func(ctx context.Context, call *Call) (json.RawMessage, error)
}

// Action is an action of the plugin: name is the part after the dot. In is the
// config and Out the result, both a struct (or a map); their schemas are
// reflected from the fields and tags, and what does not fit is refused before
// run is called. docs/plugins.md lists the tags. An error of run is best made by
// Failf, Errorf, Definitionf or NetError; run returns within two seconds once
// ctx has ended.
func Action[In, Out any](name, summary string, run func(ctx context.Context, call *Call, in In) (Out, error), options ...Option) Part {
	return part(func(p *authored) error {
		full := p.descriptor.GetName() + "." + name
		a := &action{spec: &testmeshv1.Action{Name: full, Summary: summary}}
		in, inErr := objectShape(reflect.TypeFor[In](), "config")
		out, outErr := objectShape(reflect.TypeFor[Out](), "result")
		mistakes := []error{inErr, outErr}
		if !isName(name) {
			mistakes = append(mistakes, fmt.Errorf("the name %q is not [a-z][a-z0-9_]*, without the plugin's", name))
		}
		if summary == "" {
			mistakes = append(mistakes, errors.New("there is no summary"))
		}
		if run == nil {
			mistakes = append(mistakes, errors.New("there is no function"))
		}
		if inErr == nil && outErr == nil {
			a.spec.ConfigSchema, a.spec.ResultSchema = string(in.schema(nil)), string(out.schema(nil))
		}
		for _, option := range options {
			mistakes = append(mistakes, option.apply(a.spec, out))
		}
		if rules := a.spec.GetEffects(); len(rules) == 0 || rules[len(rules)-1].GetWhen() != "" {
			mistakes = append(mistakes, Once().apply(a.spec, out)) // what holds where nothing is said
		}
		a.run = func(ctx context.Context, call *Call) (json.RawMessage, error) {
			return runTyped(ctx, call, in, out, run)
		}
		for _, taken := range append([]string{full}, a.spec.GetAliases()...) {
			if p.named(taken) {
				mistakes = append(mistakes, fmt.Errorf("the name %s is taken", taken))
			}
		}
		p.actions[full] = a
		p.descriptor.Actions = append(p.descriptor.Actions, a.spec)
		return within("action "+full, mistakes)
	})
}

// named tells whether an action has this name or alias.
func (p *authored) named(name string) bool {
	for _, spec := range p.descriptor.GetActions() {
		for _, other := range append([]string{spec.GetName()}, spec.GetAliases()...) {
			if other == name {
				return true
			}
		}
	}
	return false
}

// within says where mistakes were made.
func within(where string, mistakes []error) error {
	err := errors.Join(mistakes...)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", where, err)
}

func runTyped[In, Out any](ctx context.Context, call *Call, in, out *shape, run func(context.Context, *Call, In) (Out, error)) (json.RawMessage, error) {
	config := call.req.Config
	if len(config) == 0 || string(config) == "null" {
		config = json.RawMessage("{}")
	}
	var typed In
	d := decoder{owner: call.req.Action}
	err := d.decode(in, config, reflect.ValueOf(&typed).Elem(), "")
	call.run.secrets.add(d.secrets...)
	if err != nil {
		return nil, err
	}
	result, runErr := run(ctx, call, typed)
	if runErr != nil {
		return nil, runErr
	}
	var e encoder
	if err := e.encode(out, reflect.ValueOf(&result).Elem(), ""); err != nil {
		return nil, &Error{Code: CodePlugin, Blame: BlamePlugin, Cause: err, Message: fmt.Sprintf("the result of %s cannot be printed: %s", call.req.Action, err)}
	}
	call.run.secrets.add(e.secrets...)
	return e.out, nil
}
