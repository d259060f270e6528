package demo

import "slices"

// Route is one entry of the application's table: what serves requests, the index
// page, the OpenAPI document and the documentation.
type Route struct {
	Method   string // "": every method
	Path     string // with {names}
	Summary  string
	Query    []string // the parameters it reads
	Body     string   // the media type it reads, "": none
	Media    string   // the media type of success, "": no body
	Statuses []int    // that it may answer with, success first

	handle handler
}

func (r Route) pattern() string {
	path := r.Path
	if path == "/" {
		path = "/{$}"
	}
	if r.Method == "" {
		return path
	}
	return r.Method + " " + path
}

const (
	asJSON      = "application/json"
	asHTML      = "text/html"
	asForm      = "application/x-www-form-urlencoded"
	asMultipart = "multipart/form-data"
	asBytes     = "application/octet-stream"
)

// Routes is the whole table, in the order of the documentation.
func Routes() []Route {
	return slices.Concat(shopRoutes(), socketRoutes(), authRoutes(), clientRoutes(), graphQLRoutes(), controlRoutes())
}

func shopRoutes() []Route {
	paged := []string{"page", "per_page"}
	return []Route{
		{"GET", "/healthz", "Whether the application is up", nil, "", asJSON, []int{200}, healthz},
		{"GET", "/products", "The articles, filtered, sorted and paged", slices.Concat([]string{"category", "tag", "in_stock", "q", "sort"}, paged), "", asJSON, []int{200, 400}, listProducts},
		{"GET", "/products/{id}", "One article, by number or SKU", nil, "", asJSON, []int{200, 404}, getProduct},
		{"POST", "/users", "Create a user: name, email, roles, active, password", nil, asJSON, asJSON, []int{201, 400, 409, 413, 422}, createUser},
		{"GET", "/users", "The users, all or the one of an email", slices.Concat([]string{"email"}, paged), "", asJSON, []int{200, 400}, listUsers},
		{"GET", "/users/{id}", "One user", nil, "", asJSON, []int{200, 404}, getUser},
		{"PUT", "/users/{id}", "Replace a user", nil, asJSON, asJSON, []int{200, 400, 404, 409, 413, 422}, putUser},
		{"PATCH", "/users/{id}", "Change parts of a user", nil, asJSON, asJSON, []int{200, 400, 404, 409, 413, 422}, patchUser},
		{"DELETE", "/users/{id}", "Delete a user", nil, "", "", []int{204, 404}, deleteUser},
		{"POST", "/orders", "Place an order: items with sku and qty, user_id. With async it is pending, and shipped after that many reads. Idempotency-Key is honoured", []string{"async", "reads"}, asJSON, asJSON, []int{201, 400, 413, 422}, createOrder},
		{"GET", "/orders", "The orders, all or those of a user", slices.Concat([]string{"user_id"}, paged), "", asJSON, []int{200, 400}, listOrders},
		{"GET", "/orders/{id}", "One order; a read moves an asynchronous one on", nil, "", asJSON, []int{200, 404}, getOrder},
		{"POST", "/orders/{id}/pay", "Pay an order; an asynchronous one ships at its next read", nil, "", asJSON, []int{200, 404, 409}, payOrder},
		{"DELETE", "/orders/{id}", "Delete an order", nil, "", "", []int{204, 404}, deleteOrder},
	}
}

func authRoutes() []Route {
	return []Route{
		{"POST", "/login", "A bearer token for user (or email) and password", nil, asJSON, asJSON, []int{200, 400, 401, 413}, login},
		{"GET", "/me", "Who the bearer token of /login belongs to", nil, "", asJSON, []int{200, 401}, me},
		{"GET", "/auth/basic", "Basic authentication", nil, "", asJSON, []int{200, 401}, authBasic},
		{"GET", "/auth/digest", "Digest authentication (RFC 7616, SHA-256 and MD5)", []string{"algorithm"}, "", asJSON, []int{200, 400, 401}, authDigest},
		{"GET", "/auth/key", "An API key, as X-API-Key or in the query", []string{"api_key"}, "", asJSON, []int{200, 401}, authKey},
		{"POST", "/oauth/token", "The OAuth 2.0 token endpoint: client_credentials, password, refresh_token; expires_in in seconds", []string{"expires_in"}, asForm, asJSON, []int{200, 400, 401}, oauthToken},
		{"GET", "/oauth/issued", "How many tokens were issued, by grant", nil, "", asJSON, []int{200}, oauthIssued},
		{"GET", "/oauth/resource", "What an access token opens", nil, "", asJSON, []int{200, 401}, oauthResource},
		{"POST", "/oauth/revoke_all", "Revoke every access token", nil, "", asJSON, []int{200}, oauthRevokeAll},
	}
}

func clientRoutes() []Route {
	return []Route{
		{"", "/echo", "The request itself: method, query, headers, body", nil, asBytes, asJSON, []int{200, 413}, echo},
		{"POST", "/form", "The fields of a form", nil, asForm, asJSON, []int{200, 400, 413, 415}, echoForm},
		{"POST", "/files", "Names, sizes and SHA-256 of uploaded files, and the fields beside them", nil, asMultipart, asJSON, []int{200, 400, 413, 415}, receiveFiles},
		{"GET", "/cookies", "The cookies of the request", nil, "", asJSON, []int{200}, readCookies},
		{"GET", "/cookies/set", "Set each parameter of the query as a cookie", nil, "", "", []int{302, 400}, setCookies},
		{"DELETE", "/cookies", "Expire the cookies of the request", nil, "", "", []int{204}, deleteCookies},
		{"GET", "/redirect/{n}", "Redirect n times", []string{"status"}, "", asJSON, []int{200, 301, 302, 303, 307, 308, 400}, redirectTimes},
		{"GET", "/redirect-to", "Redirect to an address", []string{"url", "status"}, "", "", []int{302, 301, 303, 307, 308, 400}, redirectTo},
		{"GET", "/gzip", "An answer packed with gzip", nil, "", asJSON, []int{200}, compressed("gzip", toGzip)},
		{"GET", "/deflate", "An answer packed with zlib", nil, "", asJSON, []int{200}, compressed("deflate", toDeflate)},
		{"GET", "/xml", "The articles as XML", nil, "", "application/xml", []int{200}, catalogXML},
		{"GET", "/csv", "The articles as CSV", nil, "", "text/csv", []int{200}, catalogCSV},
		{"GET", "/html", "The articles as a page", nil, "", asHTML, []int{200}, catalogHTML},
		{"GET", "/bytes/{n}", "n random bytes, the same for the same seed", nil, "", asBytes, []int{200, 400}, randomBytes},
		{"GET", "/numbers", "Numbers that float64 does not hold", nil, "", asJSON, []int{200}, bigNumbers},
		{"GET", "/unicode", "Texts beyond ASCII", nil, "", asJSON, []int{200}, unicodeTexts},
		{"GET", "/delay", "An answer after a while", []string{"ms"}, "", asJSON, []int{200, 400, 503}, delay},
		{"", "/status/{code}", "Any status from 200 to 599", []string{"retry_after"}, "", asJSON, []int{200, 400}, status},
		{"GET", "/etag", "A document with an ETag; 304 if it is known", nil, "", asJSON, []int{200, 304}, etag},
		{"", "/flaky", "Fails the first calls of a key (?fail=2) with ?status=503 and Retry-After, then succeeds", []string{"key", "fail", "status", "retry_after"}, "", asJSON, []int{200, 400, 503}, flaky},
		{"GET", "/rate", "Allows ?limit=5 calls of a key in each ?window_ms=1000, else 429", []string{"key", "limit", "window_ms"}, "", asJSON, []int{200, 400, 429}, rate},
	}
}

func controlRoutes() []Route {
	return []Route{
		{"GET", "/__faults", "The faults switched on for this tenant", nil, "", asJSON, []int{200}, getFaults},
		{"PUT", "/__faults", "Replace the faults: fault, value, path (a prefix), method, count", nil, asJSON, asJSON, []int{200, 400, 413}, putFaults},
		{"DELETE", "/__faults", "Switch all faults off", nil, "", "", []int{204}, deleteFaults},
		{"POST", "/__reset", "Bring the first state of this tenant back", nil, "", "", []int{204}, reset},
		{"GET", "/openapi.json", "This table as an OpenAPI 3.1 document", nil, "", asJSON, []int{200}, serveOpenAPI},
		{"GET", "/", "This table as a page", nil, "", asHTML, []int{200}, index},
	}
}
