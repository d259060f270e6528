package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxJSON bounds a JSON body: records are kept in memory.
const maxJSON = 64 << 10

// maxTenantName bounds the header that separates flows.
const maxTenantName = 128

// call is one request with what belongs to it.
type call struct {
	app    *App
	tenant *tenant
	faults faults
	w      http.ResponseWriter
	r      *http.Request
}

// handler answers a call, or returns a *problem to be answered.
type handler func(*call) error

// problem is an answer that says what is wrong.
type problem struct {
	status  int
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Fields  []fieldError `json:"fields,omitempty"`
}

type fieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p *problem) Error() string { return p.Message }

func refuse(status int, code, format string, args ...any) error {
	return &problem{status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "bad_request", format, args...)
}

func missing(what, id string) error {
	return refuse(http.StatusNotFound, "not_found", "there is no %s %q", what, id)
}

// serve is what every route shares: the tenant, the clock's date, the faults and
// the form of errors.
func (a *App) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", a.config.Clock().UTC().Format(http.TimeFormat))
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		name := r.Header.Get("X-Tenant")
		c := &call{app: a, w: w, r: r}
		if len(name) > maxTenantName {
			c.answerError(badRequest("X-Tenant is %d bytes long, the limit is %d", len(name), maxTenantName))
			return
		}
		c.tenant = a.tenant(name)
		var err error
		if c.faults, err = c.chosenFaults(); err != nil {
			c.answerError(err)
			return
		}
		a.config.Logger.Debug("request", "method", r.Method, "path", r.URL.Path, "tenant", name, "faults", len(c.faults))
		c.run(h)
	}
}

// notFound tells an unknown path from a method that a path does not have.
func (a *App) notFound(c *call) error {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: c.r.URL, Host: c.r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return refuse(http.StatusNotFound, "not_found", "there is no %s; GET / lists what there is", c.r.URL.Path)
	}
	c.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "%s has %s, not %s", c.r.URL.Path, strings.Join(allowed, ", "), c.r.Method)
}

func (c *call) answerError(err error) {
	var p *problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &tooLarge):
		p = &problem{status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	default:
		p = &problem{status: http.StatusBadRequest, Code: "bad_request", Message: err.Error()}
	}
	if err := c.json(p.status, map[string]any{"error": p}); err != nil {
		c.app.config.Logger.Debug("write answer", "error", err)
	}
}

// json answers with v.
func (c *call) json(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return c.body(status, "application/json", body)
}

func encode(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return []byte(b.String()), nil
}

// body answers with bytes. That the client hung up is not ours to report.
func (c *call) body(status int, contentType string, body []byte) error {
	if contentType != "" {
		c.w.Header().Set("Content-Type", contentType)
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	c.w.WriteHeader(status)
	if _, err := c.w.Write(body); err != nil {
		c.app.config.Logger.Debug("write answer", "error", err)
	}
	return nil
}

func (c *call) noContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// read decodes a JSON body into v.
func (c *call) read(v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxJSON))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return badRequest("the body is not the JSON expected here: %v", err)
	}
	return nil
}

// query reads a whole number between low and high.
func (c *call) query(name string, otherwise, low, high int) (int, error) {
	return whole("?"+name+"=", c.r.URL.Query().Get(name), otherwise, low, high)
}

func whole(what, text string, otherwise, low, high int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, badRequest("%s%s is not a whole number from %d to %d", what, text, low, high)
	}
	return n, nil
}

// wait sleeps unless the client hangs up or the application stops first; then it
// is false.
func (c *call) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// page cuts a list by ?page= and ?per_page= and says so in the answer, in
// X-Total-Count and in Link (RFC 8288).
func page[T any](c *call, all []T) error {
	number, err := c.query("page", 1, 1, 1_000_000)
	if err != nil {
		return err
	}
	size, err := c.query("per_page", 10, 1, 100)
	if err != nil {
		return err
	}
	pages := (len(all) + size - 1) / size
	from := min((number-1)*size, len(all))
	items := slices.Clone(all[from:min(from+size, len(all))])
	if items == nil {
		items = []T{}
	}
	var links []string
	link := func(rel string, to int) {
		query := c.r.URL.Query()
		query.Set("page", strconv.Itoa(to))
		target := url.URL{Path: c.r.URL.Path, RawQuery: query.Encode()}
		links = append(links, fmt.Sprintf("<%s>; rel=%q", target.String(), rel))
	}
	if number > 1 && number <= pages+1 {
		link("prev", number-1)
	}
	if number < pages {
		link("next", number+1)
	}
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, ", "))
	}
	c.w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	return c.json(http.StatusOK, map[string]any{"items": items, "page": number, "per_page": size, "pages": pages, "total": len(all)})
}
