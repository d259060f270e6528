package text

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/testmesh/testmesh/flow/event"
)

const (
	// maxSubjects bounds the subjects of coverage that are told apart: a flow that
	// makes up addresses has no end of them.
	maxSubjects = 50
	// maxUntouched bounds the items of a subject that are listed.
	maxUntouched = 100
)

// subject is what of one thing the runs touched, all of them together.
type subject struct {
	unit         string
	all, touched map[string]bool
}

// cover adds what a run touched.
func (w *Writer) cover(c *event.Coverage) {
	s := w.covered[c.Of]
	if s == nil {
		if len(w.covered) >= maxSubjects {
			return
		}
		s = &subject{unit: cmp.Or(c.Unit, "items"), all: map[string]bool{}, touched: map[string]bool{}}
		if w.covered == nil {
			w.covered = map[string]*subject{}
		}
		w.covered[c.Of] = s
	}
	for _, item := range c.All {
		s.all[item] = true
	}
	for _, item := range c.Items {
		s.touched[item] = true
	}
}

// coverage prints a line for each subject, in verbose output with what nobody
// touched.
func (w *Writer) coverage(b *bytes.Buffer) {
	if len(w.covered) == 0 || w.options.Format == Quiet {
		return
	}
	for _, of := range slices.Sorted(maps.Keys(w.covered)) {
		s := w.covered[of]
		touched := 0
		var left []string
		for _, item := range slices.Sorted(maps.Keys(s.all)) {
			if s.touched[item] {
				touched++
			} else {
				left = append(left, item)
			}
		}
		if len(s.all) == 0 {
			continue
		}
		fmt.Fprintf(b, "COVERAGE  %s  %d of %d %s (%d %%)\n", OneLine(of), touched, len(s.all), OneLine(s.unit), 100*touched/len(s.all))
		if w.options.Format != Verbose {
			continue
		}
		for i, item := range left {
			if i == maxUntouched {
				fmt.Fprintf(b, "          and %d more\n", len(left)-i)
				break
			}
			fmt.Fprintf(b, "          untouched: %s\n", OneLine(item))
		}
	}
	b.WriteByte('\n')
}
