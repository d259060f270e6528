package demo

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"compress/zlib"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxBytes = 10 << 20

// numbers are those that a client which reads JSON into float64 gets wrong.
const numbers = `{"max_safe":9007199254740991,"past_safe":9007199254740993,"int64_max":9223372036854775807,` +
	`"uint64_max":18446744073709551615,"tenth":0.1,"price":59.80,"one":1.0,"huge":1e400,"tiny":1e-400,` +
	`"exact":12345678901234567890.123456789,"minus_zero":-0}` + "\n"

// texts are those that a client which counts bytes or UTF-16 units gets wrong.
const texts = `{"ascii":"plain","umlaut":"Grüße","composed":"` + "\u00e9" + `","decomposed":"` + "e\u0301" + `","cjk":"日本語","rtl":"שלום عالم",` +
	`"emoji":"👩‍👩‍👧‍👦","astral":"𝒳","escaped":"\u00e9\ud83d\ude00","nul":"a\u0000b","line_separator":"a\u2028b","bom":"\ufeffx","ключ":"значение"}` + "\n"

func bigNumbers(c *call) error { return c.body(http.StatusOK, "application/json", []byte(numbers)) }

func unicodeTexts(c *call) error { return c.body(http.StatusOK, "application/json", []byte(texts)) }

// compressed is the request's method and path, packed whatever Accept-Encoding
// says.
func compressed(coding string, writer func(io.Writer) io.WriteCloser) handler {
	return func(c *call) error {
		plain, err := encode(map[string]any{"coding": coding, "method": c.r.Method, "text": strings.Repeat("tea ", 256)})
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		w := writer(&packed)
		if _, err := w.Write(plain); err != nil {
			return fmt.Errorf("pack answer: %w", err)
		}
		if err := w.Close(); err != nil {
			return fmt.Errorf("pack answer: %w", err)
		}
		c.w.Header().Set("Content-Encoding", coding)
		c.w.Header().Set("Vary", "Accept-Encoding")
		return c.body(http.StatusOK, "application/json", packed.Bytes())
	}
}

func toGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

// toDeflate is zlib's format: what RFC 9110 section 8.4.1.2 means by deflate.
func toDeflate(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

func catalogXML(c *call) error {
	type row struct {
		SKU      string `xml:"sku,attr"`
		Category string `xml:"category,attr"`
		Name     string `xml:"name"`
		Price    string `xml:"price"`
	}
	document := struct {
		XMLName  xml.Name `xml:"urn:testmesh:demo catalog"`
		Currency string   `xml:"currency,attr"`
		Products []row    `xml:"product"`
	}{Currency: currency}
	for _, p := range catalog() {
		document.Products = append(document.Products, row{p.SKU, p.Category, p.Name, p.Price.String()})
	}
	text, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encode catalog: %w", err)
	}
	return c.body(http.StatusOK, "application/xml; charset=utf-8", slices.Concat([]byte(xml.Header), text, []byte("\n")))
}

func catalogCSV(c *call) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"id", "sku", "name", "category", "price"}}
	for _, p := range catalog() {
		rows = append(rows, []string{strconv.Itoa(p.ID), p.SKU, p.Name, p.Category, p.Price.String()})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("encode catalog: %w", err)
	}
	return c.body(http.StatusOK, "text/csv; charset=utf-8", b.Bytes())
}

func catalogHTML(c *call) error {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tea &amp; Coffee</title></head>\n<body>\n<h1>Tea &amp; Coffee</h1>\n<ul id=\"products\">\n")
	for _, p := range catalog() {
		fmt.Fprintf(&b, "<li data-sku=%q><a href=\"/products/%d\">%s</a> <span class=\"price\">%s</span></li>\n", p.SKU, p.ID, html.EscapeString(p.Name), p.Price)
	}
	b.WriteString("</ul>\n<form action=\"/form\" method=\"post\"><input name=\"q\"><button>Search</button></form>\n</body></html>\n")
	return c.body(http.StatusOK, "text/html; charset=utf-8", []byte(b.String()))
}

// randomBytes are the same for the same seed and number.
func randomBytes(c *call) error {
	n, err := whole("/bytes/", c.r.PathValue("n"), 0, 0, maxBytes)
	if err != nil {
		return err
	}
	body := make([]byte, n)
	if _, err := c.tenant.source("bytes").Read(body); err != nil {
		return fmt.Errorf("make random bytes: %w", err)
	}
	return c.body(http.StatusOK, "application/octet-stream", body)
}

// source is a stream of random numbers that depends on seed and kind alone.
func (t *tenant) source(kind string) *rand.ChaCha8 {
	return rand.NewChaCha8((&tenant{seed: t.seed}).random(kind, 0))
}

// index is the list of routes for a person.
func index(c *call) error {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>TestMesh demo application</title></head>\n<body>\n" +
		"<h1>TestMesh demo application</h1>\n<table>\n<tr><th>Method</th><th>Path</th><th>What it does</th></tr>\n")
	for _, route := range c.app.table {
		fmt.Fprintf(&b, "<tr><td>%s</td><td><code>%s</code></td><td>%s</td></tr>\n", cmp.Or(route.Method, "any"), html.EscapeString(route.Path), html.EscapeString(route.Summary))
	}
	b.WriteString("</table>\n<p>Faults for X-Fault and /__faults:</p>\n<ul>\n")
	for _, kind := range faultKinds() {
		fmt.Fprintf(&b, "<li><code>%s</code> %s</li>\n", kind.name, html.EscapeString(kind.summary))
	}
	fmt.Fprintf(&b, "</ul>\n<p>User <code>%s</code> with password <code>%s</code>, client <code>%s</code> with secret <code>%s</code>, API key <code>%s</code>. X-Tenant gives each flow a world of its own.</p>\n</body></html>\n",
		Username, Password, ClientID, ClientSecret, APIKey)
	return c.body(http.StatusOK, "text/html; charset=utf-8", []byte(b.String()))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
