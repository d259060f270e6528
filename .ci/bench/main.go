// Command bench prints what a run costs, each figure beside a bare program that
// does the same requests in the same minute: ratios stand where times depend on
// the machine. It judges only when it is asked to, by -most; a figure over its
// goal is shown as one, and a run that did not do its requests is an error.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// limit bounds one process: the slowest takes seconds.
const limit = 2 * time.Minute

func main() {
	bin := flag.String("bin", "bin/testmesh", "the binary to measure")
	rounds := flag.Int("rounds", 7, "pairs of runs for each figure; cold starts get five times as many")
	only := flag.String("only", "", "measure one figure: coldstart, step, parallel, memory, validate, plugins, protocols, mesh or scale")
	most := flag.Float64("most", 0, "fail where a step of a protocol is over so many times its goal; 0: show it only")
	flag.Parse()
	if err := run(*bin, *only, *rounds, *most, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what the figures share: programs, a folder of flows, the server.
type bench struct {
	testmesh, floor, client, dir, url string
	rounds                            int
	most                              float64
	out                               io.Writer
	missed                            []error // figures over most times their goal
	servers                           []*exec.Cmd
}

func run(bin, only string, rounds int, most float64, out io.Writer) (err error) {
	figures, err := choose(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "testmesh-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir, rounds: rounds, most: most, out: out}
	if b.testmesh, err = filepath.Abs(bin); err != nil {
		return err
	}
	if b.floor, err = b.build("floor"); err != nil {
		return err
	}
	stop, err := b.serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := b.writeFlows(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%-34s %12s %12s %9s   %s\n", "", "testmesh", "bare", "ratio", "goal")
	for _, f := range figures {
		if err := f.measure(b); err != nil {
			return err
		}
	}
	return errors.Join(b.missed...)
}

// build makes one of the bare programs.
func (b *bench) build(name string) (string, error) {
	program := filepath.Join(b.dir, name)
	text, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./.ci/bench/"+name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return program, nil
}

// figure is a group of rows that are measured together.
type figure struct {
	name    string
	measure func(*bench) error
}

// choose gives the figure of that name; all where none is named.
func choose(only string) ([]figure, error) {
	all := []figure{
		{"coldstart", (*bench).coldStart},
		{"step", (*bench).step},
		{"parallel", (*bench).parallel},
		{"memory", (*bench).memory},
		{"validate", (*bench).validate},
		{"plugins", (*bench).plugins},
		{"protocols", (*bench).protocols},
		{"mesh", (*bench).mesh},
		{"scale", (*bench).scale},
	}
	if only == "" {
		return all, nil
	}
	for _, f := range all {
		if f.name == only {
			return []figure{f}, nil
		}
	}
	return nil, fmt.Errorf("-only %q: no such figure", only)
}

// serve starts the server in a process of its own, so that its memory and time
// are nobody's.
func (b *bench) serve() (stop func(), err error) {
	cmd := exec.Command(b.floor, "serve")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	b.url = strings.TrimSpace(line)
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// cost is what one process took.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

// process runs a program to its end, wants exit code 0 and, where requests is
// not negative, that very number of them at the server.
func (b *bench) process(requests int, program string, args ...string) (cost, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	began := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(began)}
	if err != nil {
		return c, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, tail(text.String()))
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = usage.Maxrss * 1024
	}
	asked, err := b.asked()
	if err == nil && requests >= 0 && asked != requests {
		err = fmt.Errorf("%s %s: %d requests, want %d", filepath.Base(program), strings.Join(args, " "), asked, requests)
	}
	return c, err
}

func tail(text string) string {
	const most = 2000
	return text[max(0, len(text)-most):]
}

// asked reads and resets the server's count.
func (b *bench) asked() (int, error) {
	res, err := http.Get(b.url + "/asked")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// pairs measures both programs in turn and gives the medians.
func (b *bench) pairs(rounds, requests int, ours, floor []string) (us, them cost, err error) {
	return inTurn(rounds,
		func() (cost, error) { return b.process(requests, b.testmesh, ours...) },
		func() (cost, error) { return b.process(requests, b.floor, floor...) })
}

// beside is the same with a program whose requests go elsewhere.
func (b *bench) beside(program string, ours, theirs []string) (us, them cost, err error) {
	return inTurn(b.rounds,
		func() (cost, error) { return b.process(-1, b.testmesh, ours...) },
		func() (cost, error) { return b.process(-1, program, theirs...) })
}

func inTurn(rounds int, ours, theirs func() (cost, error)) (us, them cost, err error) {
	var all, bare []cost
	for range rounds {
		c, err := ours()
		if err != nil {
			return us, them, err
		}
		all = append(all, c)
		if c, err = theirs(); err != nil {
			return us, them, err
		}
		bare = append(bare, c)
	}
	return median(all), median(bare), nil
}

func median(all []cost) cost {
	middle := func(of func(cost) int64) int64 {
		var values []int64
		for _, c := range all {
			values = append(values, of(c))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return cost{
		wall: time.Duration(middle(func(c cost) int64 { return int64(c.wall) })),
		cpu:  time.Duration(middle(func(c cost) int64 { return int64(c.cpu) })),
		peak: middle(func(c cost) int64 { return c.peak }),
	}
}

func (b *bench) row(name string, ours, floor any, ratio float64, goal string, met bool) {
	shown := ""
	if ratio > 0 {
		shown = fmt.Sprintf("%.2f", ratio)
	}
	if goal != "" && !met {
		goal += "  OVER"
	}
	fmt.Fprintf(b.out, "%-34s %12v %12v %9s   %s\n", name, ours, floor, shown, goal)
}

// judged is a row whose figure is so many times its goal.
func (b *bench) judged(name string, ours, floor any, ratio float64, goal string, times float64) {
	b.row(name, ours, floor, ratio, goal, times <= 1)
	if b.most > 0 && times > b.most {
		b.missed = append(b.missed, fmt.Errorf("%s is %.1f times its goal, %s", name, times, goal))
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
func us(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/1e3) }
func mib(n int64) string        { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func over(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// coldStart is a whole process with one GET and one assertion.
func (b *bench) coldStart() error {
	ours, floor, err := b.pairs(5*b.rounds, 1, []string{"run", "get.testmesh.yaml"}, []string{"get", b.url})
	if err != nil {
		return err
	}
	wall := over(ours.wall, floor.wall)
	b.row("cold start, wall", ms(ours.wall), ms(floor.wall), wall, "2.50", wall <= 2.5)
	b.row("cold start, CPU", ms(ours.cpu), ms(floor.cpu), over(ours.cpu, floor.cpu), "", true)
	b.row("cold start, peak memory", mib(ours.peak), mib(floor.peak), 0, "25 MiB", ours.peak <= 25<<20)
	sum, err := b.initSum()
	if err != nil {
		return err
	}
	b.row("package init, summed", ms(sum), "", 0, "5 ms", sum < 5*time.Millisecond)
	return nil
}

var initLine = regexp.MustCompile(`(?m)^init \S+ @\S+ ms, ([\d.]+) ms clock`)

// initSum adds up what GODEBUG=inittrace=1 says.
func (b *bench) initSum() (time.Duration, error) {
	cmd := exec.Command(b.testmesh, "run", "get.testmesh.yaml")
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "GODEBUG=inittrace=1")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("trace init: %w\n%s", err, tail(string(text)))
	}
	found := initLine.FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		return 0, errors.New("trace init: nothing was traced")
	}
	var sum time.Duration
	for _, match := range found {
		clock, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(clock * 1e6)
	}
	_, err = b.asked()
	return sum, err
}

// step is what one more step costs once the flow is compiled: POST, three
// assertions, one output; ten in a flow, one flow after the other.
func (b *bench) step() error {
	measure := func(flows int) (us, them cost, err error) {
		requests := fmt.Sprint(flows * steps)
		ours := []string{"run", "steps.testmesh.yaml", "--iterations", fmt.Sprint(flows), "--parallel", "1", "--format", "quiet"}
		return b.pairs(b.rounds, flows*steps, ours, []string{"steps", b.url, requests})
	}
	const flows = 200
	ours, floor, err := measure(flows)
	if err != nil {
		return err
	}
	one, bare, err := measure(1)
	if err != nil {
		return err
	}
	each := func(many, one time.Duration) time.Duration { return (many - one) / (steps * (flows - 1)) }
	wall, bareWall := each(ours.wall, one.wall), each(floor.wall, bare.wall)
	cpu, bareCPU := each(ours.cpu, one.cpu), each(floor.cpu, bare.cpu)
	b.row("a step, wall", us(wall), us(bareWall), over(wall, bareWall), "1.50", over(wall, bareWall) <= 1.5)
	b.row("a step, CPU", us(cpu), us(bareCPU), over(cpu, bareCPU), "1.60", over(cpu, bareCPU) <= 1.6)
	return nil
}

// parallel is a thousand flows of two requests, start of the process included.
func (b *bench) parallel() error {
	n, width := "1000", "8"
	ours, floor, err := b.pairs(b.rounds, 2000, []string{"run", "two.testmesh.yaml", "--iterations", n, "--parallel", width, "--format", "quiet"}, []string{"flows", b.url, n, width})
	if err != nil {
		return err
	}
	perMinute := func(wall time.Duration) string { return fmt.Sprintf("%.0fk", 60*1000/wall.Seconds()/1000) }
	share := over(floor.wall, ours.wall)
	b.row("1,000 flows, flows a minute", perMinute(ours.wall), perMinute(floor.wall), share, "0.65", share >= 0.65)
	b.row("1,000 flows, CPU", ms(ours.cpu), ms(floor.cpu), over(ours.cpu, floor.cpu), "", true)
	return nil
}

// memory is the peak over ten thousand flows in one process.
func (b *bench) memory() error {
	ours, err := b.process(20000, b.testmesh, "run", "two.testmesh.yaml", "--iterations", "10000", "--parallel", "8", "--format", "quiet")
	if err != nil {
		return err
	}
	b.row("10,000 flows, peak memory", mib(ours.peak), "", 0, "", true)
	b.row("10,000 flows, wall", ms(ours.wall), "", 0, "", true)
	return nil
}

// validate checks five hundred files.
func (b *bench) validate() error {
	var all []cost
	for range b.rounds {
		c, err := b.process(0, b.testmesh, "validate", "many")
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	c := median(all)
	b.row(fmt.Sprintf("validate of %d flows, wall", files), ms(c.wall), "", 0, "1 s", c.wall < time.Second)
	b.row(fmt.Sprintf("validate of %d flows, peak memory", files), mib(c.peak), "", 0, "", true)
	return nil
}
