package plugin

import "sync"

// maxCovered bounds what one run tells of one subject: the largest public
// schemas have about ten thousand fields.
const maxCovered = 50_000

// Coverage is what of a subject a run touched: fields of a schema, operations of
// an API.
type Coverage struct {
	// Of names the subject: "GraphQL http://127.0.0.1:7071/graphql".
	Of string
	// Unit is what is counted, in the plural: "fields".
	Unit string
	// Items are what was touched: "Product.name".
	Items []string
	// All is everything that there is to touch. Runs of one subject have the same.
	All []string
}

// covers is an optional method of a Stream.
type covers interface{ Covered(c Coverage) }

// Covered says what of a subject the call touched. A call gives all that it
// touched and all there is, every time: what the run has told before is left out
// here. Like a log it changes no verdict.
func (c *Call) Covered(v Coverage) {
	out, ok := c.stream().(covers)
	if !ok {
		return
	}
	if v = c.run.covered.news(v); len(v.Items)+len(v.All) > 0 {
		v.Of = c.mask(v.Of)
		out.Covered(v)
	}
}

// covered is what a run has told of its subjects.
type covered struct {
	mu    sync.Mutex
	items map[string]map[string]bool // by subject; there: All was told
}

// news is what of v the run has not told yet.
func (c *covered) news(v Coverage) Coverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	told, known := c.items[v.Of]
	if !known {
		told = make(map[string]bool)
		if c.items == nil {
			c.items = make(map[string]map[string]bool)
		}
		c.items[v.Of] = told
	}
	out := Coverage{Of: v.Of, Unit: v.Unit}
	if !known {
		out.All = v.All[:min(len(v.All), maxCovered)]
	}
	for _, item := range v.Items {
		if !told[item] && len(told) < maxCovered {
			told[item] = true
			out.Items = append(out.Items, item)
		}
	}
	return out
}
