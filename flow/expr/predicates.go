package expr

import (
	"sort"

	"github.com/testmesh/testmesh/flow/value"
)

// item is # (name ""), #index or #acc.
type item struct {
	span
	untyped
	name string
}

func (p *item) eval(e *evaluation) (any, error) {
	top := &e.items[len(e.items)-1]
	switch p.name {
	case "index":
		return int64(top.index), nil
	case "acc":
		return top.acc, nil
	}
	return top.item, nil
}

// predicate is a function that runs an expression for every element.
type predicate struct {
	span
	name  string // all any none one filter map find … countBy
	list  node
	body  node // nil where left out
	extra node // sortBy's order, reduce's start; nil where left out
}

func (p *predicate) kind() value.Kind {
	switch p.name {
	case "all", "any", "none", "one":
		return value.Boolean
	case "filter", "map", "sortBy":
		return value.Array
	case "groupBy", "countBy":
		return value.Object
	case "count", "findIndex", "findLastIndex", "sum":
		return value.Number
	}
	return ""
}

func (p *predicate) eval(e *evaluation) (any, error) {
	v, err := e.value(p.list)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, valueErrorAt(p.off, p.end, "%s needs an array, got %s", p.name, describe(v))
	}
	var extra any
	if p.extra != nil {
		if extra, err = e.value(p.extra); err != nil {
			return nil, err
		}
	}
	if e.trace != nil {
		e.trace.muted++
		defer func() { e.trace.muted-- }()
	}
	e.items = append(e.items, pointer{})
	defer func() { e.items = e.items[:len(e.items)-1] }()
	switch p.name {
	case "find", "findIndex", "findLast", "findLastIndex":
		return p.search(e, list)
	case "all", "any", "none", "one", "count":
		return p.tally(e, list)
	case "sortBy":
		return p.sort(e, list, extra)
	case "reduce":
		return p.reduce(e, list, extra)
	}
	return p.collect(e, list)
}

// at runs the body for one element.
func (p *predicate) at(e *evaluation, list []any, i int) (any, error) {
	if p.body == nil {
		return list[i], nil
	}
	top := &e.items[len(e.items)-1]
	top.item, top.index = list[i], i
	return e.value(p.body)
}

func (p *predicate) test(e *evaluation, list []any, i int) (bool, error) {
	v, err := p.at(e, list, i)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, valueErrorAt(p.off, p.end, "%s needs true or false for every element, got %s for [%d]", p.name, describe(v), i)
	}
	return b, nil
}

func (p *predicate) search(e *evaluation, list []any) (any, error) {
	last := p.name == "findLast" || p.name == "findLastIndex"
	index := p.name == "findIndex" || p.name == "findLastIndex"
	for k := range list {
		i := k
		if last {
			i = len(list) - 1 - k
		}
		found, err := p.test(e, list, i)
		if err != nil {
			return nil, err
		}
		if found && index {
			return int64(i), nil
		}
		if found {
			return list[i], nil
		}
	}
	if index {
		return int64(-1), nil
	}
	return nil, nil
}

func (p *predicate) tally(e *evaluation, list []any) (any, error) {
	count := 0
	for i := range list {
		holds, err := p.test(e, list, i)
		if err != nil {
			return nil, err
		}
		if holds {
			count++
		}
		switch {
		case p.name == "all" && !holds:
			return false, nil
		case p.name == "any" && holds:
			return true, nil
		case p.name == "none" && holds:
			return false, nil
		case p.name == "one" && count > 1:
			return false, nil
		}
	}
	switch p.name {
	case "count":
		return int64(count), nil
	case "any":
		return false, nil
	case "one":
		return count == 1, nil
	}
	return true, nil
}

func (p *predicate) collect(e *evaluation, list []any) (any, error) {
	if err := e.produce(16 * len(list)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	groups := map[string]any{}
	var sum any = int64(0)
	for i := range list {
		if p.name == "filter" {
			keep, err := p.test(e, list, i)
			if err != nil {
				return nil, err
			}
			if keep {
				out = append(out, list[i])
			}
			continue
		}
		v, err := p.at(e, list, i)
		if err != nil {
			return nil, err
		}
		switch p.name {
		case "map":
			out = append(out, v)
		case "sum":
			if sum, err = p.arithmetic("+", sum, v); err != nil {
				return nil, err
			}
		default:
			if err := p.group(groups, v, list[i]); err != nil {
				return nil, err
			}
		}
	}
	switch p.name {
	case "sum":
		return sum, nil
	case "groupBy", "countBy":
		return groups, nil
	}
	return out, nil
}

// group files an element under its key as text: a map's keys are strings.
func (p *predicate) group(groups map[string]any, key, element any) error {
	switch key.(type) {
	case []any, map[string]any:
		return valueErrorAt(p.off, p.end, "%s needs a string, number or boolean as key, got %s", p.name, describe(key))
	}
	k := value.Text(key)
	if p.name == "countBy" {
		n, _ := groups[k].(int64)
		groups[k] = n + 1
		return nil
	}
	list, _ := groups[k].([]any)
	groups[k] = append(list, element)
	return nil
}

func (p *predicate) sort(e *evaluation, list []any, order any) (any, error) {
	keys := make([]any, len(list))
	for i := range list {
		k, err := p.at(e, list, i)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	descending, err := direction(order)
	if err != nil {
		return nil, p.place(err)
	}
	sorted, err := sortBy(e, list, keys, descending)
	if err != nil {
		return nil, p.place(err)
	}
	return sorted, nil
}

func direction(order any) (descending bool, err error) {
	switch order {
	case nil, "asc":
		return false, nil
	case "desc":
		return true, nil
	}
	return false, valueErrorf("the order is \"asc\" or \"desc\", got %s", describe(order))
}

// sortBy sorts a copy of list by keys: numbers or strings, stable.
func sortBy(e *evaluation, list, keys []any, descending bool) ([]any, error) {
	if err := e.produce(32 * len(list)); err != nil {
		return nil, err
	}
	for i := 1; i < len(keys); i++ {
		if _, ok := compare(keys[0], keys[i]); !ok {
			return nil, valueErrorf("only numbers or only strings can be sorted, got %s and %s", describe(keys[0]), describe(keys[i]))
		}
	}
	if len(keys) == 1 && kindOf(keys[0]) != value.Number && kindOf(keys[0]) != value.String {
		return nil, valueErrorf("only numbers or only strings can be sorted, got %s", describe(keys[0]))
	}
	at := make([]int, len(list))
	for i := range at {
		at[i] = i
	}
	sort.SliceStable(at, func(i, j int) bool {
		order, _ := compare(keys[at[i]], keys[at[j]])
		if descending {
			return order > 0
		}
		return order < 0
	})
	out := make([]any, len(list))
	for i, from := range at {
		out[i] = list[from]
	}
	return out, nil
}

func (p *predicate) reduce(e *evaluation, list []any, start any) (any, error) {
	first := 0
	acc := start
	if p.extra == nil {
		if len(list) == 0 {
			return nil, valueErrorAt(p.off, p.end, "reduce of an empty array needs a start: reduce(list, #acc + #, 0)")
		}
		acc, first = list[0], 1
	}
	for i := first; i < len(list); i++ {
		e.items[len(e.items)-1].acc = acc
		v, err := p.at(e, list, i)
		if err != nil {
			return nil, err
		}
		acc = v
	}
	return acc, nil
}
