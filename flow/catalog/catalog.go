// Package catalog holds the descriptors of plugins as the language needs them:
// actions by name and alias, schemas, effects, expectations. It starts no
// process and never reads a file; schemas and expressions are compiled when an
// action is first used.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/value"
)

// Catalog is the set of known plugins, immutable and safe for concurrent use.
type Catalog struct {
	plugins   map[string]*testmeshv1.Descriptor
	actions   map[string]*Action // by canonical name and by alias
	functions map[string]*testmeshv1.Function
}

// New makes a catalog; it errors for two plugins with one name and for two
// actions or functions that share a name or alias. Check compiles the rest.
func New(descriptors ...*testmeshv1.Descriptor) (*Catalog, error) {
	c := &Catalog{
		plugins:   make(map[string]*testmeshv1.Descriptor, len(descriptors)),
		actions:   make(map[string]*Action, 16*len(descriptors)),
		functions: map[string]*testmeshv1.Function{},
	}
	for _, d := range descriptors {
		if err := c.add(d); err != nil {
			return nil, fmt.Errorf("plugin %s: %w", d.GetName(), err)
		}
	}
	return c, nil
}

func (c *Catalog) add(d *testmeshv1.Descriptor) error {
	if !validName(d.GetName()) {
		return fmt.Errorf("name %q is not [a-z][a-z0-9_]*", d.GetName())
	}
	if c.plugins[d.GetName()] != nil {
		return fmt.Errorf("there are two plugins of this name")
	}
	c.plugins[d.GetName()] = d
	for _, spec := range d.GetActions() {
		plugin, rest, _ := strings.Cut(spec.GetName(), ".")
		if plugin != d.GetName() || rest == "" {
			return fmt.Errorf("action %q does not begin with %q", spec.GetName(), d.GetName()+".")
		}
		a := newAction(d.GetName(), spec)
		for _, name := range append([]string{spec.GetName()}, spec.GetAliases()...) {
			if other := c.actions[name]; other != nil {
				return fmt.Errorf("action %s: the name %q already means %s", spec.GetName(), name, other.Name)
			}
			c.actions[name] = a
		}
	}
	for _, f := range d.GetFunctions() {
		name := f.GetName()
		if !strings.HasPrefix(name, d.GetName()+".") {
			name = d.GetName() + "." + name
		}
		if c.functions[name] != nil {
			return fmt.Errorf("there are two functions %q", name)
		}
		c.functions[name] = f
	}
	return nil
}

func validName(name string) bool {
	for i, r := range name {
		if r >= 'a' && r <= 'z' || i > 0 && (r == '_' || r >= '0' && r <= '9') {
			continue
		}
		return false
	}
	return name != ""
}

// Check compiles every schema, effect and expectation of the catalog and
// returns the first that does not. Plugin tests call it; a run never does.
func (c *Catalog) Check() error {
	for _, name := range c.Names() {
		if err := c.actions[name].check(); err != nil {
			return fmt.Errorf("action %s: %w", name, err)
		}
	}
	return nil
}

// Action finds an action by its name or an alias; alias tells which it was.
func (c *Catalog) Action(name string) (a *Action, alias, ok bool) {
	if c == nil {
		return nil, false, false
	}
	a, ok = c.actions[name]
	return a, ok && a.Name != name, ok
}

// Names are the canonical names of all actions in alphabetical order.
func (c *Catalog) Names() []string {
	if c == nil {
		return nil
	}
	var names []string
	for name, a := range c.actions {
		if name == a.Name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Plugins are the names of all plugins in alphabetical order.
func (c *Catalog) Plugins() []string {
	if c == nil {
		return nil
	}
	names := make([]string, 0, len(c.plugins))
	for name := range c.plugins {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Descriptor is the descriptor of a plugin, or nil.
func (c *Catalog) Descriptor(plugin string) *testmeshv1.Descriptor {
	if c == nil {
		return nil
	}
	return c.plugins[plugin]
}

// Function tells whether a plugin declares the function "<plugin>.<function>".
func (c *Catalog) Function(name string) bool {
	return c != nil && c.functions[name] != nil
}

// Suggest is the name of an existing action that is nearest to an unknown one,
// or "". Aliases are understood, and answered by the canonical name.
func (c *Catalog) Suggest(name string) string {
	if c == nil {
		return ""
	}
	candidates := make([]string, 0, len(c.actions))
	for n := range c.actions {
		candidates = append(candidates, n)
	}
	slices.Sort(candidates)
	if near := value.Closest(name, candidates); near != "" {
		return c.actions[near].Name
	}
	// A plugin without its action (`http`), or an action without its plugin
	// (`request`), is meant where only one fits.
	var found string
	for _, n := range c.Names() {
		plugin, action, _ := strings.Cut(n, ".")
		if name == plugin || name == action || strings.EqualFold(name, n) {
			if found != "" {
				return ""
			}
			found = n
		}
	}
	return found
}
