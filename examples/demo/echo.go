package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxParts bounds a multipart body of very many very small parts.
	maxParts = 1000
	// maxField bounds a multipart field that is not a file.
	maxField = maxJSON
	// maxRedirects bounds /redirect/{n}.
	maxRedirects = 100
)

// echo answers with the request: its body as text, or in base64 where it is not
// UTF-8, and as JSON, verbatim, where it is that.
func echo(c *call) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, 10<<20))
	if err != nil {
		return err
	}
	headers := make(map[string]string, len(c.r.Header)+1)
	for name, values := range c.r.Header {
		headers[name] = strings.Join(values, ", ")
	}
	headers["Host"] = c.r.Host
	answer := map[string]any{
		"method": c.r.Method, "path": c.r.URL.Path, "query": c.r.URL.Query(), "raw_query": c.r.URL.RawQuery,
		"headers": headers, "header_values": c.r.Header, "proto": c.r.Proto, "size": len(body), "body": nil, "json": nil,
	}
	switch {
	case len(body) > 0 && utf8.Valid(body):
		answer["body"] = string(body)
		if json.Valid(body) {
			answer["json"] = json.RawMessage(body)
		}
	case len(body) > 0:
		answer["body_base64"] = base64.StdEncoding.EncodeToString(body)
	}
	return c.json(http.StatusOK, answer)
}

func echoForm(c *call) error {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return badRequest("the form cannot be read: %v", err)
	}
	return c.json(http.StatusOK, map[string]any{"form": form})
}

type upload struct {
	Field       string `json:"field"`
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}

// receiveFiles reads a multipart body part by part and keeps none of it.
func receiveFiles(c *call) error {
	parts, err := c.r.MultipartReader()
	if err != nil {
		return refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be multipart/form-data")
	}
	files, fields := []upload{}, map[string][]string{}
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return c.json(http.StatusOK, map[string]any{"files": files, "fields": fields})
		}
		if err != nil {
			return err
		}
		if n == maxParts {
			return refuse(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d parts", maxParts)
		}
		if part.FileName() == "" {
			text, err := io.ReadAll(io.LimitReader(part, maxField+1))
			if err != nil {
				return err
			}
			if len(text) > maxField {
				return refuse(http.StatusRequestEntityTooLarge, "too_large", "the field %.40q is larger than %d bytes", part.FormName(), maxField)
			}
			fields[part.FormName()] = append(fields[part.FormName()], string(text))
			continue
		}
		sum := sha256.New()
		size, err := io.Copy(sum, part)
		if err != nil {
			return err
		}
		files = append(files, upload{part.FormName(), part.FileName(), part.Header.Get("Content-Type"), size, hex.EncodeToString(sum.Sum(nil))})
	}
}

func readCookies(c *call) error {
	found := map[string]string{}
	for _, cookie := range c.r.Cookies() {
		found[cookie.Name] = cookie.Value
	}
	return c.json(http.StatusOK, map[string]any{"cookies": found})
}

// setCookies sets each parameter of the query and shows what comes back.
func setCookies(c *call) error {
	query := c.r.URL.Query()
	for _, name := range sortedKeys(query) {
		cookie := &http.Cookie{Name: name, Value: query.Get(name), Path: "/", HttpOnly: true}
		if err := cookie.Valid(); err != nil {
			return badRequest("the cookie %.40q cannot be set: %v", name, err)
		}
		http.SetCookie(c.w, cookie)
	}
	return c.redirect("/cookies", http.StatusFound)
}

func deleteCookies(c *call) error {
	for _, cookie := range c.r.Cookies() {
		http.SetCookie(c.w, &http.Cookie{Name: cookie.Name, Path: "/", MaxAge: -1})
	}
	return c.noContent()
}

func redirectTimes(c *call) error {
	n, err := whole("/redirect/", c.r.PathValue("n"), 0, 0, maxRedirects)
	if err != nil {
		return err
	}
	if n == 0 {
		return c.json(http.StatusOK, map[string]any{"redirected": true})
	}
	target := "/redirect/" + strconv.Itoa(n-1)
	if c.r.URL.RawQuery != "" {
		target += "?" + c.r.URL.RawQuery
	}
	return c.redirectStatus(target)
}

// redirectTo is an open redirect, on purpose: clients must cope with them.
func redirectTo(c *call) error {
	target := c.r.URL.Query().Get("url")
	if target == "" {
		return badRequest("?url= is missing")
	}
	return c.redirectStatus(target)
}

func (c *call) redirectStatus(target string) error {
	status, err := c.query("status", http.StatusFound, 301, 308)
	if err != nil {
		return err
	}
	if status > 303 && status < 307 {
		return badRequest("?status= is 301, 302, 303, 307 or 308")
	}
	return c.redirect(target, status)
}

func (c *call) redirect(target string, status int) error {
	c.w.Header().Set("Location", target)
	return c.body(status, "", nil)
}
