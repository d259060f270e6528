package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/testmesh/testmesh/"

// floor is the least share of statements that tests must have executed in the
// trees it names together; no tree means the whole product.
type floor struct {
	name    string
	trees   []string
	percent float64
}

var floors = []floor{
	{"language and engine", []string{"flow", "agent/engine"}, 85},
	{"whole", nil, 80},
}

// profile maps a block, "file:start,end statements" as the profile writes it,
// to whether any test executed it. The same block in two profiles is one block.
type profile map[string]bool

// add reads one profile in the text format of `go test -coverprofile`.
func (p profile) add(r io.Reader) error {
	lines := bufio.NewScanner(r)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "mode: ") {
		return errors.New("not a coverage profile")
	}
	for lines.Scan() {
		block, count, ok := cutLast(lines.Text(), " ")
		if !ok {
			return fmt.Errorf("unexpected line %q", lines.Text())
		}
		n, err := strconv.ParseUint(count, 10, 64)
		if err != nil {
			return fmt.Errorf("count of %q: %w", lines.Text(), err)
		}
		p[block] = p[block] || n > 0
	}
	return lines.Err()
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// tally counts statements.
type tally struct{ covered, all int }

func (t tally) percent() float64 {
	if t.all == 0 {
		return 0
	}
	return 100 * float64(t.covered) / float64(t.all)
}

// byPackage adds the statements up by package, relative to the module.
// Generated code is left out: its tests are its generator's. So is what is no
// part of the product, in folders that begin with a dot.
func (p profile) byPackage() (map[string]tally, error) {
	sums := map[string]tally{}
	for block, covered := range p {
		file, rest, ok := strings.Cut(block, ":")
		_, count, ok2 := cutLast(rest, " ")
		statements, err := strconv.Atoi(count)
		if !ok || !ok2 || err != nil {
			return nil, fmt.Errorf("unexpected block %q", block)
		}
		if strings.HasSuffix(file, ".pb.go") {
			continue
		}
		pkg := strings.TrimPrefix(path.Dir(file), module)
		if strings.HasPrefix(pkg, ".") {
			continue
		}
		sum := sums[pkg]
		sum.all += statements
		if covered {
			sum.covered += statements
		}
		sums[pkg] = sum
	}
	return sums, nil
}

// checkCoverage prints what each package has and fails below a floor.
func checkCoverage(p profile, floors []floor, out io.Writer) error {
	sums, err := p.byPackage()
	if err != nil {
		return err
	}
	for _, pkg := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(out, "  %5.1f %%  %s\n", sums[pkg].percent(), pkg)
	}
	var low []error
	for _, f := range floors {
		var total tally
		for pkg, sum := range sums {
			if f.holds(pkg) {
				total.covered += sum.covered
				total.all += sum.all
			}
		}
		fmt.Fprintf(out, "%7.1f %%  %s (at least %.0f %%)\n", total.percent(), f.name, f.percent)
		if total.percent() < f.percent {
			low = append(low, fmt.Errorf("coverage of the %s is %.1f %%, below %.0f %%", f.name, total.percent(), f.percent))
		}
	}
	return errors.Join(low...)
}

// holds says whether a package counts for the floor.
func (f floor) holds(pkg string) bool {
	return len(f.trees) == 0 || slices.ContainsFunc(f.trees, func(tree string) bool {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	})
}
