package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// root is where the paths of REST begin.
const root = "/api/v1/"

// rest serves the paths that the proto binds to methods. Each is turned into a call of
// the same handler that Connect and gRPC reach, in this process, so that permission,
// validation and answer are the same: the paths and parameters are read by grpc-gateway,
// whose generated code, which calls over a connection, is not needed for that.
func (s *server) rest(methods http.Handler) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithDisablePathLengthFallback(), runtime.WithDisableHTTPMethodOverride(),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, req *http.Request, status int) {
			code, what := connect.CodeNotFound, "there is nothing at %s %s"
			switch status {
			case http.StatusMethodNotAllowed:
				code, what = connect.CodeUnimplemented, "%[2]s does not take the method %[1]s"
			case http.StatusBadRequest:
				code, what = connect.CodeInvalidArgument, "%s %s is no path of the API"
			}
			writeError(w, status, &RESTError{Code: code.String(), Message: fmt.Sprintf(what+": /api/v1/openapi.json has all paths", req.Method, req.URL.Path)})
		}),
	)
	services := apiv1.File_testmesh_api_v1_api_proto.Services()
	for i := range services.Len() {
		list := services.Get(i).Methods()
		for j := range list.Len() {
			if err := s.bind(mux, list.Get(j), methods); err != nil {
				return nil, err
			}
		}
	}
	return mux, nil
}

// bind serves a method at its paths.
func (s *server) bind(mux *runtime.ServeMux, m protoreflect.MethodDescriptor, methods http.Handler) error {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	for _, one := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		b, err := s.binding(m, one, methods)
		if err != nil {
			return err
		}
		verb, path := Pattern(one)
		if err := mux.HandlePath(verb, path, b.serve); err != nil {
			return fmt.Errorf("bind %s %s: %w", verb, path, err)
		}
	}
	return nil
}

// Pattern is the HTTP method and the path template of a rule.
func Pattern(rule *annotations.HttpRule) (verb, path string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	}
	return "", ""
}

// binding is a method at a path.
type binding struct {
	*server
	procedure string
	body      bool
	in, out   protoreflect.MessageType
	methods   http.Handler
}

func (s *server) binding(m protoreflect.MethodDescriptor, rule *annotations.HttpRule, methods http.Handler) (*binding, error) {
	b := &binding{server: s, procedure: fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), body: rule.GetBody() == "*", methods: methods}
	if rule.GetBody() != "" && !b.body {
		return nil, fmt.Errorf("bind %s: a body is the whole of a request here, and the rule names %q", m.FullName(), rule.GetBody())
	}
	var err, err2 error
	b.in, err = protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	b.out, err2 = protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	return b, errors.Join(err, err2)
}

func (b *binding) serve(w http.ResponseWriter, req *http.Request, params map[string]string) {
	if err := b.Guard.Allow(req.Context(), b.procedure); err != nil { // before anything is read
		writeError(w, 0, fromConnect(err))
		return
	}
	msg := b.in.New().Interface()
	if err := b.read(w, req, params, msg); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			writeError(w, http.StatusRequestEntityTooLarge, &RESTError{
				Code: connect.CodeResourceExhausted.String(), Message: fmt.Sprintf("a request has at most %d MiB", maxRequest>>20), Fields: []FieldError{{"body", "it is too large"}},
			})
			return
		}
		writeError(w, 0, fromError(err))
		return
	}
	raw, err := proto.Marshal(msg)
	if err != nil { // text that is not UTF-8
		writeError(w, 0, &RESTError{Code: connect.CodeInvalidArgument.String(), Message: "the request holds text that is not UTF-8"})
		return
	}
	b.call(w, req, raw)
}

// call has the method answer, and writes the answer as JSON.
func (b *binding) call(w http.ResponseWriter, req *http.Request, raw []byte) {
	inner := req.Clone(req.Context())
	inner.Method, inner.URL = http.MethodPost, &url.URL{Path: b.procedure}
	inner.Body, inner.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	inner.Header.Set("Content-Type", "application/proto")
	for _, name := range []string{"Accept-Encoding", "Content-Encoding", "Content-Length", "Transfer-Encoding"} {
		inner.Header.Del(name)
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	b.methods.ServeHTTP(rec, inner)
	if rec.status != http.StatusOK {
		writeError(w, rec.status, fromBody(rec.body.Bytes()))
		return
	}
	out := b.out.New().Interface()
	if err := proto.Unmarshal(rec.body.Bytes(), out); err != nil {
		b.Logger.Error("an answer could not be read", "procedure", b.procedure, "error", err)
		writeError(w, 0, &RESTError{Code: connect.CodeInternal.String(), Message: "internal error"})
		return
	}
	text, err := JSON(out)
	if err != nil {
		b.Logger.Error("an answer could not be written", "procedure", b.procedure, "error", err)
		writeError(w, 0, &RESTError{Code: connect.CodeInternal.String(), Message: "internal error"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the caller has gone
}

// JSON is a message as REST answers it: the names of the proto, every field that is no
// message of its own, in one line.
func JSON(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, text) // protojson's blanks differ from one build to the next
	out.WriteByte('\n')
	return out.Bytes(), err
}

// read fills a request from body, path and query.
func (b *binding) read(w http.ResponseWriter, req *http.Request, params map[string]string, msg proto.Message) error {
	query := req.URL.Query()
	if b.body {
		if err := readBody(w, req, msg); err != nil {
			return err
		}
		for name := range query {
			return invalid(name, "this request has its fields in the body, and none in the query")
		}
	}
	fields := msg.ProtoReflect().Descriptor().Fields()
	for name := range query {
		first, _, _ := strings.Cut(name, ".")
		first, _, _ = strings.Cut(first, "[")
		if fields.ByTextName(first) == nil && fields.ByJSONName(first) == nil {
			return invalid(name, "there is no parameter %q", name)
		}
		if _, inPath := params[first]; inPath {
			return invalid(name, "the parameter %q is in the path", name)
		}
		if err := runtime.PopulateQueryParameters(msg, url.Values{name: query[name]}, utilities.NewDoubleArray(nil)); err != nil {
			return invalid(name, "the parameter %q has a value that it cannot have: %s", name, strings.Join(query[name], ", "))
		}
	}
	for name, value := range params {
		if err := runtime.PopulateFieldFromPath(msg, name, value); err != nil {
			return invalid(name, "%q in the path is no %s", value, name)
		}
	}
	return nil
}

// readBody reads a body of JSON; none is an empty object.
func readBody(w http.ResponseWriter, req *http.Request, msg proto.Message) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRequest))
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return invalid("body", "the body must be JSON: send the header Content-Type: application/json")
	}
	if encoding := req.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return invalid("body", "the body must not be compressed, and is %s", encoding)
	}
	if err := protojson.Unmarshal(data, msg); err != nil {
		text := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "proto:"), "\u00a0", " ") // which is how protobuf says: do not rely on it
		field := "body"
		if m := named().FindStringSubmatch(text); m != nil {
			field = slices.Max([]string{m[1], m[2]})
		}
		return invalid(field, "the body is no such request: %s", strings.TrimSpace(text))
	}
	return nil
}

// named finds the field that protojson complains about.
var named = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`unknown field "([^"]+)"|for [a-z0-9 ]*field ([A-Za-z0-9_.]+)`)
})

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// RESTError is what REST answers where it cannot do what was asked.
type RESTError struct {
	// Code is Connect's, which is gRPC's: "not_found".
	Code string `json:"code"`
	// Message is for a person.
	Message string `json:"message"`
	// Reason is a word for programs, where the code is not enough: "stale_revision".
	Reason    string       `json:"reason,omitempty"`
	Fields    []FieldError `json:"fields,omitempty"`
	RequestID string       `json:"request_id,omitempty"`
}

// FieldError says what is wrong with a field of a request.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// writeError answers with an error; status 0: the one of its code.
func writeError(w http.ResponseWriter, status int, e *RESTError) {
	if status == 0 {
		status = statusOf(e.Code)
	}
	e.RequestID = w.Header().Get(RequestIDHeader)
	w.Header().Del("Content-Length")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the caller has gone
}

// statusOf is the status that Connect has for a code.
func statusOf(code string) int {
	statuses := map[connect.Code]int{
		connect.CodeInvalidArgument: http.StatusBadRequest, connect.CodeFailedPrecondition: http.StatusBadRequest, connect.CodeOutOfRange: http.StatusBadRequest,
		connect.CodeUnauthenticated: http.StatusUnauthorized, connect.CodePermissionDenied: http.StatusForbidden, connect.CodeNotFound: http.StatusNotFound,
		connect.CodeAlreadyExists: http.StatusConflict, connect.CodeAborted: http.StatusConflict, connect.CodeResourceExhausted: http.StatusTooManyRequests,
		connect.CodeUnimplemented: http.StatusNotImplemented, connect.CodeUnavailable: http.StatusServiceUnavailable, connect.CodeDeadlineExceeded: http.StatusGatewayTimeout,
	}
	for known, status := range statuses {
		if known.String() == code {
			return status
		}
	}
	return http.StatusInternalServerError
}

// fromError is an error of ours as REST says it.
func fromError(err error) *RESTError {
	var said *Error
	if errors.As(err, &said) && said.Kind == Invalid {
		return &RESTError{Code: connect.CodeInvalidArgument.String(), Message: said.Message, Fields: []FieldError{{said.Field, said.Message}}}
	}
	return &RESTError{Code: connect.CodeInvalidArgument.String(), Message: "the request could not be read to its end", Fields: []FieldError{{"body", err.Error()}}}
}

func fromConnect(err error) *RESTError {
	var known *connect.Error
	if !errors.As(err, &known) {
		return &RESTError{Code: connect.CodeInternal.String(), Message: "internal error"}
	}
	return &RESTError{Code: known.Code().String(), Message: known.Message()}
}

// fromBody reads the error that Connect wrote.
func fromBody(body []byte) *RESTError {
	var wire struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Code == "" {
		return &RESTError{Code: connect.CodeInternal.String(), Message: "internal error"}
	}
	e := &RESTError{Code: wire.Code, Message: wire.Message}
	for _, d := range wire.Details {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "="))
		if err != nil {
			continue
		}
		switch d.Type {
		case "google.rpc.BadRequest":
			bad := &errdetails.BadRequest{}
			if proto.Unmarshal(raw, bad) == nil {
				for _, v := range bad.GetFieldViolations() {
					e.Fields = append(e.Fields, FieldError{v.GetField(), v.GetDescription()})
				}
			}
		case "google.rpc.ErrorInfo":
			info := &errdetails.ErrorInfo{}
			if proto.Unmarshal(raw, info) == nil {
				e.Reason = info.GetReason()
			}
		}
	}
	return e
}
