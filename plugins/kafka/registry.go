package kafka

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

const (
	// maxRegistryAnswer bounds what a registry says; a schema of a megabyte is rare.
	maxRegistryAnswer = 8 << 20
	// maxReferences bounds the schemas that one schema is made of.
	maxReferences = 200
)

// registryConfig is the map schema_registry.
type registryConfig struct {
	URL      string            `json:"url" minLength:"1" doc:"Its address." example:"http://127.0.0.1:8081"`
	Username string            `json:"username,omitempty" doc:"Name for basic authentication."`
	Password plugin.SecretText `json:"password,omitempty" doc:"Password of it."`
	Token    plugin.SecretText `json:"token,omitempty" doc:"Bearer token."`
	TLS      *tlsclient.Config `json:"tls" doc:"How its certificate is checked, where the address begins with https."`
	Timeout  time.Duration     `json:"timeout" doc:"Limit of one request." default:"10s"`
}

// registry is a run's client of a schema registry, by Confluent's HTTP API. What
// it has read it keeps: a schema of an id, and a version of a subject, never
// change.
type registry struct {
	config registryConfig
	base   string
	client *http.Client

	mu    sync.Mutex
	ids   map[int]*registered
	known map[string]*registered // by subject and version, or by what was registered
}

// registered is a schema as the registry has it.
type registered struct {
	ID         int               `json:"id"`
	Subject    string            `json:"subject,omitempty"`
	Version    int               `json:"version,omitempty"`
	Type       string            `json:"schemaType,omitempty"` // empty: Avro
	Text       string            `json:"schema"`
	References []schemaReference `json:"references,omitempty"`

	codec func() (codec, error) // made once
}

type schemaReference struct {
	Name    string `json:"name" doc:"The name by which the schema refers to it: a full name of Avro, an import of Protobuf, a $ref of JSON Schema."`
	Subject string `json:"subject" doc:"The subject that holds it."`
	Version int    `json:"version" min:"1" doc:"Which version of it."`
}

func (r *registered) format() string {
	switch r.Type {
	case "", "AVRO":
		return formatAvro
	case "JSON":
		return formatSchema
	case "PROTOBUF":
		return formatProtobuf
	}
	return r.Type
}

// open gives the run's client of a registry.
func (in *registryConfig) open(ctx context.Context, call *plugin.Call) (*registry, error) {
	if in == nil {
		return nil, nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("print the registry: %w", err)
	}
	key := fmt.Sprintf("registry:%x", sha256.Sum256(append(text, call.Dir()...)))
	return plugin.Keep(ctx, call, key, func() (*registry, func() error, error) {
		r, err := in.client(call)
		if err != nil {
			return nil, nil, err
		}
		return r, func() error { r.client.CloseIdleConnections(); return nil }, nil
	})
}

func (in *registryConfig) client(call *plugin.Call) (*registry, error) {
	u, err := url.Parse(in.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, plugin.Definitionf("schema_registry.url", "is not an address of HTTP").WithHint("write http://host:port or https://host:port")
	}
	r := &registry{config: *in, ids: make(map[int]*registered), known: make(map[string]*registered)}
	if u.User != nil {
		if word, ok := u.User.Password(); ok {
			call.AddSecret("schema_registry.url", word)
			r.config.Username, r.config.Password = u.User.Username(), plugin.SecretText(word)
		}
		u.User = nil
	}
	r.base = strings.TrimSuffix(u.String(), "/")
	config := in.TLS
	if config == nil {
		config = tlsclient.Default()
	}
	transport := &http.Transport{DialContext: call.Host().Egress.DialContext(&net.Dialer{}), ResponseHeaderTimeout: in.Timeout, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: time.Minute}
	if transport.TLSClientConfig, err = config.Client(call, "schema_registry.tls", ""); err != nil {
		return nil, err
	}
	r.client = &http.Client{Transport: transport, Timeout: in.Timeout}
	return r, nil
}

// missingError is what a registry does not have.
type missingError struct{ fault *plugin.Error }

func (e missingError) Error() string { return e.fault.Message }
func (e missingError) Unwrap() error { return e.fault }

// ask makes one request; what is asked for in words.
func (r *registry) ask(ctx context.Context, method, path string, body any, what string, answer any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("print the request: %w", err)
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, sent)
	if err != nil {
		return plugin.Definitionf("schema_registry.url", "%w", err)
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	}
	switch {
	case r.config.Token != "":
		req.Header.Set("Authorization", "Bearer "+string(r.config.Token))
	case r.config.Username != "":
		req.SetBasicAuth(r.config.Username, string(r.config.Password))
	}
	res, err := r.client.Do(req)
	if err != nil {
		return r.unreachable(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxRegistryAnswer+1))
	switch {
	case err != nil:
		return r.unreachable(ctx, err)
	case len(text) > maxRegistryAnswer:
		return plugin.Errorf(plugin.CodeBody, "the schema registry %s answers with over %d MiB", r.base, maxRegistryAnswer>>20)
	case res.StatusCode != http.StatusOK:
		return r.refused(res.StatusCode, text, what)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return plugin.Errorf(plugin.CodeProtocol, "the schema registry %s answers with what is no JSON of its API: %w", r.base, err).WithHint("is schema_registry.url its address?")
	}
	return nil
}

func (r *registry) unreachable(ctx context.Context, err error) error {
	host := strings.TrimPrefix(strings.TrimPrefix(r.base, "https://"), "http://")
	switch fault := tlsclient.Fault(err, host); {
	case ctx.Err() != nil:
		return ctx.Err()
	case isTimeout(err):
		return plugin.Errorf(plugin.CodeTimeout, "the schema registry %s did not answer within %s", r.base, r.config.Timeout).WithHint("raise schema_registry.timeout, or find out why it is slow")
	case fault != nil:
		return fault
	case errors.Is(err, http.ErrSchemeMismatch):
		return plugin.Errorf(plugin.CodeTLS, "the schema registry %s does not speak TLS on this port", r.base).WithHint("write schema_registry.url with http://, or use the port with TLS")
	}
	e := plugin.NetError(err, host)
	var known *plugin.Error
	if errors.As(e, &known) {
		told := *known
		told.Message = "the schema registry: " + known.Message
		return &told
	}
	return e
}

// refused is an answer that says no.
func (r *registry) refused(status int, text []byte, what string) error {
	var said struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	isAPI := json.Unmarshal(text, &said) == nil && said.Message != ""
	if !isAPI {
		said.Message = fmt.Sprintf("status %d", status)
	}
	e := plugin.Errorf(plugin.CodeProtocol, "the schema registry %s has no answer for %s: %s", r.base, what, said.Message)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e = plugin.Errorf(plugin.CodeAuth, "the schema registry %s refused to give %s: %s", r.base, what, said.Message).
			WithHint("check schema_registry.username and password, or token")
	case status == http.StatusNotFound && isAPI:
		return missingError{e.WithHint("look at what it has: GET %s/subjects", r.base)}
	case status == http.StatusNotFound:
		e = e.WithHint("is schema_registry.url its address?")
	case status == http.StatusConflict:
		e = plugin.Errorf(plugin.CodeProtocol, "the schema registry %s does not take %s: %s", r.base, what, said.Message).
			WithHint("it is not compatible with the versions before it: change the schema, or the subject's compatibility")
	case status == http.StatusUnprocessableEntity:
		e = plugin.Errorf(plugin.CodeProtocol, "the schema registry %s does not take %s: %s", r.base, what, said.Message)
	}
	return e
}

// byID gives the schema of an id, as messages carry it.
func (r *registry) byID(ctx context.Context, id int) (*registered, error) {
	r.mu.Lock()
	s := r.ids[id]
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s = &registered{ID: id}
	if err := r.ask(ctx, http.MethodGet, "/schemas/ids/"+strconv.Itoa(id), nil, "schema "+strconv.Itoa(id), s); err != nil {
		return nil, err
	}
	s.ID = id
	return s, r.complete(ctx, s)
}

// byVersion gives a version of a subject, 0 the latest.
func (r *registry) byVersion(ctx context.Context, subject string, version int) (*registered, error) {
	number := "latest"
	if version > 0 {
		number = strconv.Itoa(version)
	}
	key := subject + "\x00" + number
	r.mu.Lock()
	s := r.known[key]
	r.mu.Unlock()
	if s != nil && version > 0 { // the latest may have become another
		return s, nil
	}
	s = new(registered)
	if err := r.ask(ctx, http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/"+number, nil, fmt.Sprintf("the %s version of the subject %s", ordinal(number), subject), s); err != nil {
		return nil, err
	}
	if err := r.complete(ctx, s); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[key] = s
	return s, nil
}

func ordinal(number string) string {
	if number == "latest" {
		return number
	}
	return number + "."
}

// register gives the id of a schema under a subject, which has it then; without
// register it must have it already.
func (r *registry) register(ctx context.Context, subject string, s *registered, register bool) (*registered, error) {
	body := map[string]any{"schema": s.Text}
	if s.Type != "" && s.Type != "AVRO" {
		body["schemaType"] = s.Type
	}
	if len(s.References) > 0 {
		body["references"] = s.References
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("print the schema: %w", err)
	}
	key := subject + "\x00+" + string(text)
	r.mu.Lock()
	known := r.known[key]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	out := *s
	path := "/subjects/" + url.PathEscape(subject)
	if register {
		path += "/versions"
	}
	var answer struct {
		ID int `json:"id"`
	}
	if err := r.ask(ctx, http.MethodPost, path, body, "this schema of the subject "+subject, &answer); err != nil {
		return nil, err
	}
	out.ID = answer.ID
	if err := r.complete(ctx, &out); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[key] = &out
	return &out, nil
}

// complete reads what a schema refers to, and makes it ready for use.
func (r *registry) complete(ctx context.Context, s *registered) error {
	parts := make(map[string]string)
	order, err := r.collect(ctx, s.References, parts, nil)
	if err != nil {
		return err
	}
	s.codec = sync.OnceValues(func() (codec, error) {
		return newCodec(source{format: s.format(), text: s.Text, parts: parts, order: order})
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[s.ID] = s
	return nil
}

// collect reads references and theirs, those that others need first.
func (r *registry) collect(ctx context.Context, refs []schemaReference, parts map[string]string, order []string) ([]string, error) {
	for _, ref := range refs {
		if _, ok := parts[ref.Name]; ok {
			continue
		}
		if len(parts) >= maxReferences {
			return nil, plugin.Errorf(plugin.CodeProtocol, "the schema registry %s has a schema made of over %d others", r.base, maxReferences)
		}
		var part registered
		if err := r.ask(ctx, http.MethodGet, "/subjects/"+url.PathEscape(ref.Subject)+"/versions/"+strconv.Itoa(ref.Version), nil, fmt.Sprintf("version %d of the subject %s", ref.Version, ref.Subject), &part); err != nil {
			return nil, err
		}
		parts[ref.Name] = part.Text // before its own: a circle ends here
		var err error
		if order, err = r.collect(ctx, part.References, parts, order); err != nil {
			return nil, err
		}
		order = append(order, ref.Name)
	}
	return order, nil
}
