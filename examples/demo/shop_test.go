package demo

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProductsAreFilteredSortedAndPaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, test := range []struct {
		query string
		want  map[string]any
	}{
		{"", map[string]any{"total": "12", "pages": "2", "items.0.sku": "TEA-001", "items.0.price": "29.90"}},
		{"?page=2", map[string]any{"items.0.id": "11", "page": "2"}},
		{"?page=3", map[string]any{"items": []any{}}},
		{"?category=tea&sort=price", map[string]any{"total": "4", "items.0.price": "7.95", "items.3.price": "29.90"}},
		{"?sort=-price&per_page=1", map[string]any{"pages": "12", "items.0.sku": "POT-001"}},
		{"?sort=name", map[string]any{"items.0.sku": "MIX-001"}},
		{"?sort=-name", map[string]any{"items.0.sku": "COF-001"}},
		{"?tag=organic&in_stock=true", map[string]any{"total": "2"}},
		{"?in_stock=false", map[string]any{"total": "2"}},
		{"?q=POT", map[string]any{"total": "2"}},
	} {
		s.want("GET /products"+test.query, "", 200, test.want)
	}
	for _, query := range []string{"?page=0", "?page=x", "?per_page=101", "?sort=weight"} {
		s.want("GET /products"+query, "", 400, map[string]any{"error.code": "bad_request"})
	}
	middle := s.do("GET /products?per_page=5&page=2", "")
	if got, want := middle.header.Get("Link"), `</products?page=1&per_page=5>; rel="prev", </products?page=3&per_page=5>; rel="next"`; got != want {
		t.Errorf("Link: got %s, want %s", got, want)
	}
	if got := middle.header.Get("X-Total-Count"); got != "12" {
		t.Errorf("X-Total-Count: got %s, want 12", got)
	}
	s.want("GET /products/TEA-001", "", 200, map[string]any{"id": "1"})
	s.want("GET /products/1", "", 200, map[string]any{"sku": "TEA-001"})
	s.want("GET /products/99", "", 404, map[string]any{"error.message": `there is no product "99"`})
}

func TestAUserLivesFromPostToDelete(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.want("POST /users", `{"name":" Ada ","email":"ada@example.com","roles":["admin"]}`, 201, map[string]any{
		"name": "Ada", "email": "ada@example.com", "roles": []any{"admin"}, "active": true, "version": "1", "created_at": "2026-01-01T00:00:01Z",
	})
	if id := made.get(t, "id").(string); !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("the id %q is not a UUID of version 4", id)
	}
	at := made.header.Get("Location")
	if want := "/users/" + made.get(t, "id").(string); at != want {
		t.Errorf("Location: got %q, want %q", at, want)
	}
	s.want("GET /users?email=ADA@example.com", "", 200, map[string]any{"total": "1", "items.0.name": "Ada"})
	s.want("GET /users?email=no@example.com", "", 200, map[string]any{"total": "0"})
	s.want("PATCH "+at, `{"active":false}`, 200, map[string]any{"active": false, "name": "Ada", "email": "ada@example.com", "version": "2"})
	s.want("PATCH "+at, `{"email":null}`, 200, map[string]any{"email": nil})
	s.want("PUT "+at, `{"name":"Grace"}`, 200, map[string]any{"name": "Grace", "active": true, "roles": []any{"customer"}, "version": "4", "created_at": "2026-01-01T00:00:01Z"})
	s.want("PUT "+at, `{"active":true}`, 422, nil)
	s.want("GET "+at, "", 200, map[string]any{"name": "Grace", "version": "4"})
	s.want("DELETE "+at, "", 204, nil)
	for _, method := range []string{"GET", "DELETE"} {
		s.want(method+" "+at, "", 404, map[string]any{"error.code": "not_found"})
	}
	s.want("PATCH "+at, `{}`, 404, nil)
}

func TestUsersThatAreNotValidAreRefusedByField(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want("POST /users", `{"name":"Ada","email":"ada@example.com"}`, 201, nil)
	for _, test := range []struct {
		name, body string
		status     int
		member     string
		want       string
	}{
		{"no name", `{}`, 422, "error.fields.0.field", "name"},
		{"a long name", `{"name":"` + strings.Repeat("x", 201) + `"}`, 422, "error.fields.0.message", "must have 1 to 200 characters, has 201"},
		{"a bad email", `{"name":"x","email":"ada"}`, 422, "error.fields.0.message", `"ada" is not an email address`},
		{"an email of another type", `{"name":"x","email":7}`, 422, "error.fields.0.message", "must be a string or null"},
		{"an unknown role", `{"name":"x","roles":["king"]}`, 422, "error.fields.0.field", "roles"},
		{"many roles", `{"name":"x","roles":["admin","admin","admin","admin"]}`, 422, "error.fields.0.message", "must have at most 3 entries"},
		{"an email in use", `{"name":"x","email":"ADA@example.com"}`, 409, "error.code", "conflict"},
		{"a name of another type", `{"name":7}`, 400, "error.code", "bad_request"},
		{"no JSON", `{"name"`, 400, "error.code", "bad_request"},
		{"a large body", `{"name":"` + strings.Repeat("x", maxJSON) + `"}`, 413, "error.message", "the body is larger than 65536 bytes"},
	} {
		if a := s.do("POST /users", test.body); a.status != test.status || a.get(t, test.member) != test.want {
			t.Errorf("%s: got %d %s, want %d with %s %q", test.name, a.status, a.body, test.status, test.member, test.want)
		}
	}
}

func TestAnOrderIsPricedExactly(t *testing.T) {
	t.Parallel()
	s := start(t)
	made := s.want("POST /orders", twoTeas, 201, map[string]any{
		"status": "confirmed", "total": "59.80", "currency": "EUR", "user_id": nil, "items.0.price": "29.90", "items.0.total": "59.80", "items.0.qty": "2",
	})
	s.want("POST /orders", `{"items":[{"sku":"MIX-001","qty":3},{"sku":"COF-001"}]}`, 201, map[string]any{"total": "16.55"})
	at := made.header.Get("Location")
	for range 5 {
		s.want("GET "+at, "", 200, map[string]any{"status": "confirmed"})
	}
	s.want("POST "+at+"/pay", "", 200, map[string]any{"status": "paid"})
	s.want("POST "+at+"/pay", "", 409, map[string]any{"error.message": "the order is paid and cannot be paid"})
	s.want("GET /orders", "", 200, map[string]any{"total": "2"})
	s.want("DELETE "+at, "", 204, nil)
	s.want("GET "+at, "", 404, nil)
	s.want("POST "+at+"/pay", "", 404, nil)
	s.want("DELETE "+at, "", 404, nil)
}

func TestAnAsynchronousOrderMovesOnByReads(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, test := range []struct {
		query string
		pay   int // before which read, from 0; -1: never
		want  []string
	}{
		{"", -1, []string{"pending", "paid", "shipped", "shipped"}},
		{"&reads=1", -1, []string{"shipped"}},
		{"&reads=5", -1, []string{"pending", "pending", "pending", "paid", "shipped"}},
		{"&reads=9", 1, []string{"pending", "shipped"}},
	} {
		made := s.want("POST /orders?async=true"+test.query, twoTeas, 201, map[string]any{"status": "pending"})
		for i, want := range test.want {
			if i == test.pay {
				s.want("POST "+made.header.Get("Location")+"/pay", "", 200, map[string]any{"status": "paid"})
			}
			if got := s.do("GET "+made.header.Get("Location"), "").get(t, "status"); got != want {
				t.Errorf("async=true%s: read %d is %v, want %s", test.query, i+1, got, want)
			}
		}
	}
}

func TestOrdersThatAreNotValidAreRefusedByField(t *testing.T) {
	t.Parallel()
	s := start(t)
	many := strings.TrimSuffix(strings.Repeat(`{"sku":"TEA-001"},`, 51), ",")
	for _, test := range []struct {
		name, query, body string
		status            int
		member, want      string
	}{
		{"no items", "", `{}`, 422, "error.fields.0.message", "must have 1 to 50 entries, has 0"},
		{"many items", "", `{"items":[` + many + `]}`, 422, "error.fields.0.message", "must have 1 to 50 entries, has 51"},
		{"an unknown article", "", `{"items":[{"sku":"TEA-001"},{"sku":"X"}]}`, 422, "error.fields.0.field", "items[1].sku"},
		{"none of it", "", `{"items":[{"sku":"TEA-001","qty":0}]}`, 422, "error.fields.0.message", "must be from 1 to 1000, is 0"},
		{"too much of it", "", `{"items":[{"sku":"TEA-001","qty":1001}]}`, 422, "error.fields.0.field", "items[0].qty"},
		{"an unknown user", "", `{"user_id":"u","items":[{"sku":"TEA-001"}]}`, 422, "error.fields.0.field", "user_id"},
		{"a fraction", "", `{"items":[{"sku":"TEA-001","qty":1.5}]}`, 400, "error.code", "bad_request"},
		{"async", "?async=maybe", twoTeas, 400, "error.message", "?async= is true or false"},
		{"reads", "?reads=0", twoTeas, 400, "error.message", "?reads=0 is not a whole number from 1 to 1000"},
	} {
		if a := s.do("POST /orders"+test.query, test.body); a.status != test.status || a.get(t, test.member) != test.want {
			t.Errorf("%s: got %d %s, want %d with %s %q", test.name, a.status, a.body, test.status, test.member, test.want)
		}
	}
}

func TestAnIdempotencyKeyGivesTheSameOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.want("POST /users", `{"name":"Ada"}`, 201, nil).get(t, "id").(string)
	body := fmt.Sprintf(`{"user_id":%q,"items":[{"sku":"TEA-001"}]}`, user)
	first := s.want("POST /orders", body, 201, nil, "Idempotency-Key", "k")
	again := s.want("POST /orders", body, 201, nil, "Idempotency-Key", "k")
	other := s.want("POST /orders", body, 201, nil, "Idempotency-Key", "l")
	if diff := cmp.Diff(first.body, again.body); diff != "" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the replay (replayed %q) differs:\n%s", again.header.Get("Idempotent-Replayed"), diff)
	}
	if other.get(t, "id") == first.get(t, "id") {
		t.Error("another key gives the same order")
	}
	s.want("GET /orders?user_id="+user, "", 200, map[string]any{"total": "2"})
	s.want("GET /orders?user_id=x", "", 200, map[string]any{"total": "0"})
	s.want("POST /orders", body, 400, nil, "Idempotency-Key", strings.Repeat("k", 129))
}
