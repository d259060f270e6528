package demo

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// maxFirst bounds the lists that a query asks for.
const maxFirst = 100

// Records of the fields that others have: a page of articles, an edge of it.
type (
	connection struct {
		nodes []product
		total int
		more  bool
	}
	supplier struct{ name, country string }
	echoed   struct{ args arguments }
)

// resolvers answer the fields of the schema, by "Type.field".
func resolvers() map[string]resolver {
	all := map[string]resolver{}
	for _, some := range []map[string]resolver{queryResolvers(), mutationResolvers(), productResolvers(), recordResolvers(), subscriptionResolvers(), introspectionResolvers()} {
		for name, r := range some {
			all[name] = r
		}
	}
	return all
}

func queryResolvers() map[string]resolver {
	return map[string]resolver{
		"Query.products": findProducts,
		"Query.articles": func(*execution, any, arguments) (any, error) { return listOf(catalog()), nil },
		"Query.product": func(_ *execution, _ any, args arguments) (any, error) {
			if p, ok := findProduct(args.text("id")); ok {
				return p, nil
			}
			return nil, nil
		},
		"Query.users": func(x *execution, _ any, args arguments) (any, error) {
			n, err := args.whole("first", 0, maxFirst)
			return listOf(first(x.users(func(*user) bool { return true }), n)), err
		},
		"Query.user":   func(x *execution, _ any, args arguments) (any, error) { return x.user(args.text("id")), nil },
		"Query.orders": func(x *execution, _ any, args arguments) (any, error) { return x.orders(args["userId"], args) },
		"Query.order":  func(x *execution, _ any, args arguments) (any, error) { return x.order(args.text("id")), nil },
		"Query.node": func(x *execution, _ any, args arguments) (any, error) {
			if p, ok := findProduct(args.text("id")); ok {
				return p, nil
			}
			if u := x.user(args.text("id")); u != nil {
				return u, nil
			}
			return x.order(args.text("id")), nil
		},
		"Query.search": search,
		"Query.me": func(x *execution, _ any, _ arguments) (any, error) {
			text, _ := x.call.bearer()
			x.call.tenant.mu.Lock()
			defer x.call.tenant.mu.Unlock()
			if s := x.call.tenant.sessions.get(text); s != nil {
				return *s, nil
			}
			return nil, refuseGraph("UNAUTHENTICATED", "a bearer token is needed; the mutation login gives one")
		},
		"Query.numbers": func(*execution, any, arguments) (any, error) { return struct{}{}, nil },
		"Query.echo":    func(_ *execution, _ any, args arguments) (any, error) { return echoed{args}, nil },
	}
}

func mutationResolvers() map[string]resolver {
	return map[string]resolver{
		"Mutation.createUser": func(x *execution, _ any, args arguments) (any, error) {
			input := args.object("input")
			body := userBody{Name: new(input.text("name"))}
			if email, set := input["email"]; set {
				body.Email, _ = encode(email)
			}
			if password, ok := input["password"].(string); ok {
				body.Password = &password
			}
			roles := []string{}
			for _, role := range input["roles"].([]any) {
				roles = append(roles, strings.ToLower(role.(string)))
			}
			body.Roles = &roles
			return orProblem(x.call.addUser(body))
		},
		"Mutation.deleteUser": func(x *execution, _ any, args arguments) (any, error) {
			return x.user(args.text("id")) != nil, x.call.locked(func(t *tenant) error {
				t.users.remove(args.text("id"))
				return nil
			})
		},
		"Mutation.placeOrder": func(x *execution, _ any, args arguments) (any, error) {
			input := args.object("input")
			var userID *string
			if id, ok := input["userId"].(string); ok {
				userID = &id
			}
			var lines []wanted
			for _, line := range input["items"].([]any) {
				asked := arguments(line.(map[string]any))
				lines = append(lines, wanted{SKU: asked.text("sku"), Qty: new(int(asked["qty"].(int64)))})
			}
			return orProblem(x.call.placeOrder(newOrder(userID, lines)))
		},
		"Mutation.payOrder": func(x *execution, _ any, args arguments) (any, error) {
			return orProblem(x.call.changeOrder(args.text("id"), (*order).pay))
		},
		"Mutation.login": func(x *execution, _ any, args arguments) (any, error) {
			if token, ok := x.call.logIn(args.text("user"), args.text("password")); ok {
				return token, nil
			}
			return nil, nil
		},
		"Login.token": of(func(token string) any { return token }),
	}
}

// orProblem is a value as resolvers give it: none beside an error.
func orProblem[T any](value T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

// productResolvers answer an article's fields, two of which can fail.
func productResolvers() map[string]resolver {
	return map[string]resolver{
		"Product.id":       of(func(p product) any { return strconv.Itoa(p.ID) }),
		"Product.sku":      of(func(p product) any { return p.SKU }),
		"Product.name":     of(func(p product) any { return p.Name }),
		"Product.category": of(func(p product) any { return strings.ToUpper(p.Category) }),
		"Product.price":    of(func(p product) any { return p.Price }),
		"Product.inStock":  of(func(p product) any { return p.InStock }),
		"Product.tags":     of(func(p product) any { return listOf(p.Tags) }),
		"Product.rating": func(_ *execution, source any, _ arguments) (any, error) {
			p := source.(product)
			if p.SKU == "COF-003" {
				return nil, &graphProblem{"the service of ratings does not answer", map[string]any{"code": "UNAVAILABLE", "service": "ratings"}}
			}
			return float64(p.ID%5)/2 + 3, nil
		},
		"Product.supplier": func(_ *execution, source any, _ arguments) (any, error) {
			switch p := source.(product); {
			case p.SKU == "POT-002":
				return nil, refuseGraph("NOT_FOUND", "%s has no supplier any more", p.SKU)
			case p.Category == "tea":
				return supplier{"Himalaya Tea Gardens", "NP"}, nil
			}
			return supplier{"Nordic Trade", ""}, nil
		},
		"Supplier.name":    of(func(s supplier) any { return s.name }),
		"Supplier.country": of(func(s supplier) any { return cmp.Or[any](s.country, nil) }),
		"Product.related": func(_ *execution, source any, args arguments) (any, error) {
			p := source.(product)
			n, err := args.whole("first", 0, maxFirst)
			others := slices.DeleteFunc(catalog(), func(other product) bool { return other.Category != p.Category || other.ID == p.ID })
			return listOf(first(others, n)), err
		},
		"ProductConnection.totalCount": of(func(c connection) any { return c.total }),
		"ProductConnection.nodes":      of(func(c connection) any { return listOf(c.nodes) }),
		"ProductConnection.edges":      of(func(c connection) any { return listOf(c.nodes) }),
		"ProductConnection.pageInfo":   of(func(c connection) any { return c }),
		"ProductEdge.cursor":           of(func(p product) any { return p.SKU }),
		"ProductEdge.node":             of(func(p product) any { return p }),
		"PageInfo.hasNextPage":         of(func(c connection) any { return c.more }),
		"PageInfo.endCursor": of(func(c connection) any {
			if len(c.nodes) == 0 {
				return nil
			}
			return c.nodes[len(c.nodes)-1].SKU
		}),
	}
}

func recordResolvers() map[string]resolver {
	upper := func(words []string) []any {
		out := make([]any, len(words))
		for i, word := range words {
			out[i] = strings.ToUpper(word)
		}
		return out
	}
	return map[string]resolver{
		"User.id":        of(func(u user) any { return u.ID }),
		"User.name":      of(func(u user) any { return u.Name }),
		"User.email":     of(func(u user) any { return orNull(u.Email) }),
		"User.roles":     of(func(u user) any { return upper(u.Roles) }),
		"User.active":    of(func(u user) any { return u.Active }),
		"User.createdAt": of(func(u user) any { return u.CreatedAt }),
		"User.version":   of(func(u user) any { return u.Version }),
		"User.orders": func(x *execution, source any, args arguments) (any, error) {
			return x.orders(source.(user).ID, args)
		},
		"Order.id":        of(func(o order) any { return o.ID }),
		"Order.status":    of(func(o order) any { return strings.ToUpper(o.Status) }),
		"Order.total":     of(func(o order) any { return o.Total }),
		"Order.currency":  of(func(o order) any { return o.Currency }),
		"Order.items":     of(func(o order) any { return listOf(o.Items) }),
		"Order.createdAt": of(func(o order) any { return o.CreatedAt }),
		"Order.user": func(x *execution, source any, _ arguments) (any, error) {
			if id := source.(order).UserID; id != nil {
				return x.user(*id), nil
			}
			return nil, nil
		},
		"OrderItem.sku":   of(func(i item) any { return i.SKU }),
		"OrderItem.name":  of(func(i item) any { return i.Name }),
		"OrderItem.qty":   of(func(i item) any { return i.Qty }),
		"OrderItem.price": of(func(i item) any { return i.Price }),
		"OrderItem.total": of(func(i item) any { return i.Total }),
		"OrderItem.product": of(func(i item) any {
			p, _ := findProduct(i.SKU) // an order has only articles that there are
			return p
		}),
		"Me.name":         of(func(s session) any { return s.user }),
		"Me.roles":        of(func(s session) any { return upper(s.roles) }),
		"Numbers.big":     of(func(struct{}) any { return json.Number("9007199254740993") }),
		"Numbers.decimal": of(func(struct{}) any { return json.Number("0.1000000000000000055511151231257827") }),
		"Numbers.tiny":    of(func(struct{}) any { return json.Number("1e-7") }),
		"Echo.text":       of(func(e echoed) any { return e.args["text"] }),
		"Echo.number":     of(func(e echoed) any { return e.args["number"] }),
		"Echo.list":       of(func(e echoed) any { return e.args["list"] }),
		"Echo.flag":       of(func(e echoed) any { return e.args["flag"] }),
		"Echo.header": func(x *execution, _ any, args arguments) (any, error) {
			return cmp.Or[any](strings.Join(x.call.r.Header.Values(args.text("name")), ", "), nil), nil
		},
	}
}

// findProducts is a page of the articles; the cursor is a SKU.
func findProducts(_ *execution, _ any, args arguments) (any, error) {
	n, err := args.whole("first", 0, maxFirst)
	if err != nil {
		return nil, err
	}
	filter := args.object("filter")
	found := slices.DeleteFunc(catalog(), func(p product) bool {
		stock, judged := filter["inStock"].(bool)
		return filter.text("category") != "" && !strings.EqualFold(p.Category, filter.text("category")) ||
			filter.text("tag") != "" && !slices.Contains(p.Tags, filter.text("tag")) ||
			judged && p.InStock != stock || !holds(p.Name, filter.text("name"))
	})
	switch args.text("sort") {
	case "NAME":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(a.Name, b.Name) })
	case "PRICE":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(a.Price, b.Price) })
	case "PRICE_DESCENDING":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(b.Price, a.Price) })
	}
	rest := found
	if after := args.text("after"); after != "" {
		i := slices.IndexFunc(found, func(p product) bool { return p.SKU == after })
		if i < 0 {
			return nil, refuseGraph("BAD_USER_INPUT", "after: there is no cursor %q", after)
		}
		rest = found[i+1:]
	}
	return connection{nodes: first(rest, n), total: len(found), more: len(rest) > n}, nil
}

func holds(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func search(x *execution, _ any, args arguments) (any, error) {
	n, err := args.whole("first", 0, maxFirst)
	if err != nil {
		return nil, err
	}
	var found []any
	for _, p := range catalog() {
		if holds(p.Name, args.text("text")) {
			found = append(found, p)
		}
	}
	for _, u := range x.users(func(u *user) bool { return holds(u.Name, args.text("text")) }) {
		found = append(found, u)
	}
	return first(found, n), nil
}

func (x *execution) users(keep func(*user) bool) []user {
	x.call.tenant.mu.Lock()
	defer x.call.tenant.mu.Unlock()
	return x.call.tenant.users.list(keep)
}

// user is nil where there is none.
func (x *execution) user(id string) any {
	x.call.tenant.mu.Lock()
	defer x.call.tenant.mu.Unlock()
	return orNull(x.call.tenant.users.get(id))
}

func (x *execution) order(id string) any {
	x.call.tenant.mu.Lock()
	defer x.call.tenant.mu.Unlock()
	return orNull(x.call.tenant.orders.get(id))
}

// orders are those of a user; nil: all.
func (x *execution) orders(userID any, args arguments) (any, error) {
	n, err := args.whole("first", 0, maxFirst)
	if err != nil {
		return nil, err
	}
	x.call.tenant.mu.Lock()
	defer x.call.tenant.mu.Unlock()
	found := x.call.tenant.orders.list(func(o *order) bool { return userID == nil || o.UserID != nil && *o.UserID == userID })
	return listOf(first(found, n)), nil
}
