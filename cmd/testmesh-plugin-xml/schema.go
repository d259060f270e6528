//go:build libxml2 && cgo

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Bounds of a schema with all that it includes.
const (
	maxSchemaFiles = 500
	maxSchemaBytes = 32 << 20
	maxFileBytes   = 4 << 20
)

// schemaURL is what libxml2 knows a file of the project by. Relative names in
// the file are below it.
func schemaURL(name string) string { return "project:///" + name }

func schemaName(url string) string { return strings.TrimPrefix(url, "project:///") }

// project reads the files that a schema consists of.
type project struct {
	req   *plugin.Request
	files []file
	seen  map[string]bool
	size  int
}

// inline is the name of a schema that a step holds itself.
const inline = "(inline)"

// schemaFiles reads a schema and all that it includes, imports or redefines, and
// nothing outside the project. given is a path, relative to the flow file, or
// the schema itself, which begins with <.
func schemaFiles(req *plugin.Request, given string) ([]file, error) {
	p := &project{
		// Names are below the root from here on.
		req:  &plugin.Request{Root: req.Root},
		seen: map[string]bool{},
	}
	var next []string
	switch {
	case isInline(given):
		if len(given) > maxFileBytes {
			return nil, fmt.Errorf("the schema is over %d MiB", maxFileBytes>>20)
		}
		text, err := plain([]byte(given))
		if err != nil {
			return nil, fmt.Errorf("the schema: %w", err)
		}
		if next, err = p.add(path.Join(req.Dir, inline), text); err != nil {
			return nil, err
		}
	case path.IsAbs(given):
		return nil, fmt.Errorf("%s leads out of the project", given)
	default:
		next = []string{path.Join(req.Dir, given)}
	}
	for len(next) > 0 {
		more, err := p.read(next[0])
		if err != nil {
			return nil, err
		}
		next = append(next[1:], more...)
	}
	return p.files, nil
}

// isInline tells a schema from the path of one.
func isInline(given string) bool { return strings.HasPrefix(strings.TrimSpace(given), "<") }

// read adds one file, and gives the names of those that it names.
func (p *project) read(name string) ([]string, error) {
	if p.seen[name] {
		return nil, nil
	}
	p.seen[name] = true
	if len(p.files) == maxSchemaFiles {
		return nil, fmt.Errorf("the schema has over %d files", maxSchemaFiles)
	}
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%s leads out of the project", name)
	}
	data, err := p.req.ReadFile(name, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, err
	}
	if p.size += len(data); p.size > maxSchemaBytes {
		return nil, fmt.Errorf("the schema is over %d MiB", maxSchemaBytes>>20)
	}
	text, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p.add(name, text)
}

// add adds a file that was read.
func (p *project) add(name string, text []byte) ([]string, error) {
	p.files = append(p.files, file{name, text})
	named, err := locations(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var more []string
	for _, location := range named {
		target, err := resolve(name, location)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		more = append(more, target)
	}
	return more, nil
}

// locations are the files that a schema names, as they are written.
func locations(text []byte) ([]string, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	var found []string
	for {
		token, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		// The prefix is not looked up: what only looks like an include is read
		// without need, what is one is never missed.
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "include", "import", "redefine", "override":
			for _, a := range start.Attr {
				if a.Name.Local == "schemaLocation" {
					found = append(found, strings.TrimSpace(a.Value))
				}
			}
		}
	}
}

// resolve gives the name below the project of a location in a file.
func resolve(from, location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("schemaLocation %.200q is no path", location)
	}
	if u.Scheme != "" || u.Host != "" {
		return "", fmt.Errorf("schemaLocation %.200q is not in the project: save it there, and write its path", location)
	}
	name := path.Join(path.Dir(from), u.Path)
	if path.IsAbs(u.Path) || !fs.ValidPath(name) {
		return "", fmt.Errorf("schemaLocation %.200q leads out of the project", location)
	}
	return name, nil
}
