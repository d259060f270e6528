package plugintest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Config says which plugin is tried and how.
type Config struct {
	// Command starts the plugin: the first word is absolute, relative to Dir where
	// it has a slash, or looked up in PATH.
	Command []string
	// Dir is the folder it is started in.
	Dir string
	// Env are variables as NAME=value. The plugin sees these, those of the handshake
	// and a HOME and TMPDIR of its own, and nothing else of the kit's environment.
	Env []string
	// Plugin makes the plugin for a run inside this process, in place of Command.
	// The wire is then one in memory, and the cases about processes are left out.
	Plugin func() plugin.Plugin
	// Descriptor is what the plugin must say of itself, as in a lock file; nil
	// where nobody wrote it down.
	Descriptor *testmeshv1.Descriptor
	// Conformance says how the plugin can be exercised.
	Conformance Conformance
	// Vars are placeholders of configs beyond those of Conformance.
	Vars map[string]any
	// Only names the cases to try, by id; empty: all.
	Only []string
	// Temp is the folder for what the kit writes; empty: the system's.
	Temp string
}

// caseTimeout bounds one case, whatever the plugin does.
const caseTimeout = 2 * time.Minute

// settling is how long a process that seems to have died is waited for.
const settling = time.Second

// Check tries the cases in their order and hands each outcome to report, which
// may be nil, as soon as it is known. It returns all of them; the error is for a
// config that no case can be tried with, and for a ctx that ended.
func Check(ctx context.Context, c Config, report func(Outcome)) ([]Outcome, error) {
	k, chosen, err := newKit(c)
	if err != nil {
		return nil, err
	}
	defer k.close()
	var all []Outcome
	for _, one := range chosen {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		o := k.try(ctx, one)
		all = append(all, o)
		if report != nil {
			report(o)
		}
	}
	return all, nil
}

// T is the part of *testing.T that Run needs, so that what links the kit for the
// command line does not link the testing package.
type T[Self any] interface {
	Helper()
	Context() context.Context
	Run(name string, f func(Self)) bool
	Log(args ...any)
	Fatal(args ...any)
	Skip(args ...any)
}

// Run tries each case as a subtest named for its id: plugintest.Run(t, config).
// A case that lacks something is a skipped test.
func Run[Self T[Self]](t Self, c Config) {
	t.Helper()
	k, chosen, err := newKit(c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	for _, one := range chosen {
		t.Run(one.id, func(t Self) {
			t.Helper()
			o := k.try(t.Context(), one)
			for _, f := range o.Figures {
				t.Log(f)
			}
			switch o.Status {
			case Passed:
			case Inapplicable:
				t.Log("does not apply:", o.Message)
			case Skipped:
				t.Skip(o.Message)
			default:
				t.Fatal(o.text())
			}
		})
	}
}

// newKit checks the config and chooses the cases; it starts nothing.
func newKit(c Config) (*kit, []testCase, error) {
	if (len(c.Command) == 0) == (c.Plugin == nil) {
		return nil, nil, errors.New("conformance kit: give the plugin's command or the plugin itself")
	}
	all := cases()
	for _, id := range slices.Concat(c.Only, slices.Sorted(maps.Keys(c.Conformance.Without))) {
		if !slices.ContainsFunc(all, func(one testCase) bool { return one.id == id }) {
			return nil, nil, fmt.Errorf("conformance kit: there is no case %q", id)
		}
	}
	chosen := slices.DeleteFunc(all, func(one testCase) bool {
		return len(c.Only) > 0 && !slices.Contains(c.Only, one.id) || c.Plugin != nil && one.process
	})
	k := &kit{config: c}
	k.world.given = c.Vars
	k.world.server = c.Conformance.Server
	k.world.dir = c.Dir
	return k, chosen, nil
}

// missing is why a case could not be tried: what to add to the manifest.
type missing string

func (m missing) Error() string { return string(m) }

// inapplicable is why a case has nothing to try.
type inapplicable string

func (i inapplicable) Error() string { return string(i) }

// unless gives the reason why there is nothing to try, where the descriptor says
// so, and else what is missing.
func (k *kit) unless(ctx context.Context, reason string, has func(*testmeshv1.Descriptor) bool, absent missing) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	d, err := s.describe(ctx)
	if err != nil {
		return err
	}
	if !has(d) {
		return inapplicable(reason)
	}
	return absent
}

// try runs one case and says how it ended.
func (k *kit) try(ctx context.Context, one testCase) Outcome {
	o := Outcome{ID: one.id, Title: one.title, Why: one.why, Fix: one.fix, Status: Failed}
	began := time.Now()
	k.figures = nil
	err := k.unstartable
	if err == nil || one.alone {
		ctx, end := context.WithTimeout(ctx, caseTimeout)
		err = k.protect(ctx, one)
		end()
	} else {
		err = missing("it was not tried, because the plugin cannot be started: see the case handshake")
	}
	o.Took, o.Figures = time.Since(began), k.figures
	var absent missing
	var nothing inapplicable
	without := k.config.Conformance.Without[one.id]
	switch {
	case err == nil:
		o.Status = Passed
	case errors.As(err, &nothing):
		o.Status, o.Message = Inapplicable, err.Error()
	case errors.As(err, &absent) && without != "" && k.unstartable == nil:
		o.Status, o.Message = Inapplicable, "the manifest says: "+without
	case errors.As(err, &absent):
		o.Status, o.Message = Skipped, err.Error()
	default:
		o.Message = err.Error()
	}
	return o
}

// protect runs a case; a process that died on it is the case's fault.
func (k *kit) protect(ctx context.Context, one testCase) error {
	err := one.run(ctx, k)
	var l *lost
	if k.shared != nil && k.shared.process != nil && errors.As(err, &l) {
		k.shared.process.ends(settling) // its end may be under way
	}
	if k.shared != nil && k.shared.gone() {
		died := k.shared.process.lastWords()
		k.drop()
		var absent missing
		var nothing inapplicable
		if err == nil || errors.As(err, &absent) || errors.As(err, &nothing) {
			return fmt.Errorf("the process ended: %s", died)
		}
		return fmt.Errorf("%w; the process ended: %s", err, died)
	}
	return err
}

// Summary counts outcomes in one line: "28 passed, 2 skipped".
func Summary(all []Outcome) string {
	counts := map[Status]int{}
	for _, o := range all {
		counts[o.Status]++
	}
	var parts []string
	for _, status := range []Status{Passed, Failed, Skipped, Inapplicable} {
		if n := counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if len(parts) == 0 {
		return "nothing was tried"
	}
	return strings.Join(parts, ", ")
}
