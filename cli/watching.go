package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/watch"
	"github.com/testmesh/testmesh/flow/report/text"
)

// watching is one `testmesh watch`. Its loop is one goroutine; what runs is
// another, which tells it when it has ended.
type watching struct {
	s       *State
	f       *runFlags
	own     *watchFlags
	args    []string
	style   text.Style
	project *project
	keys    <-chan byte

	looker *watch.Watcher
	files  watch.Files // what the last plans read
	// planned is the last plan; nil where it was refused, and trouble says why.
	planned *plan
	trouble error
	inputs  string            // the hash of what every flow reads: environment, --data and the like
	flows   map[string]*known // by flowKey
	last    map[string]bool   // the flows of the last runs

	news    []watch.Change // that no run has answered yet
	running *performing    // nil: idle
	started bool           // something was said already
}

// known is what is known of a flow that is watched.
type known struct {
	version string // when it last ran to its end; empty: it has not
	status  string // passed, or what it was instead
}

// errTouched is the cause of runs that a changed file stops.
var errTouched = errors.New("a file of it changed")

func newWatching(s *State, f *runFlags, own *watchFlags, args []string, style text.Style, p *project) *watching {
	return &watching{
		s: s, f: f, own: own, args: args, style: style, project: p,
		looker: watch.New(), files: watch.Files{Files: map[string]string{}}, flows: map[string]*known{},
	}
}

// loop answers changes, keys and signals until it is ended.
func (w *watching) loop(ctx context.Context) error {
	changed := w.await(ctx)
	w.turn(w.stale())
	for {
		var ended <-chan performed
		if w.running != nil {
			ended = w.running.ended
		}
		select {
		case changes := <-changed:
			w.changed(changes)
			changed = w.await(ctx)
		case done := <-ended:
			if leave, err := w.ended(done); leave {
				return err
			}
		case key := <-w.keys:
			if leave := w.key(key); leave {
				return nil
			}
		case sig := <-w.s.Signals:
			if leave, err := w.signal(sig); leave {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// await looks for changes, once.
func (w *watching) await(ctx context.Context) <-chan []watch.Change {
	out := make(chan []watch.Change, 1)
	go func() {
		if changes := w.looker.Next(ctx); len(changes) > 0 {
			out <- changes
		}
	}()
	return out
}

// changed plans anew. What runs is stopped where it is touched, else it ends
// before anything else begins.
func (w *watching) changed(changes []watch.Change) {
	before := w.files.Files
	w.replan(time.Now())
	changes = append(changes, w.added(changes, before)...)
	w.news = append(w.news, changes...)
	if w.running == nil {
		w.turn(w.stale())
		return
	}
	names := w.shownChanges(changes)
	if names == "" {
		return // a folder's entries; what it means is seen when the runs have ended
	}
	if touched := w.touched(); len(touched) > 0 {
		w.say("%s: stopping what runs, to begin again with %s", names, some(touched, "flow"))
		w.running.stop(errTouched)
		return
	}
	w.say("%s: seen to when the runs have ended", names)
}

// added are the files that a changed folder has now and that were read.
func (w *watching) added(changes []watch.Change, before map[string]string) (out []watch.Change) {
	folders := map[string]bool{}
	for _, c := range changes {
		folders[c.Path] = c.Dir
	}
	for _, name := range slices.Sorted(maps.Keys(w.files.Files)) {
		if _, known := before[name]; known || !folders[filepath.Dir(name)] {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			out = append(out, watch.Change{Path: name, What: watch.Added})
		}
	}
	return out
}

// touched are the names of the flows that run as they are no longer.
func (w *watching) touched() (names []string) {
	if w.planned == nil {
		return nil // what is wrong is said when the runs have ended
	}
	now := map[string]string{}
	for _, fl := range w.planned.flows {
		now[flowKey(fl.Program)] = fl.Program.Version
	}
	unfinished := w.running.tracker.unfinished()
	for _, fl := range w.running.plan.flows {
		key := flowKey(fl.Program)
		if unfinished[key] && (now[key] != fl.Program.Version || w.inputs != w.running.inputs) {
			names = append(names, fl.Program.Name)
		}
	}
	return names
}

// turn runs flows, or says why nothing runs, and what is waited for.
func (w *watching) turn(want map[string]bool) {
	news := w.news
	w.news = nil
	switch {
	case w.trouble != nil:
		w.header(w.shownChanges(news), nil)
		w.showTrouble()
	case len(want) > 0:
		pl := w.subset(want)
		w.header(w.shownChanges(news), pl.flows)
		w.last = want
		w.perform(pl)
		return
	default:
		if names := w.shownChanges(news); names != "" {
			w.header(names, nil)
			w.say("no flow runs because of it")
		} else if w.started {
			return // nothing was said, and nothing has to be
		}
	}
	w.idle()
}

const passedWord = "passed"

// ended takes what the runs came to. leave: the command ends with err.
func (w *watching) ended(done performed) (leave bool, err error) {
	p := w.running
	w.running = nil
	for _, fl := range p.plan.flows {
		key := flowKey(fl.Program)
		k := &known{version: fl.Program.Version, status: p.tracker.status(key)}
		if k.status == "" {
			k.status = "not run"
		}
		if errors.Is(p.cause, errTouched) && k.status == "cancelled" || p.inputs != w.inputs {
			k.version = ""
		}
		w.flows[key] = k
	}
	if p.leaving != nil {
		return true, p.leaving
	}
	var exit *exitError
	if done.err != nil && (!errors.As(done.err, &exit) || exit.code != batch.ExitUsage) {
		return true, done.err // reports cannot be written any more
	}
	if done.err != nil {
		w.say("testmesh: %s", done.err)
	}
	w.remember()
	want := w.stale()
	if len(want) == 0 && w.trouble == nil && w.shownChanges(w.news) == "" {
		w.idle()
		return false, nil
	}
	w.turn(want)
	return false, nil
}

// remember keeps what does not pass for run --last-failed.
func (w *watching) remember() {
	if w.planned == nil {
		return
	}
	var res batch.Result
	for _, fl := range w.planned.flows {
		if k := w.flows[flowKey(fl.Program)]; k != nil && k.status != "" && k.status != passedWord {
			res.NotPassed = append(res.NotPassed, fl.Program)
		}
	}
	// The record is a convenience; a project that cannot be written to is watched
	// all the same.
	_ = w.s.remember(w.planned, w.f, res)
}
