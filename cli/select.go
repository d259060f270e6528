package cli

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/tag"
)

// selection says which flows a command means.
type selection struct {
	tags, exclude []string
	requireAll    bool
	suites        []string
	explain       bool
	lastFailed    bool
	shard         string
}

func (f *selection) flags(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.tags, "tag", "t", nil, "flows whose tags match an expression: smoke, a,b (or), a+b (and), !a; several are or-ed")
	fl.BoolVar(&f.requireAll, "require-all", false, "and several --tag instead")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "leave out flows whose tags match this expression")
	fl.StringArrayVar(&f.suites, "suite", nil, "flows of this suite; may be repeated")
	fl.BoolVar(&f.explain, "explain", false, "say for each flow why it is selected or not, and run nothing")
	fl.BoolVar(&f.lastFailed, "last-failed", false, "only what did not pass in the last run of this project")
	fl.StringVar(&f.shard, "shard", "", "the i-th of n parts of the runs, as i/n")
}

// filter is a compiled selection.
type filter struct {
	tags, exclude []*tag.Expr
	all           bool
	suites        []string
	last          map[string]bool // file#name; nil: not asked
}

func (f *selection) compile() (*filter, error) {
	out := &filter{all: f.requireAll, suites: f.suites}
	parse := func(flag string, texts []string, into *[]*tag.Expr) error {
		for _, text := range texts {
			e, err := tag.Parse(text)
			if err != nil {
				return usage(`for example --tag "smoke+!flaky"`, "--%s %q: %w", flag, text, err)
			}
			*into = append(*into, e)
		}
		return nil
	}
	if err := parse("tag", f.tags, &out.tags); err != nil {
		return nil, err
	}
	return out, parse("exclude", f.exclude, &out.exclude)
}

// why tells whether a flow is selected, and the reason.
func (f *filter) why(p *flow.Program) (selected bool, reason string) {
	if f.last != nil && !f.last[p.File+"#"+p.Name] {
		return false, "it passed in the last run, or was not in it"
	}
	if len(f.suites) > 0 && !slices.Contains(f.suites, p.Suite) {
		return false, fmt.Sprintf("suite %q is not asked for", p.Suite)
	}
	for _, e := range f.exclude {
		if e.Match(p.Tags) {
			return false, fmt.Sprintf("excluded by %s: %s", e, e.Explain(p.Tags))
		}
	}
	if len(f.tags) == 0 {
		return true, "no --tag was given"
	}
	var no []string
	for _, e := range f.tags {
		said := fmt.Sprintf("%s: %s", e, e.Explain(p.Tags))
		switch match := e.Match(p.Tags); {
		case match && !f.all:
			return true, said
		case !match && f.all:
			return false, said
		default:
			no = append(no, said)
		}
	}
	return f.all, strings.Join(no, "; ")
}

// parseShard reads i/n.
func parseShard(text string) (i, n int, err error) {
	if text == "" {
		return 1, 1, nil
	}
	left, right, ok := strings.Cut(text, "/")
	i, errI := strconv.Atoi(left)
	n, errN := strconv.Atoi(right)
	if !ok || errI != nil || errN != nil || n < 1 || i < 1 || i > n {
		return 0, 0, usage("for example --shard 2/5", "--shard %q is not i/n with i from 1 to n", text)
	}
	return i, n, nil
}

// parseVars reads NAME=VALUE.
func parseVars(texts []string) (map[string]string, error) {
	out := make(map[string]string, len(texts))
	for _, text := range texts {
		name, v, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usage("write --var NAME=VALUE", "--var %q has no value", text)
		}
		out[name] = v
	}
	return out, nil
}

// unreadVars is the problem of a --var that no selected flow reads.
func unreadVars(vars map[string]string, programs []*flow.Program) error {
	read := map[string]bool{}
	names := map[string]bool{}
	for _, p := range programs {
		for _, n := range p.VarsRead {
			read[n] = true
		}
		for _, in := range p.Inputs {
			names[in.Name] = true
		}
		for _, e := range p.Env {
			names[e.Name] = true
		}
	}
	var unread []string
	for n := range vars {
		if !read[n] {
			unread = append(unread, n)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	sort.Strings(unread)
	var known []string
	for n := range names {
		known = append(known, n)
	}
	sort.Strings(known)
	hint := source.Suggest(unread[0], known)
	if hint == "" && len(known) > 0 {
		hint = "the selected flows read: " + strings.Join(known, ", ")
	}
	return usage(hint, "--var %s: no selected flow reads it", unread[0])
}

// flowKey names a flow in the record of the last run.
func flowKey(p *flow.Program) string { return path.Clean(p.File) + "#" + p.Name }
