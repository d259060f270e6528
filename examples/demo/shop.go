package demo

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	shopv1 "github.com/testmesh/testmesh/examples/demo/proto/shop/v1"
)

const (
	currency = "EUR"
	// maxItems and maxQty keep an order's total within cents that a float64
	// holds exactly, for clients that have nothing better.
	maxItems = 50
	maxQty   = 1000
	// wrongBy is what the fault wrong-price takes off a total.
	wrongBy cents = 90
)

// cents is an amount of money, in JSON a number with two decimals.
type cents int64

// MarshalJSON writes 59.80, not 59.8.
func (c cents) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

func (c cents) String() string { return fmt.Sprintf("%d.%02d", int64(c)/100, int64(c)%100) }

type product struct {
	ID       int      `json:"id"`
	SKU      string   `json:"sku"`
	Name     string   `json:"name"`
	Category string   `json:"category"`
	Price    cents    `json:"price"`
	InStock  bool     `json:"in_stock"`
	Tags     []string `json:"tags"`
}

// catalog is what the shop sells, the same for every tenant and seed: examples
// name these articles and their prices.
func catalog() []product {
	var all []product
	for _, p := range []product{
		{SKU: "TEA-001", Name: "Darjeeling First Flush", Category: "tea", Price: 2990, InStock: true, Tags: []string{"black", "organic"}},
		{SKU: "TEA-002", Name: "Sencha", Category: "tea", Price: 1450, InStock: true, Tags: []string{"green"}},
		{SKU: "TEA-003", Name: "Lapsang Souchong", Category: "tea", Price: 1800, Tags: []string{"black", "smoked"}},
		{SKU: "TEA-004", Name: "Rooibos", Category: "tea", Price: 795, InStock: true, Tags: []string{"herbal"}},
		{SKU: "COF-001", Name: "Yirgacheffe", Category: "coffee", Price: 1625, InStock: true, Tags: []string{"filter", "organic"}},
		{SKU: "COF-002", Name: "House Espresso", Category: "coffee", Price: 1390, InStock: true, Tags: []string{"espresso"}},
		{SKU: "COF-003", Name: "Decaf", Category: "coffee", Price: 1490, InStock: true, Tags: []string{"filter"}},
		{SKU: "CUP-001", Name: "Porcelain Cup", Category: "ware", Price: 1200, InStock: true, Tags: []string{}},
		{SKU: "CUP-002", Name: "Thermo Mug", Category: "ware", Price: 2495, InStock: true, Tags: []string{"steel"}},
		{SKU: "POT-001", Name: "Tea Pot", Category: "ware", Price: 4950, InStock: true, Tags: []string{"cast iron"}},
		{SKU: "POT-002", Name: "Moka Pot", Category: "ware", Price: 3400, Tags: []string{"steel"}},
		{SKU: "MIX-001", Name: "Crème brûlée ☕ Sampler", Category: "gift", Price: 10, InStock: true, Tags: []string{"new"}},
	} {
		p.ID = len(all) + 1
		all = append(all, p)
	}
	return all
}

// findProduct takes a SKU or a number.
func findProduct(id string) (product, bool) {
	for _, p := range catalog() {
		if p.SKU == id || strconv.Itoa(p.ID) == id {
			return p, true
		}
	}
	return product{}, false
}

func listProducts(c *call) error {
	query := c.r.URL.Query()
	found := catalog()
	keep := func(name string, holds func(product) bool) {
		if query.Get(name) != "" {
			found = slices.DeleteFunc(found, func(p product) bool { return !holds(p) })
		}
	}
	keep("category", func(p product) bool { return p.Category == query.Get("category") })
	keep("in_stock", func(p product) bool { return strconv.FormatBool(p.InStock) == query.Get("in_stock") })
	keep("tag", func(p product) bool { return slices.Contains(p.Tags, query.Get("tag")) })
	keep("q", func(p product) bool {
		return strings.Contains(strings.ToLower(p.Name), strings.ToLower(query.Get("q")))
	})
	switch sort := query.Get("sort"); sort {
	case "", "id":
	case "price":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(a.Price, b.Price) })
	case "-price":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(b.Price, a.Price) })
	case "name":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(a.Name, b.Name) })
	case "-name":
		slices.SortStableFunc(found, func(a, b product) int { return cmp.Compare(b.Name, a.Name) })
	default:
		return badRequest("?sort=%s is none of id, price, -price, name, -name", sort)
	}
	return page(c, found)
}

func getProduct(c *call) error {
	p, ok := findProduct(c.r.PathValue("id"))
	if !ok {
		return missing("product", c.r.PathValue("id"))
	}
	return c.json(http.StatusOK, p)
}

type item struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Qty   int    `json:"qty"`
	Price cents  `json:"price"`
	Total cents  `json:"total"`
}

type order struct {
	ID        string  `json:"id"`
	Status    string  `json:"status"`
	Total     cents   `json:"total"`
	Currency  string  `json:"currency"`
	Items     []item  `json:"items"`
	UserID    *string `json:"user_id"`
	CreatedAt string  `json:"created_at"`

	readsLeft int                        // of an asynchronous order, until it is shipped
	asked     *shopv1.CreateOrderRequest // what only gRPC has of it; nil: nothing
}

// wanted is a line of an order as a client asks for it.
type wanted struct {
	SKU string `json:"sku"`
	Qty *int   `json:"qty"`
}

// newOrder is an order of the lines, and what is wrong with them.
func newOrder(userID *string, lines []wanted) (made order, wrong []fieldError) {
	made = order{Status: "confirmed", Currency: currency, Items: []item{}, UserID: userID}
	if n := len(lines); n == 0 || n > maxItems {
		return made, []fieldError{{"items", fmt.Sprintf("must have 1 to %d entries, has %d", maxItems, n)}}
	}
	for i, asked := range lines {
		at := fmt.Sprintf("items[%d].", i)
		p, ok := findProduct(asked.SKU)
		qty := 1
		if asked.Qty != nil {
			qty = *asked.Qty
		}
		switch {
		case !ok:
			wrong = append(wrong, fieldError{at + "sku", fmt.Sprintf("there is no product %q", asked.SKU)})
		case qty < 1 || qty > maxQty:
			wrong = append(wrong, fieldError{at + "qty", fmt.Sprintf("must be from 1 to %d, is %d", maxQty, qty)})
		default:
			line := item{SKU: p.SKU, Name: p.Name, Qty: qty, Price: p.Price, Total: p.Price * cents(qty)}
			made.Items = append(made.Items, line)
			made.Total += line.Total
		}
	}
	return made, wrong
}

func createOrder(c *call) error {
	var body struct {
		UserID *string  `json:"user_id"`
		Items  []wanted `json:"items"`
	}
	if err := c.read(&body); err != nil {
		return err
	}
	async, err := strconv.ParseBool(cmp.Or(c.r.URL.Query().Get("async"), "false"))
	if err != nil {
		return badRequest("?async= is true or false")
	}
	reads, err := c.query("reads", 3, 1, 1000)
	if err != nil {
		return err
	}
	made, wrong := newOrder(body.UserID, body.Items)
	if async {
		made.Status, made.readsLeft = "pending", reads
	}
	if made, err = c.placeOrder(made, wrong); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/orders/"+made.ID)
	return c.json(http.StatusCreated, made)
}

// placeOrder checks what needs the tenant's state, stores the order and tells
// who listens.
func (c *call) placeOrder(made order, wrong []fieldError) (order, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if len(key) > maxTenantName {
		return made, badRequest("Idempotency-Key is %d bytes long, the limit is %d", len(key), maxTenantName)
	}
	if c.faults.has(faultWrongPrice) {
		made.Total = max(made.Total-wrongBy, 0)
	}
	err := c.locked(func(t *tenant) error {
		if made.UserID != nil && t.users.get(*made.UserID) == nil {
			wrong = append(wrong, fieldError{"user_id", fmt.Sprintf("there is no user %q", *made.UserID)})
		}
		if len(wrong) > 0 {
			return &problem{status: http.StatusUnprocessableEntity, Code: "invalid", Message: "the order is not valid", Fields: wrong}
		}
		if id := t.replays.get(key); key != "" && id != nil {
			if before := t.orders.get(*id); before != nil {
				c.w.Header().Set("Idempotent-Replayed", "true")
				made = *before
				return nil
			}
		}
		n := t.next("order")
		random := t.random("order", n)
		made.ID, made.CreatedAt = fmt.Sprintf("ord_%x", random[:6]), moment(n)
		t.orders.put(made.ID, made)
		t.listeners.tell(orderEvent{order: made, placed: true})
		if key != "" {
			t.replays.put(key, made.ID)
		}
		return nil
	})
	return made, err
}

func listOrders(c *call) error {
	user := c.r.URL.Query().Get("user_id")
	c.tenant.mu.Lock()
	found := c.tenant.orders.list(func(o *order) bool { return user == "" || o.UserID != nil && *o.UserID == user })
	c.tenant.mu.Unlock()
	return page(c, found)
}

// getOrder moves an asynchronous order on: it is shipped at the last of its
// reads, paid at the one before, and pending until then.
func getOrder(c *call) error {
	return c.answerOrder(func(o *order) error {
		if o.readsLeft > 0 {
			o.readsLeft--
			switch o.readsLeft {
			case 0:
				o.Status = "shipped"
			case 1:
				o.Status = "paid"
			}
		}
		return nil
	})
}

func payOrder(c *call) error { return c.answerOrder((*order).pay) }

// pay makes an asynchronous order ship at its next read.
func (o *order) pay() error {
	if o.Status != "pending" && o.Status != "confirmed" {
		return refuse(http.StatusConflict, "conflict", "the order is %s and cannot be paid", o.Status)
	}
	o.Status = "paid"
	o.readsLeft = min(o.readsLeft, 1)
	return nil
}

func deleteOrder(c *call) error {
	err := c.withOrder(c.r.PathValue("id"), func(o *order) error {
		c.tenant.orders.remove(o.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.noContent()
}

func (c *call) answerOrder(change func(*order) error) error {
	answer, err := c.changeOrder(c.r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, answer)
}

// changeOrder changes an order and tells who listens.
func (c *call) changeOrder(id string, change func(*order) error) (changed order, err error) {
	err = c.withOrder(id, func(o *order) error {
		before := o.Status
		err := change(o)
		changed = *o
		if err == nil && o.Status != before {
			c.tenant.listeners.tell(orderEvent{order: changed})
		}
		return err
	})
	return changed, err
}

func (c *call) withOrder(id string, then func(*order) error) error {
	return c.locked(func(t *tenant) error {
		o := t.orders.get(id)
		if o == nil {
			return missing("order", id)
		}
		return then(o)
	})
}
