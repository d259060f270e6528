package graphql

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	acceptJSON   = "application/graphql-response+json, application/json;q=0.9"
	acceptEvents = "text/event-stream, application/graphql-response+json;q=0.9, application/json;q=0.8"
	// maxShown bounds a body in an exchange; the result has the whole.
	maxShown = 64 << 10
	// maxOther bounds the body of an answer that is no GraphQL response.
	maxOther = 64 << 10
)

// Answer is what a server answered to one request.
type Answer struct {
	Data       json.RawMessage    `json:"data" doc:"What the operation asked for; null where an error took it, or where the answer is no GraphQL response."`
	Errors     *[]json.RawMessage `json:"errors" doc:"The errors of the response, each with message and, where the server says so, path, locations and extensions; [] where there are none, null where the answer is no GraphQL response."`
	Extensions json.RawMessage    `json:"extensions,omitempty" doc:"Extensions of the response, where there are some."`
	Status     int                `json:"status" doc:"HTTP status."`
	Headers    map[string]string  `json:"headers" doc:"Headers of the answer; several of one name are joined by a comma. Names ignore case."`
	Time       float64            `json:"time" doc:"Milliseconds from the start of the request to the end of the answer."`
	Body       json.RawMessage    `json:"body,omitempty" doc:"The answer where it is no GraphQL response: JSON as a value, anything else as text."`
	BodyError  string             `json:"body_error,omitempty" doc:"Why the answer is no GraphQL response."`
}

// payload is the request as the specification of GraphQL over HTTP has it.
func (o *operation) payload(name string) ([]byte, error) {
	body := struct {
		Query         string                     `json:"query"`
		OperationName string                     `json:"operationName,omitempty"`
		Variables     map[string]json.RawMessage `json:"variables,omitempty"`
	}{o.text, name, o.variables}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("print the request: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// exchange is one HTTP request under way.
type exchange struct {
	call    *plugin.Call
	target  *target
	request *http.Request
	body    []byte
	trace   *trace
	read    int64 // bytes of the answer's body
}

// newExchange makes the request of an operation: a POST, or a GET with all of it
// in the address.
func (t *target) newExchange(ctx context.Context, call *plugin.Call, method, accept string, body []byte) (*exchange, error) {
	x := &exchange{call: call, target: t, body: body, trace: newTrace()}
	address := *t.url
	var reader io.Reader
	if method == http.MethodGet {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return nil, fmt.Errorf("read our own request: %w", err)
		}
		query := address.Query()
		for name, value := range fields {
			var text string
			if json.Unmarshal(value, &text) != nil {
				text = string(value) // variables, as JSON
			}
			query.Set(name, text)
		}
		address.RawQuery = query.Encode()
	} else {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(x.trace.attach(ctx), method, address.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header = t.header.Clone()
	setDefault(request.Header, "Accept", accept)
	if reader != nil {
		setDefault(request.Header, "Content-Type", "application/json")
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	x.request = request
	return x, nil
}

func setDefault(h http.Header, name, value string) {
	if _, set := h[name]; !set {
		h.Set(name, value)
	}
}

// send gives the head of the answer; the caller closes its body.
func (x *exchange) send(ctx context.Context) (*http.Response, error) {
	res, err := x.target.client.Do(x.request)
	if err != nil {
		err = x.fault(ctx, err)
		x.report(nil, nil)
		return nil, err
	}
	return res, nil
}

// receive reads the answer to its end.
func (x *exchange) receive(ctx context.Context, res *http.Response, limit int) (Answer, error) {
	defer res.Body.Close()
	var text bytes.Buffer
	n, err := text.ReadFrom(io.LimitReader(res.Body, int64(limit)+1))
	x.read = n
	x.report(res, text.Bytes()[:min(text.Len(), limit)])
	switch {
	case err != nil:
		return Answer{}, x.bodyFault(ctx, res, err)
	case text.Len() > limit:
		return Answer{}, plugin.Errorf(plugin.CodeBody, "the answer of %s is over %s (max_body), with status %d", x.target, size(limit), res.StatusCode).
			WithHint("ask for less, or raise max_body")
	}
	a := Answer{Status: res.StatusCode, Headers: flat(res.Header), Time: ms(time.Since(x.trace.started))}
	a.read(res, text.Bytes())
	if a.BodyError != "" {
		x.call.Limited(a.BodyError)
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		x.call.RetryAfter(min(time.Duration(seconds)*time.Second, maxRetryAfter))
	}
	return a, nil
}

// maxRetryAfter bounds what a server asks for; who repeats has bounds of its own.
const maxRetryAfter = 24 * time.Hour

// read takes the answer apart. What is no GraphQL response stays in body, with
// the reason.
func (a *Answer) read(res *http.Response, text []byte) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	data, hasData := fields["data"]
	rawErrors, hasErrors := fields["errors"]
	var list []json.RawMessage
	isList := !hasErrors || json.Unmarshal(rawErrors, &list) == nil
	// Null for data, no data at all, and a status of an error need an error that
	// says why.
	if isList && (len(list) > 0 || hasData && string(data) != "null" && res.StatusCode < 400) {
		if list == nil {
			list = []json.RawMessage{}
		}
		a.Data, a.Errors, a.Extensions = data, &list, fields["extensions"]
		return
	}
	a.BodyError = a.why(res, text, err)
	a.Body = other(text)
}

// why says in what way an answer is no GraphQL response.
func (a *Answer) why(res *http.Response, text []byte, err error) string {
	status := strings.TrimSpace(strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode))
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var syntax *json.SyntaxError
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400 && res.Header.Get("Location") != "":
		return fmt.Sprintf("the answer is %s, a redirect to %s, and no GraphQL response: write that address in url", status, res.Header.Get("Location"))
	case len(text) == 0:
		return fmt.Sprintf("the answer is %s without a body, and no GraphQL response", status)
	case !strings.HasSuffix(media, "json"):
		return fmt.Sprintf("the answer is %s of the type %s, and no GraphQL response", status, orNone(media))
	case errors.As(err, &syntax):
		return fmt.Sprintf("the answer is %s with JSON that is broken after %d bytes: %s", status, syntax.Offset, syntax)
	}
	return fmt.Sprintf("the answer is %s with JSON that has neither errors nor a result, and no GraphQL response", status)
}

func orNone(media string) string {
	if media == "" {
		return "(none)"
	}
	return media
}

// other is a body as a value, or the beginning of its text.
func other(text []byte) json.RawMessage {
	if len(text) <= maxOther && json.Valid(text) {
		return text
	}
	if len(text) == 0 {
		return nil
	}
	return json.RawMessage(quoted(cut(text, maxOther)))
}

// cut is the beginning of a text, which says so.
func cut(text []byte, limit int) string {
	if len(text) <= limit {
		return strings.ToValidUTF8(string(text), "�")
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(string(text[:end]), "�") + fmt.Sprintf("… (%d bytes)", len(text))
}

func flat(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		out[name] = strings.Join(values, ", ")
	}
	return out
}

// report records the exchange for people who debug.
func (x *exchange) report(res *http.Response, body []byte) {
	if !x.call.WantsExchange() {
		return
	}
	address := *x.request.URL
	out := plugin.Exchange{
		Protocol: "GraphQL over HTTP", Summary: x.request.Method + " " + address.String(), Started: x.trace.started, Timings: x.trace.timings(),
		Request: shown(map[string]any{
			"method": x.request.Method, "url": address.String(), "headers": flat(x.request.Header), "body": cut(x.body, maxShown),
		}),
		Curl: x.curl(),
	}
	if res != nil {
		out.Protocol = res.Proto
		out.Summary += fmt.Sprintf(" → %d", res.StatusCode)
		out.Response = shown(map[string]any{"status": res.StatusCode, "headers": flat(res.Header), "body": cut(body, maxShown)})
	}
	x.call.Exchange(out)
}

func shown(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil // a map of texts and numbers has JSON
	}
	return text
}

// curl is a command line that sends the same request.
func (x *exchange) curl() string {
	words := []string{"curl", "-X", x.request.Method}
	for name, values := range x.request.Header {
		if name != "Traceparent" && name != "User-Agent" {
			words = append(words, "-H", shellQuoted(name+": "+strings.Join(values, ", ")))
		}
	}
	if x.request.Method != http.MethodGet {
		words = append(words, "--data-raw", shellQuoted(string(x.body)))
	}
	return strings.Join(append(words, shellQuoted(x.request.URL.String())), " ")
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func size(n int) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
