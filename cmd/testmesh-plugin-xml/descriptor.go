//go:build libxml2 && cgo

package main

import (
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

const configSchema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "document": {"type": "string", "description": "The document as text; an answer's text is body.", "examples": ["${create.body}"]},
    "file": {"type": "string", "x-testmesh-file": true, "description": "The document's file, in place of document, in any encoding that it declares."},
    "schema_file": {"type": "string", "x-testmesh-file": true, "description": "The XML Schema 1.0; what it includes and imports must be files of the project."},
    "schema": {"type": "string", "description": "The schema as text, in place of schema_file."}
  },
  "allOf": [
    {"oneOf": [{"required": ["document"]}, {"required": ["file"]}]},
    {"oneOf": [{"required": ["schema_file"]}, {"required": ["schema"]}]}
  ]
}`

const resultSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["valid", "errors", "count"],
  "properties": {
    "valid": {"type": "boolean", "description": "The document is well-formed and fits the schema."},
    "errors": {
      "type": "array",
      "description": "What is wrong, at most 100.",
      "items": {
        "type": "object",
        "required": ["message"],
        "properties": {
          "line": {"type": "integer", "description": "Line of the document, from 1."},
          "column": {"type": "integer", "description": "Column, from 1, where the document is not well-formed."},
          "message": {"type": "string"}
        }
      }
    },
    "count": {"type": "integer", "description": "How many errors there are in all."}
  }
}`

const description = `Judges a document by an XML Schema 1.0, with libxml2.

A document that is not well-formed, or does not fit the schema, is a wrong answer: the step fails. A document with a
document type (<!DOCTYPE) is not judged, since entities read files and grow without bound; nor is one over 16 MiB.
A schema reads files of the project and nothing else: a schemaLocation with http:// is an error.`

// Describe describes the plugin.
func (x *xsd) Describe() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name:    "xml",
		Version: x.version,
		Summary: "XML documents and XML Schemas.",
		Actions: []*testmeshv1.Action{{
			Name:         "xml.validate",
			Summary:      "Judge a document by an XML Schema.",
			Description:  description,
			ConfigSchema: configSchema,
			ResultSchema: resultSchema,
			Expectation:  "valid",
			Effects:      []*testmeshv1.EffectRule{{Effect: testmeshv1.Effect_EFFECT_OBSERVE}},
			Aliases:      []string{"xml_validate"},
			Example: `- id: invoice
  action: xml.validate
  config:
    document: <total>59.80</total>
    schema: <xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="total" type="xs:decimal"/></xs:schema>
`,
		}},
		Functions: []*testmeshv1.Function{{
			Name:       "schema_errors",
			Summary:    "What is wrong with a document, as texts with lines; empty: it fits the schema, which is a path or a schema as text.",
			Parameters: []string{"document", "schema"},
		}},
	}
}
