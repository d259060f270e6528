package http

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"path"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// requestBody is a body that can be sent again after a redirect or a 401.
type requestBody struct {
	data        []byte
	size        int64
	contentType string
}

func (b *requestBody) open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

func newBody(data []byte, contentType string) *requestBody {
	return &requestBody{data: data, size: int64(len(data)), contentType: contentType}
}

// buildBody makes the body that the config describes; none is empty.
func (c *config) buildBody(req *plugin.Request) (*requestBody, error) {
	switch {
	case len(c.JSON) > 0:
		return newBody(c.JSON, "application/json"), nil
	case c.Form != nil:
		return c.formBody()
	case c.Multipart != nil:
		return c.multipartBody(req)
	case c.BodyFile != "":
		data, err := readFile(req, "body_file", c.BodyFile, MaxFileBytes)
		if err != nil {
			return nil, err
		}
		return newBody(data, typeOf(c.BodyFile)), nil
	case c.BodyBase64 != "":
		data, err := base64.StdEncoding.DecodeString(c.BodyBase64)
		if err != nil {
			return nil, configError("body_base64", "", "config.body_base64 is not base64: %s", err)
		}
		return newBody(data, "application/octet-stream"), nil
	case len(c.Body) == 0 || string(c.Body) == "null":
		return newBody(nil, ""), nil
	case c.Body[0] == '"':
		s, err := scalar(c.Body)
		if err != nil {
			return nil, configError("body", "", "config.body: %s", err)
		}
		return newBody([]byte(s), "text/plain; charset=utf-8"), nil
	}
	return newBody(c.Body, "application/json"), nil
}

func typeOf(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (c *config) formBody() (*requestBody, error) {
	var parts []string
	for _, name := range sortedKeys(c.Form) {
		list, err := values(c.Form[name])
		if err != nil {
			return nil, configError("form."+name, "", "config.form.%s: %s", name, err)
		}
		for _, v := range list {
			parts = append(parts, url.QueryEscape(name)+"="+url.QueryEscape(v))
		}
	}
	return newBody([]byte(strings.Join(parts, "&")), "application/x-www-form-urlencoded"), nil
}

func (c *config) multipartBody(req *plugin.Request) (*requestBody, error) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for i, p := range c.Multipart {
		field := fmt.Sprintf("multipart[%d]", i)
		data, h, err := p.content(req, field)
		if err != nil {
			return nil, err
		}
		out, err := w.CreatePart(h)
		if err == nil {
			_, err = out.Write(data)
		}
		if err != nil {
			return nil, configError(field, "", "config.%s: %s", field, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, configError("multipart", "", "config.multipart: %s", err)
	}
	return newBody(buf.Bytes(), w.FormDataContentType()), nil
}

var quoteEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "%0D", "\n", "%0A")

func (p part) content(req *plugin.Request, field string) ([]byte, textproto.MIMEHeader, error) {
	h := make(textproto.MIMEHeader)
	disposition := fmt.Sprintf(`form-data; name="%s"`, quoteEscaper.Replace(p.Name))
	contentType := p.ContentType
	var data []byte
	switch {
	case p.Name == "":
		return nil, nil, configError(field+".name", "", "config.%s has no name", field)
	case p.File != "" && len(p.Value) > 0:
		return nil, nil, configError(field, "keep one of them", "config.%s has both a value and a file", field)
	case p.File != "":
		var err error
		if data, err = readFile(req, field+".file", p.File, MaxFileBytes); err != nil {
			return nil, nil, err
		}
		if p.Filename == "" {
			p.Filename = path.Base(p.File)
		}
		if contentType == "" {
			contentType = typeOf(p.File)
		}
	case len(p.Value) > 0 && (p.Value[0] == '{' || p.Value[0] == '['):
		data = p.Value
		if contentType == "" {
			contentType = "application/json"
		}
	default:
		s, err := scalar(p.Value)
		if err != nil {
			return nil, nil, configError(field+".value", "", "config.%s.value: %s", field, err)
		}
		data = []byte(s)
	}
	if p.Filename != "" {
		disposition += fmt.Sprintf(`; filename="%s"`, quoteEscaper.Replace(p.Filename))
	}
	h.Set("Content-Disposition", disposition)
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return data, h, nil
}
