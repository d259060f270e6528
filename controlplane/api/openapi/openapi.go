// Package openapi writes the OpenAPI document of the API from its proto: paths from
// google.api.http, limits from protovalidate, words from the comments. It never serves
// it, and knows of no method by name.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// object is JSON whose keys are written in the order of the alphabet, so that the same
// proto gives the same bytes.
type object = map[string]any

// Document is that of the services of a file, whose comments it must have.
func Document(file protoreflect.FileDescriptor) ([]byte, error) {
	d := &document{paths: object{}, schemas: object{}}
	var tags []any
	services := file.Services()
	for i := range services.Len() {
		s := services.Get(i)
		named := false
		for j := range s.Methods().Len() {
			bound, err := d.method(s, s.Methods().Get(j))
			if err != nil {
				return nil, err
			}
			named = named || bound
		}
		if named {
			tags = append(tags, object{"name": tag(s), "description": comment(s)})
		}
	}
	d.contents()
	d.schemas["Error"] = errorSchema
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "TestMesh", "version": "v1",
			"description": "The API of the control plane. The same methods answer Connect, gRPC and gRPC-Web at /testmesh.api.v1.SERVICE/METHOD, " +
				"where the streams are too. 64-bit numbers are texts, times are RFC 3339, durations are seconds with an s.",
		},
		"servers": []any{object{"url": "/"}}, "tags": tags, "paths": d.paths, "security": []any{object{"key": []any{}}},
		"components": object{
			"schemas":   d.schemas,
			"responses": responses,
			"securitySchemes": object{"key": object{
				"type": "http", "scheme": "bearer", "description": "The administrator's key. `testmesh dev` asks programs of its own machine for none.",
			}},
		},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(doc)
	return out.Bytes(), err
}

type document struct{ paths, schemas object }

// method adds a method at each of its paths, and says whether it has one.
func (d *document) method(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) (bool, error) {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return false, nil
	}
	for i, one := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		verb, template := pattern(one)
		if verb == "" {
			return false, fmt.Errorf("%s: its rule has no path that is known here", m.FullName())
		}
		op := d.operation(s, m, template, one.GetBody() != "")
		if i > 0 {
			op["operationId"] = fmt.Sprintf("%s_%d", op["operationId"], i+1)
			op["summary"] = fmt.Sprintf("Another path of %s", rulePath(rule))
		}
		path := plain(template)
		if d.paths[path] == nil {
			d.paths[path] = object{}
		}
		d.paths[path].(object)[strings.ToLower(verb)] = op
	}
	return true, nil
}

func rulePath(rule *annotations.HttpRule) string {
	_, template := pattern(rule)
	return plain(template)
}

// pattern is the HTTP method and the path template of a rule.
func pattern(rule *annotations.HttpRule) (verb, path string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	}
	return "", ""
}

// plain is a template as OpenAPI writes it, which has no {name=*/**}.
func plain(template string) string { return strings.ReplaceAll(template, "=*/**}", "}") }

// inPath are the fields that a template names.
func inPath(template string) (names []string) {
	for rest := plain(template); ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return names
		}
		name, next, _ := strings.Cut(after, "}")
		names, rest = append(names, name), next
	}
}

func tag(s protoreflect.ServiceDescriptor) string {
	return strings.TrimSuffix(string(s.Name()), "Service")
}

func (d *document) operation(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor, template string, body bool) object {
	words := comment(m)
	p, _ := proto.GetExtension(m.Options(), apiv1.E_Permission).(apiv1.Permission)
	permission := strings.ToLower(strings.TrimPrefix(p.String(), "PERMISSION_"))
	op := object{
		"operationId": fmt.Sprintf("%s_%s", tag(s), m.Name()), "tags": []any{tag(s)}, "summary": summary(m, words),
		"description": strings.TrimSpace(words + "\n\nPermission: " + permission + "."),
		"responses":   d.answers(m, body),
	}
	if p == apiv1.Permission_PERMISSION_NONE {
		op["security"] = []any{}
	}
	names := inPath(template)
	var parameters []any
	for _, name := range names {
		f := m.Input().Fields().ByName(protoreflect.Name(name))
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "description": comment(f), "schema": d.field(f)})
	}
	if body {
		op["requestBody"] = object{"content": jsonOf(d.request(m.Input(), names))}
	} else {
		parameters = append(parameters, d.query(m.Input(), names)...)
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	return op
}

// request is the schema of a body: the message without what the path has.
func (d *document) request(m protoreflect.MessageDescriptor, without []string) object {
	if len(without) == 0 {
		return d.ref(m)
	}
	s := d.message(m)
	properties := s["properties"].(object)
	for _, name := range without {
		delete(properties, name)
	}
	return s
}

// query are the fields of a request as parameters.
func (d *document) query(m protoreflect.MessageDescriptor, without []string) (list []any) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if slices.Contains(without, string(f.Name())) {
			continue
		}
		one := object{"name": string(f.Name()), "in": "query", "description": comment(f), "schema": d.field(f)}
		if f.IsMap() { // labels[zone]=eu-1
			one["style"], one["explode"] = "deepObject", true
		}
		list = append(list, one)
	}
	return list
}

// answers are those of a method: its own, and the errors that it may give.
func (d *document) answers(m protoreflect.MethodDescriptor, body bool) object {
	out := object{
		"200":     object{"description": "It is done.", "content": jsonOf(d.ref(m.Output()))},
		"default": object{"$ref": "#/components/responses/Error"},
	}
	codes := []string{"400", "401", "403", "404"}
	if body {
		codes = append(codes, "409", "413")
	}
	for _, code := range append(codes, "503") {
		out[code] = object{"$ref": "#/components/responses/" + code}
	}
	return out
}

func jsonOf(schema object) object {
	return object{"application/json": object{"schema": schema}}
}

// responses are the errors, by their status.
var responses = func() object {
	out := object{}
	for code, what := range map[string]string{
		"400": "The request is wrong, or does not fit what there is: `fields` says where.", "401": "No key, or one that is not known.",
		"403": "The caller may not do this.", "404": "What is named is not there: `fields` says by which field.",
		"409": "A revision that is not the newest (`stale_revision`), or an idempotency key that another request had (`idempotency_conflict`).",
		"413": "The request is too large.", "503": "Not at the moment: the control plane has no leader. Try again.", "Error": "Any other error.",
	} {
		out[code] = object{"description": what, "content": jsonOf(object{"$ref": "#/components/schemas/Error"})}
	}
	return out
}()

// errorSchema is what api.RESTError writes.
var errorSchema = object{
	"type": "object", "required": []any{"code", "message"}, "description": "Why it was not done.",
	"properties": object{
		"code":       object{"type": "string", "description": "The code of Connect and gRPC.", "pattern": "^[a-z]+(_[a-z]+)*$"},
		"message":    object{"type": "string", "description": "A sentence for a person."},
		"reason":     object{"type": "string", "description": "A word for programs, where the code is not enough."},
		"request_id": object{"type": "string", "description": "That of the header X-Request-Id, which is in the server's log too."},
		"fields": object{"type": "array", "items": object{
			"type": "object", "required": []any{"field", "message"},
			"properties": object{"field": object{"type": "string"}, "message": object{"type": "string"}},
		}},
	},
}

// contents adds the addresses of contents, which are bytes and no method.
func (d *document) contents() {
	sum := object{"name": "sha256", "in": "path", "required": true, "description": "sha256 (hex) of its bytes.", "schema": object{"type": "string", "pattern": "^[0-9a-f]{64}$"}}
	octets := object{"application/octet-stream": object{"schema": object{"type": "string", "contentMediaType": "application/octet-stream"}}}
	failed := func(out object, codes ...string) object {
		for _, code := range append(codes, "400", "401", "403", "503") {
			out[code] = object{"$ref": "#/components/responses/" + code}
		}
		out["default"] = object{"$ref": "#/components/responses/Error"}
		return out
	}
	d.paths["/api/v1/blobs/{sha256}"] = object{
		"parameters": []any{sum},
		"put": object{
			"operationId": "Blob_Put", "tags": []any{"Flow"}, "summary": "Stores the content of a file", "requestBody": object{"required": true, "content": octets},
			"description": "Stores the content of a file, at most 256 MiB. Sent twice it is stored once. An agent names one of its runs: ?run=ID&attempt=N&fence=N.\n\nPermission: run.",
			"responses":   failed(object{"204": object{"description": "It is stored."}}, "413"),
		},
		"get": object{
			"operationId": "Blob_Get", "tags": []any{"Flow"}, "summary": "Gives the content of a file or artifact",
			"description": "Gives the content of a file or artifact. An agent names one of its runs, which must name the file.\n\nPermission: read.",
			"responses":   failed(object{"200": object{"description": "Its bytes.", "content": octets}}, "404"),
		},
	}
}
