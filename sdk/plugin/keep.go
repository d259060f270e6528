package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// maxEndFaults bounds what Close has to say of the ends of runs.
const maxEndFaults = 10

// runState is what a plugin keeps for a run: connections, subscriptions, pools,
// and what must not be shown.
type runState struct {
	secrets secrets
	covered covered

	mu    sync.Mutex
	ended bool
	kept  map[string]*keeping
	order []*keeping // as they were opened
}

// keeping is one thing that is kept, or on its way to be.
type keeping struct {
	key     string
	done    chan struct{} // closed when opening has ended
	value   any
	err     error
	release func() error
}

// Keep gives what the plugin keeps under key for the run of this call, and opens
// it where nothing is kept yet: a connection, a pool, a subscription that later
// steps use. Open gives it with the function that closes it, which is called
// once: at the end of the run, by Drop, or when the plugin ends. Calls that ask
// for one key at the same time wait for one open; where it errors nothing is
// kept and the next call opens again. What is opened outlives the call, so it
// must not end with ctx.
func Keep[T any](ctx context.Context, call *Call, key string, open func() (T, func() error, error)) (T, error) {
	for {
		k, opening, err := call.run.slot(key)
		if err != nil {
			return *new(T), err
		}
		if opening {
			return opened(call.run, k, open)
		}
		if err := mayWait(ctx, k.done); err != nil {
			return *new(T), err
		}
		if k.err != nil {
			continue // it was another call's error: this one tries itself
		}
		return as[T](k)
	}
}

func opened[T any](run *runState, k *keeping, open func() (T, func() error, error)) (value T, err error) {
	crashed := true
	defer func() {
		if crashed { // others wait for it
			_ = run.opened(k, nil, nil, errors.New("its opening crashed"))
		}
	}()
	value, release, err := open()
	crashed = false
	return value, run.opened(k, value, release, err)
}

// Kept gives what Keep keeps under key for the run, and false where it keeps
// nothing.
func Kept[T any](call *Call, key string) (T, bool) {
	call.run.mu.Lock()
	k := call.run.kept[key]
	call.run.mu.Unlock()
	if k == nil {
		return *new(T), false
	}
	select {
	case <-k.done:
	default:
		return *new(T), false // it is being opened
	}
	value, err := as[T](k)
	return value, err == nil
}

// KeptKeys lists the keys under which something is kept for the run, those that
// begin with prefix, in the order in which they were opened.
func KeptKeys(call *Call, prefix string) []string {
	call.run.mu.Lock()
	defer call.run.mu.Unlock()
	var keys []string
	for _, k := range call.run.order {
		if strings.HasPrefix(k.key, prefix) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// Drop closes what is kept under key before the run ends, and gives what its
// close gave. Where nothing is kept it does nothing.
func Drop(call *Call, key string) error {
	r := call.run
	r.mu.Lock()
	k := r.kept[key]
	if k == nil || !isDone(k.done) {
		r.mu.Unlock()
		return nil
	}
	delete(r.kept, key)
	r.order = slices.DeleteFunc(r.order, func(other *keeping) bool { return other == k })
	r.mu.Unlock()
	return k.close()
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func as[T any](k *keeping) (T, error) {
	value, ok := k.value.(T)
	if !ok || k.err != nil {
		return value, &Error{
			Code: CodePlugin, Blame: BlamePlugin,
			Message: fmt.Sprintf("what is kept as %q is a %T, not a %T", k.key, k.value, value),
		}
	}
	return value, nil
}

// slot finds what is kept under key, or makes room for it.
func (r *runState) slot(key string) (k *keeping, opening bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, false, &Error{Code: CodePlugin, Blame: BlameAgent, Message: "the run has ended"}
	}
	if k = r.kept[key]; k != nil {
		return k, false, nil
	}
	k = &keeping{key: key, done: make(chan struct{})}
	if r.kept == nil {
		r.kept = make(map[string]*keeping)
	}
	r.kept[key] = k
	return k, true, nil
}

// opened puts what was opened in its place. Where the run ended meanwhile, it is
// closed again.
func (r *runState) opened(k *keeping, value any, release func() error, err error) error {
	r.mu.Lock()
	k.value, k.release, k.err = value, release, err
	ended := r.ended
	switch {
	case err != nil:
		delete(r.kept, k.key)
	case !ended:
		r.order = append(r.order, k)
	}
	close(k.done)
	r.mu.Unlock()
	if err == nil && ended {
		err = errors.Join(&Error{Code: CodePlugin, Blame: BlameAgent, Message: "the run has ended"}, k.close())
	}
	return err
}

func (k *keeping) close() error {
	if k.release == nil {
		return nil
	}
	if err := k.release(); err != nil {
		return fmt.Errorf("close %q: %w", k.key, err)
	}
	return nil
}

// end closes what is kept, the last opened first.
func (r *runState) end() error {
	r.mu.Lock()
	r.ended = true
	order := r.order
	r.order, r.kept = nil, nil
	r.mu.Unlock()
	var faults []error
	for _, k := range slices.Backward(order) {
		faults = append(faults, k.close())
	}
	return errors.Join(faults...)
}

// runs are the runs that a plugin has state of.
type runs struct {
	mu     sync.Mutex
	byID   map[string]*runState
	faults []error // of their ends, for Close to say
}

func (r *runs) of(id string) *runState {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := r.byID[id]
	if state == nil {
		state = &runState{}
		if r.byID == nil {
			r.byID = make(map[string]*runState)
		}
		r.byID[id] = state
	}
	return state
}

func (r *runs) end(id string) {
	r.mu.Lock()
	state := r.byID[id]
	delete(r.byID, id)
	r.mu.Unlock()
	if state == nil {
		return
	}
	err := state.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && len(r.faults) < maxEndFaults {
		r.faults = append(r.faults, fmt.Errorf("end of run %s: %w", id, err))
	}
}

// close ends every run that is left.
func (r *runs) close() error {
	r.mu.Lock()
	left := r.byID
	r.byID = nil
	r.mu.Unlock()
	var faults []error
	for _, state := range left {
		faults = append(faults, state.end())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(append(r.faults, faults...)...)
}
