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
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
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
	flag.IntVar(&o.side, "side", 4, "how many rows are tried at once: most of the time they wait")
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
	side                       int
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
	rows, err := o.choose()
	if err != nil {
		return err
	}
	if o.red {
		return o.proveRed(ctx, rows)
	}
	return o.all(ctx, rows)
}

// all tries rows, and wants none to fail.
func (o options) all(ctx context.Context, rows []row) error {
	fmt.Fprintf(o.out, "seed %d, tier %s, %d rows, %d at once; each is printed when it has ended\n", o.seed, o.tier, len(rows), o.side)
	var list []chosen
	for _, r := range rows {
		list = append(list, chosen{r, o.off})
	}
	var failed []string
	began := time.Now()
	err := o.sideBySide(ctx, list, func(c chosen, t *trial) {
		t.print(o.out, c.title)
		if len(t.wrong()) > 0 {
			failed = append(failed, c.name)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%d rows in %s, %d failed\n", len(list), time.Since(began).Round(time.Second), len(failed))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s; -seed %d has the same faults", strings.Join(failed, ", "), o.seed)
	}
	return nil
}

// chosen is a row that is to be tried, with a protection that is off in it, or none.
type chosen struct {
	row
	off string
}

// sideBySide tries some at once, and tells of each that has ended, of one after the other.
func (o options) sideBySide(ctx context.Context, list []chosen, ended func(chosen, *trial)) error {
	var told sync.Mutex
	ports := newPorts()
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(max(1, o.side))
	for _, c := range list {
		all.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t, err := o.trial(ctx, c, ports)
			if err != nil {
				return err
			}
			told.Lock()
			defer told.Unlock()
			ended(c, t)
			return nil
		})
	}
	return all.Wait()
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
func (o options) proveRed(ctx context.Context, rows []row) error {
	var list []chosen
	for _, r := range rows {
		for _, protection := range r.red {
			if o.off == "" || o.off == protection {
				list = append(list, chosen{r, protection})
			}
		}
	}
	var green []string
	began := time.Now()
	err := o.sideBySide(ctx, list, func(c chosen, t *trial) {
		if len(t.broken) == 0 { // a fault that did not happen has shown nothing
			fmt.Fprintf(o.out, "%-4s %-16s GREEN, which it must not be\n", c.name, c.off)
			for _, line := range t.unseen {
				fmt.Fprintln(o.out, "    ", line)
			}
			green = append(green, c.name+" with "+c.off)
			return
		}
		fmt.Fprintf(o.out, "%-4s %-16s red, as it must be: %s\n", c.name, c.off, firstLine(t.broken[0]))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%d protections turned off in %s, %d rows did not notice\n", len(list), time.Since(began).Round(time.Second), len(green))
	if len(green) > 0 {
		return fmt.Errorf("green without their protection: %s", strings.Join(green, "; "))
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// trial tries a row once.
func (o options) trial(ctx context.Context, c chosen, ports *ports) (t *trial, err error) {
	dir, err := os.MkdirTemp(o.keep, "chaos-"+c.name+"-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if o.keep == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	t = &trial{
		name: c.name, dir: dir, bin: o.bin, off: c.off, seed: o.seed, long: c.full, short: o.tier == "ci", red: o.red,
		rng: rand.New(rand.NewPCG(o.seed, uint64(len(c.title)))), witness: newWitness(), ports: ports,
	}
	if t.short && c.ci > 0 {
		t.long = c.ci
	}
	defer t.witness.Close()
	began := time.Now()
	running, cancel := context.WithTimeoutCause(ctx, t.long+bound, errors.New("the row hangs"))
	t.guarded(running, c.run)
	cancel()
	t.lasted = time.Since(began)
	return t, errors.Join(t.untried, ctx.Err())
}
