package http

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// requestBody is a body that can be sent again after a redirect or a 401.
type requestBody struct {
	data        []byte
	contentType string
	file        string // that it was read from, as the config names it
}

func (b *requestBody) open() (io.ReadCloser, error) { return b.reader(), nil }

func (b *requestBody) reader() io.ReadCloser {
	if len(b.data) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(b.data))
}

// buildBody makes the body that the config describes; none is empty.
func (c *config) buildBody(req *plugin.Request) (requestBody, error) {
	switch {
	case len(c.JSON) > 0:
		return requestBody{data: c.JSON, contentType: "application/json"}, nil
	case c.Form != nil:
		return requestBody{data: appendPairs(nil, c.Form), contentType: "application/x-www-form-urlencoded"}, nil
	case c.Multipart != nil:
		return c.multipartBody(req)
	case c.BodyFile != "":
		data, err := readFile(req, "body_file", c.BodyFile, MaxFileBytes)
		return requestBody{data: data, contentType: typeOf(c.BodyFile), file: c.BodyFile}, err
	case c.BodyBase64 != nil:
		data, err := base64.StdEncoding.DecodeString(*c.BodyBase64)
		if err != nil {
			return requestBody{}, configError("body_base64", "", "it is not base64: %s", err)
		}
		return requestBody{data: data, contentType: "application/octet-stream"}, nil
	case len(c.Body) == 0 || string(c.Body) == "null":
		return requestBody{}, nil
	case c.Body[0] == '"':
		data, err := jsontext.AppendUnquote(nil, c.Body)
		if err != nil {
			return requestBody{}, configError("body", "", "%s", err)
		}
		return requestBody{data: data, contentType: "text/plain; charset=utf-8"}, nil
	}
	return requestBody{data: c.Body, contentType: "application/json"}, nil
}

// typeOf is the media type of a file by its name. The system's own tables are
// left alone: they differ from machine to machine, and so would the request.
func typeOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".json":
		return "application/json"
	case ".xml":
		return "application/xml"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".txt", ".log":
		return "text/plain; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".md":
		return "text/markdown; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".svg":
		return "image/svg+xml"
	case ".pdf":
		return "application/pdf"
	case ".zip":
		return "application/zip"
	case ".gz":
		return "application/gzip"
	case ".mp4":
		return "video/mp4"
	}
	return "application/octet-stream"
}

func (c *config) multipartBody(req *plugin.Request) (requestBody, error) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for i := range c.Multipart {
		p := &c.Multipart[i]
		field := fmt.Sprintf("multipart[%d]", i)
		data, err := p.content(req, field)
		if err != nil {
			return requestBody{}, err
		}
		if buf.Len()+len(data) > MaxFileBytes {
			return requestBody{}, configError(field, "", "the parts are over %d MiB together", MaxFileBytes>>20)
		}
		out, err := w.CreatePart(p.header())
		if err == nil {
			_, err = out.Write(data)
		}
		if err != nil {
			return requestBody{}, configError(field, "", "%s", err)
		}
	}
	if err := w.Close(); err != nil {
		return requestBody{}, configError("multipart", "", "%s", err)
	}
	return requestBody{data: buf.Bytes(), contentType: w.FormDataContentType()}, nil
}

// content reads a part and fills in the names and types that follow from it.
func (p *part) content(req *plugin.Request, field string) ([]byte, error) {
	switch {
	case p.Name == "":
		return nil, configError(field+".name", "", "the part has no name")
	case !isFieldValue(p.ContentType):
		return nil, configError(field+".content_type", "", "it holds a line break or a control character")
	case p.File != "" && len(p.Value) > 0:
		return nil, configError(field, "keep one of them", "it has both a value and a file")
	case p.File != "":
		data, err := readFile(req, field+".file", p.File, MaxFileBytes)
		if p.Filename == "" {
			p.Filename = path.Base(p.File)
		}
		if p.ContentType == "" {
			p.ContentType = typeOf(p.File)
		}
		return data, err
	case len(p.Value) == 0 || string(p.Value) == "null":
		return nil, configError(field, "give it a value or a file", "it has neither a value nor a file")
	case p.Value[0] == '{' || p.Value[0] == '[':
		if p.ContentType == "" {
			p.ContentType = "application/json"
		}
	case p.Value[0] == '"':
		data, err := jsontext.AppendUnquote(nil, p.Value)
		if err != nil {
			return nil, configError(field+".value", "", "%s", err)
		}
		return data, nil
	}
	return p.Value, nil
}

// header is that of the part, its names quoted as HTML says and browsers do:
// a quote and line breaks in percent signs.
func (p *part) header() textproto.MIMEHeader {
	escape := strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A")
	disposition := `form-data; name="` + escape.Replace(p.Name) + `"`
	if p.Filename != "" {
		disposition += `; filename="` + escape.Replace(p.Filename) + `"`
	}
	h := textproto.MIMEHeader{"Content-Disposition": {disposition}}
	if p.ContentType != "" {
		h.Set("Content-Type", p.ContentType)
	}
	return h
}
