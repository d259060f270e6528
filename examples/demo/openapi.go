package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// anyMethod is what OpenAPI shows of a route for every method.
var anyMethod = [...]string{"get", "post", "put", "patch", "delete"}

type object = map[string]any

// openAPI describes the table. Schemas are given where a test can learn from
// them; other bodies are objects of any form.
func openAPI(table []Route) []byte {
	paths := object{}
	for _, route := range table {
		item, ok := paths[route.Path].(object)
		if !ok {
			item = object{}
			paths[route.Path] = item
		}
		if route.Method != "" {
			item[strings.ToLower(route.Method)] = operation(route, strings.ToLower(route.Method))
			continue
		}
		for _, method := range anyMethod {
			item[method] = operation(route, method)
		}
	}
	document := object{
		"openapi":    "3.1.0",
		"info":       object{"title": "TestMesh demo application", "version": "1", "description": "A small shop and everything an HTTP client has to cope with."},
		"paths":      paths,
		"components": object{"schemas": schemas()},
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("demo: encode OpenAPI document: %v", err)) // made of maps and strings only
	}
	return append(text, '\n')
}

func operation(route Route, method string) object {
	path := regexp.MustCompile(`\{(\w+)\}`)
	name := method + path.ReplaceAllString(route.Path, "by/$1")
	parameters := []object{}
	for _, found := range path.FindAllStringSubmatch(route.Path, -1) {
		parameters = append(parameters, object{"name": found[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, query := range route.Query {
		parameters = append(parameters, object{"name": query, "in": "query", "schema": object{"type": "string"}})
	}
	for _, header := range []string{"X-Tenant", "X-Fault"} {
		parameters = append(parameters, object{"name": header, "in": "header", "schema": object{"type": "string"}})
	}
	responses := object{}
	for i, status := range route.Statuses {
		response := object{"description": http.StatusText(status)}
		switch {
		case i == 0 && route.Media == asJSON:
			response["content"] = object{asJSON: object{"schema": answerSchema(route, method)}}
		case i == 0 && route.Media != "":
			response["content"] = object{route.Media: object{}}
		case status >= 400 && route.Path != "/oauth/token":
			response["content"] = object{asJSON: object{"schema": reference("Error")}}
		}
		responses[strconv.Itoa(status)] = response
	}
	made := object{"summary": route.Summary, "operationId": camel(name), "parameters": parameters, "responses": responses}
	if route.Body != "" && method != "get" {
		made["requestBody"] = object{"content": object{route.Body: object{"schema": bodySchema(route, method)}}}
	}
	return made
}

// camel makes getUsersById of get/users/by/id.
func camel(path string) string {
	words := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '_' || r == '-' || r == '.' })
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func answerSchema(route Route, method string) object {
	for prefix, name := range map[string]string{"/products": "Product", "/users": "User", "/orders": "Order"} {
		if route.Path == prefix && method == "get" {
			return object{"type": "object", "required": []string{"items", "page", "per_page", "pages", "total"}, "properties": object{
				"items": object{"type": "array", "items": reference(name)},
				"page":  object{"type": "integer"}, "per_page": object{"type": "integer"}, "pages": object{"type": "integer"}, "total": object{"type": "integer"},
			}}
		}
		if strings.HasPrefix(route.Path, prefix) {
			return reference(name)
		}
	}
	return object{"type": "object"}
}

func bodySchema(route Route, method string) object {
	switch route.Path {
	case "/users", "/users/{id}":
		if method != "patch" {
			return object{"allOf": []object{reference("UserBody")}, "required": []string{"name"}}
		}
		return reference("UserBody")
	case "/orders":
		return reference("OrderBody")
	}
	if route.Body == asJSON || route.Body == asForm || route.Body == asMultipart {
		return object{"type": "object"}
	}
	return object{}
}

func schemas() object {
	text, number, truth := object{"type": "string"}, object{"type": "number"}, object{"type": "boolean"}
	whole := object{"type": "integer"}
	texts := object{"type": "array", "items": text}
	timestamp := object{"type": "string", "format": "date-time"}
	mayBeText := object{"type": []string{"string", "null"}}
	roles := object{"type": "array", "maxItems": 3, "items": object{"enum": []string{"customer", "editor", "admin"}}}
	closed := func(properties object, required ...string) object {
		return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	all := func(properties object) object { return closed(properties, sortedKeys(properties)...) }
	line := all(object{"sku": text, "name": text, "qty": whole, "price": number, "total": number})
	return object{
		"Product": all(object{"id": whole, "sku": text, "name": text, "category": text, "price": number, "in_stock": truth, "tags": texts}),
		"User":    all(object{"id": object{"type": "string", "format": "uuid"}, "name": text, "email": mayBeText, "roles": roles, "active": truth, "created_at": timestamp, "version": whole}),
		"UserBody": object{"type": "object", "properties": object{
			"name": object{"type": "string", "minLength": 1, "maxLength": maxName}, "email": mayBeText, "roles": roles, "active": truth, "password": text,
		}},
		"Order": all(object{
			"id": text, "status": object{"enum": []string{"confirmed", "pending", "paid", "shipped"}}, "total": number, "currency": text,
			"items": object{"type": "array", "items": line}, "user_id": mayBeText, "created_at": timestamp,
		}),
		"OrderBody": object{"type": "object", "required": []string{"items"}, "properties": object{
			"user_id": mayBeText,
			"items": object{"type": "array", "minItems": 1, "maxItems": maxItems, "items": object{
				"type": "object", "required": []string{"sku"}, "properties": object{"sku": text, "qty": object{"type": "integer", "minimum": 1, "maximum": maxQty}},
			}},
		}},
		"Error": closed(object{"error": closed(object{
			"code": text, "message": text, "fields": object{"type": "array", "items": all(object{"field": text, "message": text})},
		}, "code", "message")}, "error"),
	}
}
