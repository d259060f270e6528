package graphql

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFieldsThatCameAreCovered(t *testing.T) {
	url := shop(t) + "/graphql"
	tests := map[string]struct {
		query string
		want  []string
	}{
		"what was asked for":            {`{product(id: 1) {name x: price}}`, []string{"Product.name", "Product.price", "Query.product"}},
		"null has nothing below it":     {`{product(id: "no") {name}}`, []string{"Query.product"}},
		"an empty list too":             {`{users {name}}`, []string{"Query.users"}},
		"elements of lists":             {`{products(first: 1) {nodes {sku}}}`, []string{"Product.sku", "ProductConnection.nodes", "Query.products"}},
		"what is skipped is not":        {`{product(id: 1) {name price @skip(if: true)}}`, []string{"Product.name", "Query.product"}},
		"fields of an interface":        {`{node(id: 1) {id}}`, []string{"Node.id", "Query.node"}},
		"and of the type, where it is":  {`{node(id: 1) {__typename id}}`, []string{"Node.id", "Product.id", "Query.node"}},
		"fragments that fit":            {`{search(text: "tea pot") {__typename ... on Product {sku} ... on User {email}}}`, []string{"Product.sku", "Query.search"}},
		"named ones":                    {`{product(id: 1) {...F}} fragment F on Product {id supplier {name}}`, []string{"Product.id", "Product.supplier", "Query.product", "Supplier.name"}},
		"introspection is not counted":  {`{__schema {queryType {name}} __typename}`, []string{}},
		"a field that came with errors": {`{product(id: "COF-003") {rating}}`, []string{"Product.rating", "Query.product"}},
		"nothing where data is null":    {`{me {name}}`, []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.req.Root = shopSchema(t)
			r.must("query", m{"url": url + "?key=secret", "schema": "shop.graphql", "query": test.query})
			if len(r.heard.covered) != 1 {
				t.Fatalf("got %d reports, want 1", len(r.heard.covered))
			}
			c := r.heard.covered[0]
			if diff := cmp.Diff(test.want, append([]string{}, c.Items...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if c.Of != "GraphQL "+url || c.Unit != "fields" || !slices.Contains(c.All, "Subscription.orderPlaced") {
				t.Errorf("got %s, %d %s", c.Of, len(c.All), c.Unit)
			}
		})
	}
}

func TestCoverageOfSubscriptionsIsThatOfWhatWasExpected(t *testing.T) {
	url := shop(t) + "/graphql"
	r := newRun(t)
	r.req.Root = shopSchema(t)
	r.must("subscribe", m{"url": url, "schema": "shop.graphql", "query": orderPlaced})
	r.place(url, 1) // without a schema: not counted
	r.must("expect", m{})
	if len(r.heard.covered) != 1 || strings.Join(r.heard.covered[0].Items, " ") != "Order.total Subscription.orderPlaced" {
		t.Errorf("got %+v", r.heard.covered)
	}
}
