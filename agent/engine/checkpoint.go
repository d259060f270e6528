package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Checkpoint is what a teardown elsewhere needs of a run. Data holds values as they
// are, also secret ones: whoever keeps it seals it.
type Checkpoint struct {
	Data []byte
	// Resources are what is tracked and not removed yet, for people; masked.
	Resources []string
}

// Teardown is what a teardown elsewhere starts with.
type Teardown struct {
	// Data is that of the newest Checkpoint; empty: there was none, and nothing is
	// known but the flow.
	Data []byte
	// Attempt is the one that was lost: values that differ by attempt are its own.
	Attempt int
	// Status and Reason are how the run's events say that it ended; a teardown never
	// makes anything green: Passed and Skipped are taken for Errored.
	Status event.Status
	Reason string
}

// checkpointVersion is that of Checkpoint.Data.
const checkpointVersion = 1

// conceal masks a secret from now on, here and in a teardown elsewhere.
func (x *run) conceal(name, secret string) error {
	if err := x.mask.Add(name, secret); err != nil {
		return err
	}
	if x.r.Keep != nil {
		x.hiding.Lock()
		defer x.hiding.Unlock()
		if x.hidden == nil {
			x.hidden = map[string]string{}
		}
		x.hidden[secret] = name
	}
	return nil
}

// keepFrom tells whoever keeps checkpoints that there is something to tear down.
func (x *run) keepFrom(f *frame) {
	if x.r.Keep == nil || !TearsDown(x.r.Program) {
		return
	}
	x.top, x.needs = f, needsOf(f.prog.Teardown...)
	x.keepChanged()
}

// TearsDown says whether a flow has a teardown, or tracks anything.
func TearsDown(prog *flow.Program) bool {
	found := len(prog.Teardown) > 0
	walkProgram(prog, map[*flow.Program]bool{}, func(s *flow.Step) { found = found || len(s.Track) > 0 })
	return found
}

func (x *run) keepChanged() {
	if x.needs != nil {
		x.r.Keep(x.checkpoint)
	}
}

// checkpoint makes the newest one.
func (x *run) checkpoint() Checkpoint {
	f := x.top
	doc := map[string]any{"v": int64(checkpointVersion), "status": f.soFar()}
	outputs, steps := x.given(f)
	doc["outputs"], doc["steps"], doc["env"] = outputs, steps, f.env.made()
	if first := f.failure(); first != nil {
		doc["failed"] = map[string]any{"id": first.id, "name": first.name, "status": string(first.status)}
	}
	x.hiding.Lock()
	hidden := make(map[string]any, len(x.hidden))
	for secret, name := range x.hidden {
		hidden[secret] = name
	}
	x.hiding.Unlock()
	doc["hidden"] = hidden
	var out Checkpoint
	var tracked []any
	x.mu.Lock()
	for _, res := range x.tracked {
		if res.gone {
			continue
		}
		one := map[string]any{"type": res.kind, "id": res.id, "names": res.names, "config": res.config}
		if res.cleanup != nil {
			one["cleanup"] = cleanupAddress(res.cleanup)
		}
		if res.problem != nil {
			one["problem"] = res.problem.Message
		}
		tracked = append(tracked, one)
		out.Resources = append(out.Resources, x.mask.String(res.kind+" "+res.id))
	}
	x.mu.Unlock()
	doc["tracked"] = tracked
	out.Data = value.Append(nil, doc)
	return out
}

// given is what the steps so far gave of what teardown reads.
func (x *run) given(f *frame) (outputs, steps map[string]any) {
	outputs, steps = map[string]any{}, map[string]any{}
	f.layer.mu.RLock()
	written, records := maps.Clone(f.layer.outputs), maps.Clone(f.layer.steps)
	f.layer.mu.RUnlock()
	for name, w := range written {
		if paths, wanted := x.needs.of(name); wanted {
			outputs[name] = pruned(w.value, paths)
		}
	}
	for id, r := range records {
		paths, wanted := x.needs.of(id)
		if !wanted && !x.needs.outcomes {
			continue
		}
		one := map[string]any{"status": string(r.status)}
		if wanted && len(r.outputs) > 0 {
			one["outputs"] = r.outputs
		}
		if wanted && r.result.has {
			one["result"] = r.result.pruned(paths)
		}
		steps[id] = one
	}
	return outputs, steps
}

// pruned is what of a result some paths read; members that nothing reads are not made.
func (r result) pruned(paths [][]string) any {
	out := map[string]any{}
	for _, p := range paths {
		if len(p) == 0 {
			return r.whole()
		}
		v, ok := r.member(p[0])
		if !ok {
			return r.whole()
		}
		out[p[0]] = v
	}
	return pruned(out, paths)
}

// made are the values that were read: elsewhere they may be others, where they hold
// the time, a random value or a variable of the agent's process.
func (e *envValues) made() map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]any{}
	for name, v := range e.values {
		if v.err == nil {
			out[name] = v.value
		}
	}
	return out
}

// remember keeps what the clean-up of a resource reads besides its config, which is
// expanded already.
func (x *run) remember(r *stepRun, res *resource) {
	if x.needs == nil || res.cleanup == nil {
		return
	}
	s := &scope{f: r.p.f, l: r.p.l, tracked: &r.own}
	rest := *res.cleanup
	if rest.Spec != nil {
		rest.Config = nil // expanded already
	}
	res.names = map[string]any{}
	for name, paths := range needsOf(&rest).paths {
		if name == "secret" {
			continue // found elsewhere too
		}
		if v, ok, err := s.Lookup(name); ok && err == nil {
			res.names[name] = pruned(v, paths)
		}
	}
}

// cleanupAddress names a clean-up in any compilation of the same files.
func cleanupAddress(s *flow.Step) string {
	return s.Pos.File + ":" + strconv.Itoa(s.Pos.Line) + ":" + strconv.Itoa(s.Pos.Column)
}

// tearDown runs teardown and clean-up from what a lost attempt has kept.
func (x *run) tearDown(f *frame, p *place) ending {
	t := x.r.Teardown
	end := ending{status: t.Status, reason: t.Reason}
	if end.status != event.Failed && end.status != event.Cancelled {
		end.status = event.Errored
	}
	if err := x.restoreFrom(f, t.Data); err != nil {
		end.status, end.reason = event.Errored, err.Error()
		end.err = &event.Error{Code: string(source.CodeInternal), Message: err.Error(), Blame: "testmesh"}
		end.left = append(end.left, "teardown: "+err.Error())
		p.skipAll(f.prog.Teardown, event.PhaseTeardown, err.Error())
		return end
	}
	x.keepFrom(f)
	if len(f.prog.Teardown) > 0 {
		var down summary
		x.protect("teardown", func() {
			last, done := x.lastContext(f.prog.Config.TeardownTimeout, x.r.NoTeardown)
			defer done()
			down = p.in(event.PhaseTeardown).list(last, f.prog.Teardown)
		})
		if down.bad() || down.cancelled > 0 {
			what := "teardown did not complete"
			if down.first != nil {
				what += ": step " + down.first.id
				if down.first.err != nil {
					what += ": " + down.first.err.Message
				}
			}
			end.left = append(end.left, what)
		}
	}
	x.cleanUp(&end, x.r.NoTeardown)
	return end
}

// restoreFrom makes the frame what it was.
func (x *run) restoreFrom(f *frame, data []byte) error {
	f.settle(event.Errored)
	if len(data) == 0 {
		return nil
	}
	v, err := value.Decode(data)
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	doc, _ := v.(map[string]any)
	if version, _ := value.Int(doc["v"]); version != checkpointVersion {
		return errors.New("read checkpoint: it is of another version")
	}
	object := func(key string) map[string]any { m, _ := doc[key].(map[string]any); return m }
	hidden := object("hidden")
	for secret, name := range hidden {
		if err := x.conceal(value.Text(name), secret); err != nil {
			return fmt.Errorf("read checkpoint: hide %s: %w", value.Text(name), err)
		}
	}
	if status, _ := doc["status"].(string); status == string(event.Failed) || status == string(event.Cancelled) {
		f.settle(event.Status(status))
	}
	const origin = "the attempt before"
	f.layer.outputs = map[string]*written{}
	for name, v := range object("outputs") {
		f.layer.outputs[name] = &written{value: v, origin: origin}
	}
	f.layer.steps = map[string]*record{}
	known, cleanups := stepsByName(f.prog)
	for id, v := range object("steps") {
		one, _ := v.(map[string]any)
		status, _ := one["status"].(string)
		rec := &record{step: known[id], status: event.Status(status)}
		if rec.step == nil {
			continue // nothing of this flow can read it
		}
		rec.outputs, _ = one["outputs"].(map[string]any)
		if v, has := one["result"]; has {
			rec.result = given(v)
		}
		f.layer.steps[id] = rec
	}
	f.env.values = map[string]envValue{}
	for name, v := range object("env") {
		f.env.values[name] = envValue{value: v, origin: origin}
	}
	tracked, _ := doc["tracked"].([]any)
	for _, v := range tracked {
		one, _ := v.(map[string]any)
		res, err := restoreResource(f, cleanups, one)
		if err != nil {
			return err
		}
		x.tracked = append(x.tracked, res)
	}
	return nil
}

func restoreResource(f *frame, cleanups map[string]*flow.Step, one map[string]any) (*resource, error) {
	res := &resource{frame: f, restored: true, kind: value.Text(one["type"]), id: value.Text(one["id"]), config: one["config"]}
	names, _ := one["names"].(map[string]any)
	res.scope = scope{f: f, l: f.layer.child(names)}
	if address, ok := one["cleanup"].(string); ok {
		if res.cleanup = cleanups[address]; res.cleanup == nil {
			return nil, fmt.Errorf("read checkpoint: there is no clean-up at %s", address)
		}
	}
	if problem, ok := one["problem"].(string); ok {
		res.problem = &event.Error{Code: string(source.CodeConfig), Message: problem, Blame: "definition"}
	}
	return res, nil
}

// stepsByName are the steps of a flow by id, and all clean-ups by their address.
func stepsByName(prog *flow.Program) (known, cleanups map[string]*flow.Step) {
	known, cleanups = map[string]*flow.Step{}, map[string]*flow.Step{}
	for _, s := range slices.Concat(prog.Setup, prog.Steps, prog.OnError, prog.Teardown) {
		walkSteps(s, func(s *flow.Step) { known[s.ID] = s })
	}
	walkProgram(prog, map[*flow.Program]bool{}, func(s *flow.Step) {
		for _, t := range s.Track {
			if t.Cleanup != nil {
				cleanups[cleanupAddress(t.Cleanup)] = t.Cleanup
			}
		}
	})
	return known, cleanups
}
