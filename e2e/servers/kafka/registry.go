package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxBody bounds what a client may register.
const maxBody = 4 << 20

// schema is a registered schema in the words of the registry's API.
type schema struct {
	Subject    string      `json:"subject,omitempty"`
	Version    int         `json:"version,omitempty"`
	ID         int         `json:"id,omitempty"`
	Type       string      `json:"schemaType,omitempty"` // left out for Avro, as the real one does
	References []reference `json:"references,omitempty"`
	Schema     string      `json:"schema"`
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// fault is an error of the API.
type fault struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// registry is the part of a schema registry that producers and consumers use.
// It checks that a schema can be read, but not that it is compatible.
type registry struct {
	http.Handler

	mu       sync.Mutex
	ids      map[string]int      // by type, references and text
	byID     map[int]schema      // without subject and version
	subjects map[string][]schema // versions from 1 on
}

func newRegistry() *registry {
	r := &registry{ids: make(map[string]int), byID: make(map[int]schema), subjects: make(map[string][]schema)}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (any, *fault){
		"GET /subjects":                              r.list,
		"GET /subjects/{subject}/versions":           r.versions,
		"GET /subjects/{subject}/versions/{version}": r.version,
		"POST /subjects/{subject}/versions":          r.register,
		"POST /subjects/{subject}":                   r.lookUp,
		"DELETE /subjects/{subject}":                 r.remove,
		"GET /schemas/ids/{id}":                      r.schemaOf,
		"GET /schemas/types":                         func(*http.Request) (any, *fault) { return []string{"JSON", "PROTOBUF", "AVRO"}, nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r.mu.Lock()
			body, wrong := answer(req)
			r.mu.Unlock()
			w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
			if wrong != nil {
				w.WriteHeader(wrong.Code / 100)
				body = wrong
			}
			_ = json.NewEncoder(w).Encode(body)
		})
	}
	r.Handler = mux
	return r
}

func (r *registry) list(*http.Request) (any, *fault) {
	names := []string{}
	for name := range r.subjects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *registry) subject(req *http.Request) (string, []schema, *fault) {
	name := req.PathValue("subject")
	all := r.subjects[name]
	if len(all) == 0 {
		return name, nil, &fault{40401, fmt.Sprintf("Subject '%s' not found.", name)}
	}
	return name, all, nil
}

func (r *registry) versions(req *http.Request) (any, *fault) {
	_, all, wrong := r.subject(req)
	numbers := []int{}
	for _, s := range all {
		numbers = append(numbers, s.Version)
	}
	return numbers, wrong
}

func (r *registry) version(req *http.Request) (any, *fault) {
	_, all, wrong := r.subject(req)
	if wrong != nil {
		return nil, wrong
	}
	text := req.PathValue("version")
	if text == "latest" || text == "-1" {
		return all[len(all)-1], nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, &fault{42202, fmt.Sprintf("The specified version '%s' is not a valid version id.", text)}
	}
	if n < 1 || n > len(all) {
		return nil, &fault{40402, fmt.Sprintf("Version %d not found.", n)}
	}
	return all[n-1], nil
}

// read takes a schema from a request.
func (r *registry) read(req *http.Request) (schema, string, *fault) {
	var s schema
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil {
		return s, "", &fault{42201, "The request is not JSON: " + err.Error()}
	}
	s = schema{Type: strings.TrimPrefix(s.Type, "AVRO"), Schema: s.Schema, References: s.References}
	switch {
	case s.Type != "" && s.Type != "JSON" && s.Type != "PROTOBUF":
		return s, "", &fault{42201, "Invalid schema type " + s.Type}
	case s.Schema == "", s.Type != "PROTOBUF" && !json.Valid([]byte(s.Schema)):
		return s, "", &fault{42201, "Invalid schema " + s.Schema}
	}
	for _, ref := range s.References {
		if all := r.subjects[ref.Subject]; ref.Version < 1 || ref.Version > len(all) {
			return s, "", &fault{42201, fmt.Sprintf("Invalid schema: no version %d of the subject '%s' that it refers to", ref.Version, ref.Subject)}
		}
	}
	key, err := json.Marshal(s)
	if err != nil {
		return s, "", &fault{50001, err.Error()}
	}
	return s, string(key), nil
}

func (r *registry) register(req *http.Request) (any, *fault) {
	s, key, wrong := r.read(req)
	if wrong != nil {
		return nil, wrong
	}
	id := r.ids[key]
	if id == 0 {
		id = len(r.byID) + 1
		r.ids[key], r.byID[id] = id, s
	}
	name := req.PathValue("subject")
	if !slices.ContainsFunc(r.subjects[name], func(other schema) bool { return other.ID == id }) {
		s.Subject, s.Version, s.ID = name, len(r.subjects[name])+1, id
		r.subjects[name] = append(r.subjects[name], s)
	}
	return map[string]int{"id": id}, nil
}

func (r *registry) lookUp(req *http.Request) (any, *fault) {
	_, all, wrong := r.subject(req)
	if wrong != nil {
		return nil, wrong
	}
	_, key, wrong := r.read(req)
	if wrong != nil {
		return nil, wrong
	}
	for _, s := range all {
		if s.ID == r.ids[key] {
			return s, nil
		}
	}
	return nil, &fault{40403, "Schema not found"}
}

func (r *registry) remove(req *http.Request) (any, *fault) {
	numbers, wrong := r.versions(req)
	if wrong == nil {
		delete(r.subjects, req.PathValue("subject"))
	}
	return numbers, wrong
}

func (r *registry) schemaOf(req *http.Request) (any, *fault) {
	id, err := strconv.Atoi(req.PathValue("id"))
	s, ok := r.byID[id]
	if err != nil || !ok {
		return nil, &fault{40403, fmt.Sprintf("Schema %s not found", req.PathValue("id"))}
	}
	return s, nil
}
