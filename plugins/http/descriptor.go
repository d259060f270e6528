// Package http is the plugin of HTTP/1.1 and HTTP/2 requests. It sends what a
// step says and reports what came back; it never judges an answer.
package http

import (
	_ "embed"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

var (
	//go:embed config.schema.json
	configSchema string
	//go:embed result.schema.json
	resultSchema string
)

const description = `Sends one request by HTTP/1.1 or HTTP/2, follows its redirects and reads the response.

A step without assertions passes if the status is below 400. Cookies that a response sets are sent by the later
requests of the run. The body is JSON if it is a map, a list or a number, and text if it is a text; form, multipart,
body_file and body_base64 send others. The result's body is a value where the response is JSON.

A connection, TLS, DNS or protocol fault, and a limit of time, makes the step errored; any status is an answer.
A body over max_body is cut, and an assertion that reads it is errored.`

// Descriptor describes the plugin without starting it.
func Descriptor() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name:    "http",
		Version: "1.0.0",
		Summary: "HTTP requests.",
		Actions: []*testmeshv1.Action{{
			Name:         "http.request",
			Summary:      "Send an HTTP request and read the response.",
			Description:  description,
			ConfigSchema: configSchema,
			ResultSchema: resultSchema,
			Expectation:  "status < 400",
			Effects: []*testmeshv1.EffectRule{
				{When: `upper(method ?? "GET") in ["GET", "HEAD", "OPTIONS", "TRACE"]`, Effect: testmeshv1.Effect_EFFECT_OBSERVE},
				{When: `upper(method ?? "GET") in ["PUT", "DELETE"]`, Effect: testmeshv1.Effect_EFFECT_IDEMPOTENT},
				{When: `any(keys(headers ?? {}), lower(#) == "idempotency-key")`, Effect: testmeshv1.Effect_EFFECT_IDEMPOTENT},
				{Effect: testmeshv1.Effect_EFFECT_ONCE},
			},
			Aliases: []string{"http_request", "http"},
			KeyAliases: []*testmeshv1.KeyAlias{
				{From: "params", To: "query"},
				{From: "query_params", To: "query"},
				{From: "form_data", To: "form"},
				{From: "verify_ssl", To: "tls.verify"},
				{From: "ca_cert", To: "tls.ca_file"},
				{From: "client_cert", To: "tls.cert_file"},
				{From: "client_key", To: "tls.key_file"},
				{From: "auth.key", To: "auth.value"},
				{From: "auth.in", To: "auth.location"},
				{From: "auth.scopes", To: "auth.scope"},
			},
			ResultAliases: []*testmeshv1.KeyAlias{
				{From: "response_time", To: "time"},
				{From: "status_code", To: "status"},
			},
			BodyKey: "body",
			Example: `- id: create
  action: http.request
  config:
    method: POST
    url: ${API}/users
    body: {name: Ada}
  assert:
    - status == 201
    - body.name == "Ada"
`,
		}},
	}
}
