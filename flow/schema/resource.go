package schema

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// document is one file or one given value.
type document struct {
	name string // what stands before '#' in a SchemaPath; "" for the root document
	uri  string // where it came from
	root any
	ours bool // a metaschema of the standard
	// scanned are the schemas that were looked at for ids and anchors.
	scanned map[string]bool
	// resources are the schemas with a URI of their own, by pointer; the root
	// is one always.
	resources map[string]*resource
}

// resource is a schema with a URI: a document or a subschema with $id.
type resource struct {
	uri     string
	root    cursor
	dialect dialect
	anchors map[string]anchor
	// recursive is $recursiveAnchor: true at its root.
	recursive bool
}

type anchor struct {
	at      cursor
	dynamic bool
}

// cursor is a position inside a document.
type cursor struct {
	doc *document
	ptr string
	raw any
	res *resource
}

func (cur cursor) child(raw any, tokens ...string) cursor {
	out := cursor{cur.doc, cur.ptr, raw, cur.res}
	for _, t := range tokens {
		out.ptr += "/" + escapeToken(t)
		if res := cur.doc.resources[out.ptr]; res != nil {
			out.res = res
		}
	}
	return out
}

func (cur cursor) where() string { return cur.doc.name + "#" + cur.ptr }

// fileURI gives a path inside Options.FS a URI.
func fileURI(name string) string {
	return (&url.URL{Scheme: "file", Path: "/" + name}).String()
}

// join resolves a reference without fragment against a base URI. A relative
// path that climbs out of the root of the files is an error, not clamped.
func join(base, ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("%q is not a URI", ref)
	}
	b, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("%q is not a URI", base)
	}
	if b.Scheme == "file" && u.Scheme == "" && u.Host == "" && u.Path != "" && !strings.HasPrefix(u.Path, "/") {
		if at := path.Join(path.Dir(strings.TrimPrefix(b.Path, "/")), u.Path); at == ".." || strings.HasPrefix(at, "../") {
			return "", fmt.Errorf("%q leads out of the project", ref)
		}
	}
	return b.ResolveReference(u).String(), nil
}

// read gives the document of a URI.
func (c *compiler) read(uri string) (any, error) {
	if doc, ok := c.opts.Known[uri]; ok {
		return value.Normalize(doc)
	}
	if doc := metaschema(canonical(uri)); doc != nil {
		return doc, nil
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Host != "" {
		return nil, fmt.Errorf("%q is neither in this document nor a file nor a metaschema; the network is never read", uri)
	}
	name := strings.TrimPrefix(u.Path, "/")
	if !fs.ValidPath(name) || name == "." {
		return nil, fmt.Errorf("%q is not a path of a file", name)
	}
	return readFile(c.opts, name)
}

// load reads and scans the document of a URI. Where a schema that names itself
// by some URL refers to a neighbour by a relative path, the neighbour's URL is
// nowhere to be had, but the file next to it is what was meant.
func (c *compiler) load(uri, ref string, from cursor) (*resource, error) {
	if uri = canonical(uri); c.resources[uri] != nil {
		return c.resources[uri], nil
	}
	doc, err := c.read(uri)
	if err != nil && strings.HasPrefix(from.doc.uri, "file:") {
		if near, joinErr := join(from.doc.uri, ref); joinErr == nil && near != uri && !strings.Contains(ref, ":") {
			if c.resources[near] != nil {
				return c.resources[near], nil
			}
			if neighbour, nearErr := c.read(near); nearErr == nil {
				doc, err, uri = neighbour, nil, near
			}
		}
	}
	if err != nil {
		return nil, err
	}
	name := uri
	if u, err := url.Parse(uri); err == nil && u.Scheme == "file" {
		name = strings.TrimPrefix(u.Path, "/")
	}
	return c.add(&document{name: name, uri: uri, root: doc, ours: metaschema(uri) != nil}, dialect{draft: from.res.dialect.draft})
}

// add scans a document and registers the resources that it holds.
func (c *compiler) add(doc *document, fallback dialect) (*resource, error) {
	if len(c.docs) >= maxDocuments {
		return nil, fmt.Errorf("over %d schema files", maxDocuments)
	}
	c.docs = append(c.docs, doc)
	doc.resources, doc.scanned = map[string]*resource{}, map[string]bool{}
	res := &resource{uri: doc.uri, dialect: fallback, anchors: map[string]anchor{}}
	res.root = cursor{doc, "", doc.root, res}
	doc.resources[""] = res
	c.resources[doc.uri] = res
	if m, ok := doc.root.(map[string]any); ok {
		if err := c.chooseDialect(res, m); err != nil {
			return nil, err
		}
	}
	c.scan(res.root)
	if m, ok := doc.root.(map[string]any); ok && doc.name != "" {
		if id, ok := m[res.dialect.idKeyword()].(string); ok {
			if at, err := join(doc.uri, strings.TrimSuffix(id, "#")); err == nil && c.resources[at] != nil {
				c.resources[doc.uri] = c.resources[at]
				return c.resources[at], nil
			}
		}
	}
	return res, nil
}

func (c *compiler) chooseDialect(res *resource, m map[string]any) error {
	uri, ok := m["$schema"].(string)
	if !ok {
		return nil
	}
	d, err := c.dialectOf(uri, res.uri, 0)
	if err != nil {
		return &DefinitionError{SchemaPath: res.root.where() + "/$schema", Message: err.Error()}
	}
	res.dialect = d
	return nil
}

// scan walks the schemas below cur and registers their ids and anchors. It
// keeps a list of its own, so that deep nesting costs no stack.
func (c *compiler) scan(cur cursor) {
	for todo := []cursor{cur}; len(todo) > 0; {
		cur, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if c.scanned++; c.scanned > maxSchemas {
			c.fail(cur.where(), "over %d schemas", maxSchemas)
			return
		}
		m, ok := cur.raw.(map[string]any)
		if !ok || cur.doc.scanned[cur.ptr] {
			continue
		}
		cur.doc.scanned[cur.ptr] = true
		if _, hidden := cur.res.dialect.present(m); !hidden {
			cur.res = c.identify(cur, m)
		}
		found, _ := cur.res.dialect.present(m) // an embedded $schema may have changed it
		for _, k := range found {
			for _, sub := range k.form.subschemas(m[k.name]) {
				todo = append(todo, cur.child(sub.raw, append([]string{k.name}, sub.tokens...)...))
			}
		}
	}
}

// identify registers the id and the anchors of one schema and gives the
// resource that it belongs to.
func (c *compiler) identify(cur cursor, m map[string]any) *resource {
	res := cur.res
	d := res.dialect
	if embedded, ok := m["$schema"].(string); ok && cur.ptr != "" {
		if other, err := c.dialectOf(embedded, res.uri, 0); err == nil {
			d = other
		}
	}
	if id, ok := m[d.idKeyword()].(string); ok {
		uri, fragment, _ := strings.Cut(id, "#")
		if uri != "" {
			res = c.embed(cur, uri, d)
		}
		switch {
		case fragment != "" && d.draft <= Draft7:
			c.anchor(res, cur, fragment, false)
		case fragment != "":
			c.fail(cur.where()+"/$id", "%q has a fragment; a name inside the document is an $anchor", id)
		}
	}
	cur.res = res
	if name, ok := m["$anchor"].(string); ok && d.draft >= Draft2019 {
		c.anchor(res, cur, name, false)
	}
	if name, ok := m["$dynamicAnchor"].(string); ok && d.draft >= Draft2020 {
		c.anchor(res, cur, name, true)
	}
	if res.root.ptr == cur.ptr && m["$recursiveAnchor"] == true {
		res.recursive = true
	}
	return res
}

// embed makes the schema at cur a resource of its own.
func (c *compiler) embed(cur cursor, id string, d dialect) *resource {
	uri, err := join(cur.res.uri, id)
	if err != nil {
		c.fail(cur.where()+"/"+d.idKeyword(), "%v", err)
		return cur.res
	}
	if cur.ptr == "" { // the document's own name
		if cur.res.uri != uri && c.resources[uri] != nil {
			c.fail(cur.where()+"/"+d.idKeyword(), "a second schema with the id %q", uri)
		}
		cur.res.uri = uri
		c.resources[uri] = cur.res
		return cur.res
	}
	if other := c.resources[uri]; other != nil {
		if other.root.doc != cur.doc || other.root.ptr != cur.ptr {
			c.fail(cur.where()+"/"+d.idKeyword(), "a second schema with the id %q; the first is %s", uri, other.root.where())
		}
		return other
	}
	res := &resource{uri: uri, dialect: d, anchors: map[string]anchor{}}
	res.root = cursor{cur.doc, cur.ptr, cur.raw, res}
	c.resources[uri] = res
	cur.doc.resources[cur.ptr] = res
	return res
}

func (c *compiler) anchor(res *resource, cur cursor, name string, dynamic bool) {
	cur.res = res
	if old, ok := res.anchors[name]; ok && (old.at.doc != cur.doc || old.at.ptr != cur.ptr) {
		c.fail(cur.where(), "a second anchor %q; the first is %s", name, old.at.where())
		return
	}
	res.anchors[name] = anchor{cur, dynamic || res.anchors[name].dynamic}
}

// resolve finds what a $ref names. name is the anchor it went by, if any.
func (c *compiler) resolve(ref string, from cursor) (target cursor, name string, err error) {
	uri, fragment, _ := strings.Cut(ref, "#")
	res := from.res
	if uri != "" {
		abs, err := join(res.uri, uri)
		if err != nil {
			return cursor{}, "", err
		}
		if res = c.resources[abs]; res == nil {
			if res, err = c.load(abs, uri, from); err != nil {
				return cursor{}, "", err
			}
			if embedded := c.resources[abs]; embedded != nil {
				res = embedded
			}
		}
	}
	plain, err := url.PathUnescape(fragment)
	if err != nil {
		return cursor{}, "", fmt.Errorf("%q: the fragment is not percent-encoded", ref)
	}
	if plain == "" {
		return res.root, "", nil
	}
	if strings.HasPrefix(plain, "/") {
		target, err := c.point(res.root, plain)
		return target, "", err
	}
	a, ok := res.anchors[plain]
	if !ok {
		return cursor{}, "", fmt.Errorf("no anchor %q in %s", plain, res.root.where())
	}
	return a.at, plain, nil
}

// point follows a JSON Pointer (RFC 6901) from a resource's root.
func (c *compiler) point(cur cursor, pointer string) (cursor, error) {
	for _, token := range strings.Split(pointer[1:], "/") {
		token = unescapeToken(token)
		var next any
		ok := false
		hint := ""
		switch x := cur.raw.(type) {
		case map[string]any:
			if next, ok = x[token]; !ok {
				if near := value.Nearest(x, token); near != "" {
					hint = fmt.Sprintf(" (did you mean %q?)", near)
				}
			}
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(x) && strconv.Itoa(i) == token {
				next, ok = x[i], true
			}
		}
		if !ok {
			return cursor{}, fmt.Errorf("there is no %q in %s%s", token, cur.where(), hint)
		}
		cur = cur.child(next, token)
	}
	return cur, nil
}

// discover scans a schema that only a reference shows to be one: it stands
// where no keyword puts schemas.
func (c *compiler) discover(cur cursor) {
	if c.nodes[spotKey{cur.doc, cur.ptr}] == nil && !cur.doc.scanned[cur.ptr] {
		c.scan(cur)
	}
}
