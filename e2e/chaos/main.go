// Command chaos breaks a control plane and its agents while they work, and judges what
// came of it by a witness of its own: a system under test that writes down which
// attempt of which run did what, and when. Each row is one kind of fault on real
// processes; a row whose fault did not happen has failed. It never believes what the
// control plane says of itself where the witness can say it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.bin, "bin", ".cache/chaos/testmesh", "the binary, built with the tag fault")
	flag.StringVar(&o.only, "only", "", "rows by their names, separated by commas; empty: all of the tier")
	flag.StringVar(&o.tier, "tier", "full", "full or ci")
	flag.StringVar(&o.off, "off", "", "a protection to turn off")
	flag.BoolVar(&o.red, "red", false, "turn each protection off, one after the other, and want its rows to fail")
	flag.Uint64Var(&o.seed, "seed", 0, "of what is random; 0: another one each time")
	flag.StringVar(&o.keep, "keep", "", "leave data and logs in this folder")
	list := flag.Bool("list", false, "print the rows and end")
	flag.Parse()
	if *list {
		for _, r := range rows() {
			fmt.Printf("%-4s %s\n", r.name, r.title)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options are what was asked for.
type options struct {
	bin, only, tier, off, keep string
	red                        bool
	seed                       uint64
	out                        io.Writer
}

// row is a kind of fault.
type row struct {
	name, title string
	// full and ci are how long faults come in each tier; 0: the row is not in it.
	full, ci time.Duration
	// red are the protections whose absence the row must notice.
	red []string
	run func(ctx context.Context, t *trial)
}

// bound is how long a row may take beyond its faults: ten times what it does take.
const bound = 3 * time.Minute

func rows() []row {
	return slices.Concat(agentRows(), streamRows(), queueRows(), crashRows(), clusterRows())
}

func (o options) run(ctx context.Context) error {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	chosen, err := o.choose()
	if err != nil {
		return err
	}
	if o.red {
		return o.proveRed(ctx, chosen)
	}
	fmt.Fprintf(o.out, "seed %d, tier %s\n", o.seed, o.tier)
	var failed []string
	began := time.Now()
	for _, r := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t, err := o.trial(ctx, r, o.off)
		if err != nil {
			return err
		}
		if len(t.broken) > 0 {
			failed = append(failed, r.name)
		}
	}
	fmt.Fprintf(o.out, "%d rows in %s\n", len(chosen), time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s; -seed %d has the same faults", strings.Join(failed, ", "), o.seed)
	}
	return nil
}

// choose gives the rows that were asked for.
func (o options) choose() (chosen []row, err error) {
	names := strings.FieldsFunc(strings.ToLower(o.only), func(r rune) bool { return r == ',' })
	for _, r := range rows() {
		named := slices.Contains(names, strings.ToLower(r.name))
		if named || len(names) == 0 && (o.tier == "full" || r.ci > 0) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) < max(1, len(names)) {
		return nil, fmt.Errorf("-only %q: there is no such row", o.only)
	}
	if o.tier != "full" && o.tier != "ci" {
		return nil, fmt.Errorf("-tier %q is neither full nor ci", o.tier)
	}
	return chosen, nil
}

// proveRed wants each row to fail without each protection that it is the proof of.
func (o options) proveRed(ctx context.Context, chosen []row) error {
	var green []string
	for _, r := range chosen {
		for _, protection := range r.red {
			if o.off != "" && o.off != protection {
				continue
			}
			fmt.Fprintf(o.out, "%s with %s: ", r.name, protection)
			quiet := o
			quiet.out = io.Discard
			t, err := quiet.trial(ctx, r, protection)
			if err != nil {
				return err
			}
			if len(t.broken) == 0 {
				fmt.Fprintln(o.out, "GREEN, which it must not be")
				green = append(green, r.name+" with "+protection)
				continue
			}
			fmt.Fprintf(o.out, "red, as it must be: %s\n", t.broken[0])
		}
	}
	if len(green) > 0 {
		return fmt.Errorf("green without their protection: %s", strings.Join(green, "; "))
	}
	return nil
}

// trial runs a row once.
func (o options) trial(ctx context.Context, r row, off string) (t *trial, err error) {
	dir, err := os.MkdirTemp(o.keep, "chaos-"+r.name+"-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if o.keep == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	t = &trial{
		name: r.name, dir: dir, bin: o.bin, off: off, seed: o.seed, long: r.full, red: o.red,
		rng: rand.New(rand.NewPCG(o.seed, uint64(len(r.title)))), witness: newWitness(),
	}
	if o.tier == "ci" && r.ci > 0 {
		t.long = r.ci
	}
	defer t.witness.Close()
	fmt.Fprintf(o.out, "%-4s %s\n", r.name, r.title)
	began := time.Now()
	running, cancel := context.WithTimeoutCause(ctx, t.long+bound, errors.New("the row hangs"))
	t.guarded(running, r.run)
	cancel()
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	t.print(o.out, time.Since(began))
	return t, nil
}
