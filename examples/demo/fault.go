package demo

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	faultLatency    = "latency"
	faultStatus     = "status"
	faultWrongPrice = "wrong-price"
	faultDrop       = "drop"
	faultReset      = "reset"
	faultDrip       = "drip"
	faultEndless    = "endless"
	faultTruncate   = "truncate"
	faultMalformed  = "malformed"
	faultDuplicate  = "duplicate-keys"
)

const (
	// maxFaults bounds the rules of a tenant and the faults of one request.
	maxFaults = 100
	// maxLatency is the longest that one request is made to wait.
	maxLatency = time.Minute
)

// faultKind says what a fault does and how its value is read; check is nil where
// it has none.
type faultKind struct {
	name, summary string
	check         func(value string) error
}

func faultKinds() []faultKind {
	return []faultKind{
		{faultLatency, "waits before it answers, =200ms", duration},
		{faultStatus, "answers with an error status, =500, without doing anything", errorStatus},
		{faultWrongPrice, "takes 0.90 off the total of an order that is created", nil},
		{faultDrop, "closes the connection without an answer or having done anything", nil},
		{faultReset, "resets the connection (TCP RST) without an answer or having done anything", nil},
		{faultDrip, "sends the answer byte by byte, =20ms apart", duration},
		{faultEndless, "sends a body that does not end", nil},
		{faultTruncate, "announces 100 bytes more than it sends, then closes the connection", nil},
		{faultMalformed, "cuts off the end of the body and leaves a comma: no JSON any more", nil},
		{faultDuplicate, "writes the first key of a JSON object twice, with two values", nil},
	}
}

func duration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < 0 || d > maxLatency {
		return badRequest("%.40q is not a duration up to %s", value, maxLatency)
	}
	return nil
}

func errorStatus(value string) error {
	_, err := whole("status ", value, 0, 400, 599)
	return err
}

// Fault is one rule of /__faults: which requests it strikes and how often.
type Fault struct {
	Kind   string `json:"fault"`
	Value  string `json:"value,omitempty"`
	Path   string `json:"path,omitempty"`   // a prefix of whole segments; "": every path
	Method string `json:"method,omitempty"` // "": every method
	Count  int    `json:"count,omitempty"`  // how many requests it still strikes; 0: all

	spent bool
}

func (f *Fault) check() error {
	kinds := faultKinds()
	at := slices.IndexFunc(kinds, func(k faultKind) bool { return k.name == f.Kind })
	switch {
	case at < 0:
		var names []string
		for _, kind := range kinds {
			names = append(names, kind.name)
		}
		return badRequest("the fault %.40q is none of %s", f.Kind, strings.Join(names, ", "))
	case f.Value != "" && kinds[at].check == nil:
		return badRequest("the fault %s takes no value", f.Kind)
	case f.Path != "" && !strings.HasPrefix(f.Path, "/"):
		return badRequest("the path %.40q does not begin with /", f.Path)
	case f.Count < 0:
		return badRequest("the count %d is negative", f.Count)
	case f.Value != "":
		return kinds[at].check(f.Value)
	}
	return nil
}

func (f *Fault) strikes(r *http.Request) bool {
	prefix := strings.TrimSuffix(f.Path, "/")
	return !f.spent && (f.Method == "" || strings.EqualFold(f.Method, r.Method)) &&
		(r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/"))
}

// faults are those that strike one request.
type faults []Fault

func (fs faults) has(kind string) bool {
	return slices.ContainsFunc(fs, func(f Fault) bool { return f.Kind == kind })
}

func (fs faults) duration(kind string, otherwise time.Duration) (time.Duration, bool) {
	at := slices.IndexFunc(fs, func(f Fault) bool { return f.Kind == kind })
	if at < 0 {
		return 0, false
	}
	if d, err := time.ParseDuration(fs[at].Value); err == nil {
		return d, true
	}
	return otherwise, true
}

// chosenFaults are those of the header, which concern this request alone, and
// the tenant's rules. Control paths have none, so that faults can be switched
// off again.
func (c *call) chosenFaults() (faults, error) {
	if strings.HasPrefix(c.r.URL.Path, "/__") {
		return nil, nil
	}
	var chosen faults
	for _, header := range c.r.Header.Values("X-Fault") {
		for text := range strings.SplitSeq(header, ",") {
			var f Fault
			f.Kind, f.Value, _ = strings.Cut(strings.TrimSpace(text), "=")
			if err := f.check(); err != nil {
				return nil, err
			}
			if chosen = append(chosen, f); len(chosen) > maxFaults {
				return nil, badRequest("X-Fault has more than %d faults", maxFaults)
			}
		}
	}
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	for _, f := range c.tenant.faults {
		if !f.strikes(c.r) {
			continue
		}
		chosen = append(chosen, *f)
		if f.Count > 0 {
			f.Count--
			f.spent = f.Count == 0
		}
	}
	return chosen, nil
}

// getFaults lists the rules that may still strike.
func getFaults(c *call) error {
	rules := []Fault{}
	c.tenant.mu.Lock()
	for _, f := range c.tenant.faults {
		if !f.spent {
			rules = append(rules, *f)
		}
	}
	c.tenant.mu.Unlock()
	return c.json(http.StatusOK, map[string]any{"faults": rules})
}

// putFaults replaces the rules.
func putFaults(c *call) error {
	var body struct {
		Faults []*Fault `json:"faults"`
	}
	if err := c.read(&body); err != nil {
		return err
	}
	if len(body.Faults) > maxFaults {
		return badRequest("%d faults are more than %d", len(body.Faults), maxFaults)
	}
	for i, f := range body.Faults {
		if f == nil {
			return badRequest("faults[%d] is null", i)
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	c.tenant.mu.Lock()
	c.tenant.faults = body.Faults
	c.tenant.mu.Unlock()
	return getFaults(c)
}

func deleteFaults(c *call) error {
	c.tenant.mu.Lock()
	c.tenant.faults = nil
	c.tenant.mu.Unlock()
	return c.noContent()
}

// run answers, through the faults that strike.
func (c *call) run(h handler) {
	if d, ok := c.faults.duration(faultLatency, 200*time.Millisecond); ok && !c.wait(d) {
		panic(http.ErrAbortHandler)
	}
	if at := slices.IndexFunc(c.faults, func(f Fault) bool { return f.Kind == faultStatus }); at >= 0 {
		code, err := strconv.Atoi(c.faults[at].Value)
		if err != nil {
			code = http.StatusInternalServerError
		}
		h = func(*call) error {
			return refuse(code, "fault", "this is the fault that was asked for: status %d", code)
		}
	}
	switch {
	case c.faults.has(faultReset):
		c.hangUp(true)
	case c.faults.has(faultDrop):
		c.hangUp(false)
	case c.faults.has(faultEndless):
		c.endless()
	case c.faults.has(faultDrip), c.faults.has(faultTruncate), c.faults.has(faultMalformed), c.faults.has(faultDuplicate):
		c.garble(h)
	default:
		if err := h(c); err != nil {
			c.answerError(err)
		}
	}
}

// String is how X-Fault names the fault.
func (f Fault) String() string {
	if f.Value == "" {
		return f.Kind
	}
	return fmt.Sprintf("%s=%s", f.Kind, f.Value)
}
