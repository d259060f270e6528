package graphql

import (
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// cover says which fields of the schema an answer touched: those that were asked
// for and came. Without a schema there is nothing to say.
func (o *operation) cover(call *plugin.Call, t *target, answers ...json.RawMessage) {
	if o.schema == nil {
		return
	}
	c := coverer{o: o, touched: map[string]bool{}}
	root := map[ast.Operation]*ast.Definition{
		ast.Query: o.schema.Query, ast.Mutation: o.schema.Mutation, ast.Subscription: o.schema.Subscription,
	}[o.Operation]
	for _, answer := range answers {
		if data, err := decode(answer); err == nil {
			c.object(data, root.Name, o.SelectionSet)
		}
	}
	items := make([]string, 0, len(c.touched))
	for _, field := range o.schema.fields { // which are sorted
		if c.touched[field] {
			items = append(items, field)
		}
	}
	call.Covered(plugin.Coverage{Of: "GraphQL " + t.String(), Unit: "fields", Items: items, All: o.schema.fields})
}

// coverer walks an answer along what was asked for.
type coverer struct {
	o       *operation
	touched map[string]bool
	visits  int
}

// maxVisits bounds the fields of an answer that are looked at: a long list shows
// nothing new after that.
const maxVisits = 100_000

// object marks the fields of a value; a list is each of its elements. parent is
// the type that the selections stand on. Where the answer says by __typename of
// which type an object is, that type's field is touched too.
func (c *coverer) object(value any, parent string, set ast.SelectionSet) {
	if list, is := value.([]any); is {
		for _, element := range list {
			c.object(element, parent, set)
		}
		return
	}
	object, is := value.(map[string]any)
	if !is || c.visits > maxVisits {
		return
	}
	concrete, _ := object["__typename"].(string)
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			c.visits++
			below, came := object[s.Alias]
			if !came || s.Definition == nil {
				continue
			}
			c.touched[parent+"."+s.Name] = true
			if concrete != "" {
				c.touched[concrete+"."+s.Name] = true
			}
			c.object(below, s.Definition.Type.Name(), s.SelectionSet)
		case *ast.InlineFragment:
			c.fragment(object, concrete, parent, s.TypeCondition, s.SelectionSet)
		case *ast.FragmentSpread:
			if f := c.o.document.Fragments.ForName(s.Name); f != nil {
				c.fragment(object, concrete, parent, f.TypeCondition, f.SelectionSet)
			}
		}
	}
}

// fragment leaves out one that is about another type, where the answer says so.
func (c *coverer) fragment(object map[string]any, concrete, parent, condition string, set ast.SelectionSet) {
	if condition == "" {
		condition = parent
	}
	if concrete != "" && condition != concrete && !c.o.schema.Types[condition].IsAbstractType() {
		return
	}
	c.object(object, condition, set)
}

// cover says what the messages that were expected touched.
func (s *subscription) cover(call *plugin.Call, messages []json.RawMessage) {
	var answers []json.RawMessage
	for _, message := range messages {
		var m struct {
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(message, &m) == nil && len(m.Data) > 0 {
			answers = append(answers, m.Data)
		}
	}
	s.operation.cover(call, s.target, answers...)
}
