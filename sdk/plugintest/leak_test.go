package plugintest

import (
	"strings"
	"testing"
)

// rounds are measurements of memory in MiB, one a round.
func rounds(memory ...float64) []usage {
	var after []usage
	for _, m := range memory {
		after = append(after, usage{files: 10, memory: m * 1024})
	}
	return after
}

// line is memory that grows by so many MiB each round.
func line(n int, from, by float64) []usage {
	var after []usage
	for i := range n {
		after = append(after, usage{files: 10, memory: (from + float64(i)*by) * 1024})
	}
	return after
}

// files are open files, one measurement a round.
func files(n int, from, by float64) []usage {
	after := line(n, 30, 0)
	for i := range after {
		after[i].files = from + float64(i)*by
	}
	return after
}

func TestWhatAddsUpIsALeakAndWhatComesAndGoesIsNone(t *testing.T) {
	// What a leak of 32 KiB a call makes of a round, were nothing else in memory.
	const bare = leakCalls * leakPayload / 1024.0 / 1024
	tests := map[string]struct {
		after  []usage
		judged int // the round after which it is known
		want   string
	}{
		"nothing grows":                    {line(24, 12, 0), 3, ""},
		"it shrinks":                       {line(24, 40, -1), 3, ""},
		"noise of a small collector":       {rounds(11.2, 11.7, 11.5, 11.6, 12.5), 3, ""},
		"one page a call":                  {line(24, 12, leakCalls*4/1024.0), 3, ""},
		"a plugin in Node, as measured":    {rounds(64, 100, 124, 150, 165, 163, 162, 180, 196, 180, 172, 173, 174, 173), 12, ""},
		"Node with default settings":       {rounds(76, 140, 182, 205, 229, 245, 259, 260, 261, 268, 273, 270, 268, 270, 272, 271, 273, 272), 15, ""},
		"a collector that starts late":     {rounds(30, 60, 90, 120, 150, 180, 190, 190, 190, 190, 190, 190, 190, 190, 190, 190), 15, ""},
		"a leak in Go, as measured":        {line(24, 56, 35), 12, "KiB of memory"},
		"a leak and no garbage":            {line(24, 20, bare), 24, "KiB of memory"},
		"a leak of half of the payload":    {line(24, 20, bare/2), 24, "KiB of memory"},
		"a leak with memory to be checked": {line(24, 200, 114), 5, "KiB of memory"},
		// What a collector of Go holds beside what is alive is given back at the very
		// moment that is measured: twice what is alive is down to what is alive.
		"a leak, and garbage until then":             {rounds(2*bare, 4*bare, 3*bare), 0, ""},
		"a leak, and one round gives back":           {append(line(8, 56, 35), usage{10, 160 << 10}, usage{10, 190 << 10}), 0, ""},
		"a leak, and the collector takes every time": {rounds(2*bare, 2*bare, 3*bare, 4*bare, 5*bare, 6*bare), 0, ""},

		"a pool of connections":     {append(files(1, 10, 0), files(23, 60, 0)...), 6, ""},
		"a file a call":             {files(24, 10, leakCalls), 2, "500 calls left 500 files open that were not before, 510 in all"},
		"a file a session":          {files(24, 10, leakRuns), 24, "files open"},
		"a few files now and then":  {files(24, 10, 1), 3, ""},
		"as many as a big pool has": {append(files(1, 10, 0), files(23, 10+manyFiles, 0)...), 6, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			judged, round := false, 0
			var found error
			for !judged && round < len(test.after) {
				round++
				judged, found = leak(test.after[:round], leakCalls)
			}
			if !judged {
				round = 0
			}
			if round != test.judged {
				t.Errorf("judged after round %d (%v), want %d", round, found, test.judged)
			}
			said := ""
			if found != nil {
				said = found.Error()
			}
			if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
				t.Errorf("found %q, want %q", said, test.want)
			}
		})
	}
}

func TestAProtocolThatCarriesLessIsCalledMoreOften(t *testing.T) {
	for limit, want := range map[int][2]int{
		0:           {leakPayload, leakCalls},
		10 << 20:    {leakPayload, leakCalls},
		leakPayload: {leakPayload, leakCalls},
		20 << 10:    {20 << 10, leakCalls},
		10 << 10:    {10 << 10, 3 * leakCalls},
		1:           {1, leakMore * leakCalls},
	} {
		if size, calls := payloadOf(limit); [2]int{size, calls} != want {
			t.Errorf("limit %d: got %d bytes and %d calls, want %v", limit, size, calls, want)
		}
	}
}
