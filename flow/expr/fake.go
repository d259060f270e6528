package expr

import (
	_ "embed" // the words
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Fake data is our own small table: a library's tables cost more than a
// millisecond of every start of the program, used or not, and change with its
// releases, while a seed must give the same data for good.

//go:embed fake.txt
var fakeText string

// fakeWords are the lines of fake.txt: a name, a colon, words separated by |.
var fakeWords = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, line := range strings.Split(fakeText, "\n") {
		if name, words, ok := strings.Cut(line, ": "); ok {
			m[name] = strings.Split(strings.TrimSpace(words), "|")
		}
	}
	return m
})

// pick is one of the words of a line.
func (r random) pick(name string) string {
	words := fakeWords()[name]
	return words[r.below(len(words))]
}

// FakerFields lists the fields of fake data, each <provider>.<field>, in
// alphabetical order: FAKER.person.name, fake("person.name").
func FakerFields() []string { return fakeFieldNames() }

var fakeFieldNames = sync.OnceValue(func() []string {
	names := make([]string, 0, len(fakeFields()))
	for name := range fakeFields() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
})

// fakeClock is the day that fake dates lie around where they have nothing to do
// with today: fixed, so that a seed gives the same dates tomorrow.
func fakeClock() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }

// around is a moment up to days after from days from now.
func (r random) around(from, days int) time.Time {
	now := fakeClock()
	if r.now != nil {
		now = r.now().UTC()
	}
	return now.AddDate(0, 0, from).Add(time.Duration(r.below(days*86400)) * time.Second)
}

// fakeValue is FAKER.<provider>.<field>.
type fakeValue struct {
	span
	field string
}

func (*fakeValue) kind() value.Kind { return "" }

func (f *fakeValue) eval(e *evaluation) (any, error) {
	v, err := fakeField(e, f.field)
	if err != nil {
		return nil, f.place(err)
	}
	return v, nil
}

func fakeField(e *evaluation, name string) (any, error) {
	if e.env.Random == nil {
		return nil, valueErrorf("there is no source of random values here")
	}
	field, ok := fakeFields()[name]
	if !ok {
		return nil, valueErrorf("%s", unknownFake(name))
	}
	return field(e.env.source()), nil
}

func fakeFunction(e *evaluation, args []any) (any, error) {
	name, err := text("fake", args, 0)
	if err != nil {
		return nil, err
	}
	return fakeField(e, name)
}

func unknownFake(name string) string {
	return fmt.Sprintf("unknown fake data %q", cut(name, maxShown))
}

// checkFake refuses a field that there is not, naming the nearest.
func checkFake(name string, off, end int) error {
	if _, ok := fakeFields()[name]; ok {
		return nil
	}
	e := syntaxErrorf(source.CodeName, off, end, "%s", unknownFake(name))
	if near := nearestFake(name); near != "" {
		return e.hint("did you mean %q?", near)
	}
	provider, _, _ := strings.Cut(name, ".")
	var fields []string
	for _, f := range FakerFields() {
		if strings.HasPrefix(f, provider+".") {
			fields = append(fields, f)
		}
	}
	if len(fields) > 0 {
		return e.hint("there are %s", strings.Join(fields, ", "))
	}
	return e.hint("fields are written provider.field, such as person.name, internet.email, address.city")
}

// nearestFake looks for a near spelling, then for the field elsewhere.
func nearestFake(name string) string {
	if near := value.Closest(name, FakerFields()); near != "" {
		return near
	}
	_, field, _ := strings.Cut(name, ".")
	for _, f := range FakerFields() {
		if field != "" && strings.HasSuffix(f, "."+field) {
			return f
		}
	}
	return ""
}

// fake recognises FAKER.provider.field where the last dot is n's.
func (b *builder) fake(n *ast.MemberNode, field string) (node, bool, error) {
	provider, ok := n.Node.(*ast.MemberNode)
	if !ok {
		return nil, false, nil
	}
	root, ok := provider.Node.(*ast.IdentifierNode)
	if !ok || root.Value != "FAKER" || b.isLocal("FAKER") {
		return nil, false, nil
	}
	name, ok := provider.Property.(*ast.StringNode)
	if !ok {
		return nil, false, nil
	}
	s := b.span(n)
	full := name.Value + "." + field
	if err := checkFake(full, s.off, s.end); err != nil {
		return nil, true, err
	}
	b.impure = true
	return &fakeValue{span: s, field: full}, true, nil
}
