package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"time"
)

type document struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []*suite `xml:"testsuite"`
}

type suite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []*testcase `xml:"testcase"`

	started time.Time
	seconds float64
}

type testcase struct {
	Name       string      `xml:"name,attr"`
	Classname  string      `xml:"classname,attr"`
	File       string      `xml:"file,attr,omitempty"`
	Line       int         `xml:"line,attr,omitempty"`
	Time       string      `xml:"time,attr"`
	Properties *properties `xml:"properties"`
	Skipped    *skipped    `xml:"skipped"`
	Error      *outcome    `xml:"error"`
	Failure    *outcome    `xml:"failure"`
	Output     *cdata      `xml:"system-out"`

	rank [3]int
	id   string
}

type properties struct {
	List []property `xml:"property"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type skipped struct {
	Message string `xml:"message,attr,omitempty"`
}

type outcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",cdata"`
}

type cdata struct {
	Text string `xml:",cdata"`
}

func (s *suite) add(c *testcase, took float64) {
	s.Tests++
	s.seconds += max(took, 0)
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func (s *suite) finish() {
	s.Time = seconds(s.seconds)
	s.Timestamp = s.started.UTC().Format("2006-01-02T15:04:05")
	slices.SortFunc(s.Cases, func(a, b *testcase) int {
		return cmp.Or(slices.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
}

// unique numbers test cases of one name: GitLab keeps the first of them only.
func unique(suites []*suite) {
	seen := map[[2]string]bool{}
	for _, s := range suites {
		for _, c := range s.Cases {
			name := c.Name
			for n := 2; seen[[2]string{c.Classname, c.Name}]; n++ {
				c.Name = fmt.Sprintf("%s #%d", name, n)
			}
			seen[[2]string{c.Classname, c.Name}] = true
		}
	}
}

func seconds(s float64) string {
	if math.IsNaN(s) || s < 0 || s > 1e9 {
		s = 0 // a clock that was set back
	}
	return fmt.Sprintf("%.3f", s)
}
