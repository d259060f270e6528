package assert

import (
	"fmt"
	"path"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// xmlFunction judges a document by an XML Schema. It is a plugin's, because
// nothing but libxml2 knows XML Schema well enough.
const xmlFunction = "xml.schema_errors"

// shownErrors bounds the errors of a document that a message lists.
const shownErrors = 3

// xmlSchema is an XML Schema that a document must fit.
type xmlSchema struct {
	file string // as it is written
	dir  string // of the flow file, which file is relative to
}

// xmlSchemaFile compiles the file of matches_xml_schema_file; nil is a problem
// that was said, or that only notes it.
func (c *compiler) xmlSchemaFile(at, v *source.Node, target string) *xmlSchema {
	if c.Expr.Function == nil || !c.Expr.Function(xmlFunction) {
		p := source.Problem{
			Code: source.CodePlugin, Pos: at.Pos, Text: at.Text,
			Message: "XML Schema needs the plugin xml, which is not installed",
			Hint: "testmesh plugin install xml (a program of its own, see docs/xml.md); " +
				"without it judge parts of the document: xpath(" + target + `, "/order/id") == "1"`,
		}
		if c.MissingPlugins {
			p.Severity = source.Note
		}
		c.add(p)
		return nil
	}
	if _, ok := c.projectFile(v, opXMLSchema); !ok {
		return nil
	}
	if c.Opened != nil {
		c.Opened(path.Join(c.Dir, v.Text))
	}
	return &xmlSchema{file: v.Text, dir: c.Dir}
}

// ref is how the claim calls the plugin.
func (x *xmlSchema) ref() expr.Ref { return expr.Ref{Name: xmlFunction, Called: true} }

// checkXML judges a text by an XML Schema.
func (a *Assertion) checkXML(out *event.Assertion, env *expr.Env) {
	v, err := a.claim.Eval(env)
	if err != nil {
		explainError(out, err)
		return
	}
	document, ok := v.(string)
	if !ok {
		out.Actual, out.HasActual = v, true
		out.Message = fmt.Sprintf("expected an XML document as text, got %s", value.Describe(v, 80))
		return
	}
	found, err := a.xml.errors(env, document)
	if err != nil {
		explainError(out, err)
		return
	}
	if len(found) == 0 {
		out.Passed = true
		return
	}
	out.Actual, out.HasActual = v, true
	out.Message = "does not fit " + a.xml.file + ": " + strings.Join(found[:min(shownErrors, len(found))], "; ")
	if more := len(found) - shownErrors; more > 0 {
		out.Message += fmt.Sprintf(" (and %d more)", more)
	}
}

// errors asks the plugin. Whatever it could not judge is an error, never an
// empty list.
func (x *xmlSchema) errors(env *expr.Env, document string) ([]string, error) {
	if env.Call == nil {
		return nil, fmt.Errorf("%s cannot be called here", xmlFunction)
	}
	got, err := env.Call(x.dir, xmlFunction, []any{document, x.file})
	if err != nil {
		env.CallError = err
		return nil, err
	}
	if got, err = value.Normalize(got); err != nil {
		return nil, fmt.Errorf("%s gave no value: %w", xmlFunction, err)
	}
	list, ok := got.([]any)
	if !ok {
		return nil, fmt.Errorf("%s gave %s, and no list of errors", xmlFunction, value.Describe(got, 80))
	}
	found := make([]string, len(list))
	for i, e := range list {
		if found[i], ok = e.(string); !ok {
			return nil, fmt.Errorf("%s gave %s among its errors, and no text", xmlFunction, value.Describe(e, 80))
		}
	}
	return found, nil
}
