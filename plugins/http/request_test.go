package http

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestRequestsGoOutAsTheFlowSaysThem(t *testing.T) {
	header := func(name string) func(seen) string { return func(s seen) string { return s.Header.Get(name) } }
	uri := func(s seen) string { return s.URI }
	body := func(s seen) string { return s.Body }
	method := func(s seen) string { return s.Method }
	tests := map[string]struct {
		config m
		read   func(seen) string
		want   string
	}{
		"GET is the default":                          {m{}, method, "GET"},
		"a method in small letters":                   {m{"method": "patch"}, method, "PATCH"},
		"a method of one's own":                       {m{"method": "PURGE"}, method, "PURGE"},
		"OPTIONS":                                     {m{"method": "OPTIONS"}, method, "OPTIONS"},
		"TRACE":                                       {m{"method": "TRACE"}, method, "TRACE"},
		"query is sorted and escaped":                 {m{"query": m{"b": "ä&", "a": 1.50}}, uri, "/x?a=1.5&b=%C3%A4%26"},
		"a list repeats the name":                     {m{"query": m{"id": l{1, true, "x"}}}, uri, "/x?id=1&id=true&id=x"},
		"null leaves a parameter out":                 {m{"query": m{"a": nil, "b": ""}}, uri, "/x?b="},
		"a header by number":                          {m{"headers": m{"x-n": 7}}, header("X-N"), "7"},
		"a header of its own in place of the default": {m{"headers": m{"user-agent": "me", "ACCEPT": "text/plain"}}, header("User-Agent"), "me"},
		"no user agent":                               {m{"headers": m{"User-Agent": nil}}, header("User-Agent"), ""},
		"no accept":                                   {m{"headers": m{"accept": nil}}, header("Accept"), ""},
		"another host":                                {m{"headers": m{"host": "shop.test"}}, func(s seen) string { return s.Host }, "shop.test"},
		"encodings are offered":                       {m{}, header("Accept-Encoding"), "gzip, br, zstd"},
		"and not with compressed: false":              {m{"compressed": false}, header("Accept-Encoding"), ""},
		"traceparent":                                 {m{}, header("Traceparent"), traceParent},
		"no traceparent":                              {m{"traceparent": false}, header("Traceparent"), ""},
		"one's own traceparent":                       {m{"headers": m{"traceparent": "mine"}}, header("Traceparent"), "mine"},
		"a body of a map is JSON":                     {m{"method": "POST", "body": m{"a": l{1, nil}}}, body, `{"a":[1,null]}`},
		"with its type":                               {m{"method": "POST", "body": m{}}, header("Content-Type"), "application/json"},
		"a body of a text is text":                    {m{"method": "POST", "body": "a \"b\" \u2713"}, body, "a \"b\" \u2713"},
		"with the type of text":                       {m{"method": "POST", "body": "x"}, header("Content-Type"), "text/plain; charset=utf-8"},
		"or the flow's":                               {m{"method": "POST", "body": "<a/>", "headers": m{"content-type": "text/xml"}}, header("Content-Type"), "text/xml"},
		"or none":                                     {m{"method": "POST", "body": "x", "headers": m{"Content-Type": nil}}, header("Content-Type"), ""},
		"a number is JSON":                            {m{"method": "PUT", "body": 12.5}, body, "12.5"},
		"no body":                                     {m{"method": "POST", "body": nil}, header("Content-Length"), "0"},
		"json of a text":                              {m{"method": "POST", "json": "x"}, body, `"x"`},
		"json of null":                                {m{"method": "POST", "json": nil}, body, "null"},
		"a form":                                      {m{"method": "POST", "form": m{"a": l{"1", "2"}, "b": "x y&"}}, body, "a=1&a=2&b=x+y%26"},
		"with its type too":                           {m{"method": "POST", "form": m{}}, header("Content-Type"), "application/x-www-form-urlencoded"},
		"bytes":                                       {m{"method": "POST", "body_base64": "AP8Q"}, body, "\x00\xff\x10"},
		"a file":                                      {m{"method": "POST", "body_file": "data/users.csv"}, body, "id,name\n1,Ada\n"},
		"with the type of its name":                   {m{"method": "POST", "body_file": "data/users.csv"}, header("Content-Type"), "text/csv; charset=utf-8"},
		"GET with a body":                             {m{"body": m{"q": 1}}, body, `{"q":1}`},
		"chunked":                                     {m{"method": "POST", "body": "abc", "headers": m{"transfer-encoding": "chunked"}}, body, "abc"},
		"a length that is right":                      {m{"method": "POST", "body": "abc", "headers": m{"content-length": 3}}, header("Content-Length"), "3"},
		"a cookie":                                    {m{"cookies": m{"b": "2 x", "a": 1}}, header("Cookie"), "a=1; b=2 x"},
		"beside a header of cookies":                  {m{"headers": m{"cookie": "z=0"}, "cookies": m{"a": 1}}, header("Cookie"), "z=0; a=1"},
		"user and password of the URL":                {m{"url": "http://ada:pw@HOST/x"}, header("Authorization"), "Basic YWRhOnB3"},
		"a path keeps its escapes":                    {m{"url": "http://HOST/a%2Fb/%20/ü"}, uri, "/a%2Fb/%20/%C3%BC"},
		"dots in a path stay":                         {m{"url": "http://HOST/a/../b"}, uri, "/a/../b"},
		"an empty query stays":                        {m{"url": "http://HOST/x?"}, uri, "/x?"},
		"a query of the URL comes first":              {m{"url": "http://HOST/x?z=1", "query": m{"a": "2"}}, uri, "/x?z=1&a=2"},
		"signs that a query has no place for":         {m{"url": `http://HOST/x?q=ü"<>`}, uri, "/x?q=%C3%BC%22%3C%3E"},
		"a fragment is not sent":                      {m{"url": "http://HOST/x#top"}, uri, "/x"},
	}
	server := record(t, nil)
	host := strings.TrimPrefix(server.URL, "http://")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{UserAgent: "TestMesh/1"})
			c.req.TraceParent = traceParent
			c.req.Root, c.req.Dir = projectDir(t), "flows"
			if test.config["url"] == nil {
				test.config["url"] = "http://HOST/x"
			}
			test.config["url"] = strings.ReplaceAll(test.config["url"].(string), "HOST", host)
			if c.do(test.config)["status"] != 200.0 {
				t.Error("the status is not 200")
			}
			if got := test.read(server.last(t)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A run on an agent says which attempt it is, a run of one's own says nothing, and a
// command to do the same again is no attempt.
func TestARequestOfAnAgentNamesItsAttempt(t *testing.T) {
	server := record(t, nil)
	c := newCaller(t, Config{})
	c.do(m{"url": server.URL})
	if got, sent := server.last(t).Header["X-Testmesh-Run"]; sent {
		t.Errorf("without a lease it sent %q", got)
	}
	c.req.Lease = "0198c0de-0000-7000-8000-000000000001/2/77"
	c.do(m{"url": server.URL})
	if got := server.last(t).Header.Get("X-TestMesh-Run"); got != c.req.Lease {
		t.Errorf("got %q, want %q", got, c.req.Lease)
	}
	if curl := c.lastExchange().Curl; strings.Contains(curl, c.req.Lease) {
		t.Errorf("got %s", curl)
	}
	c.do(m{"url": server.URL, "headers": m{"X-TestMesh-Run": "mine"}})
	if got := server.last(t).Header.Values("X-TestMesh-Run"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("got %q, want the flow's own", got)
	}
}

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// projectDir is a project with files beside its flows.
func projectDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"flows/data/users.csv": "id,name\n1,Ada\n",
		"flows/logo.png":       "\x89PNG\x00",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMultipartHoldsPartsInTheirOrder(t *testing.T) {
	server := record(t, nil)
	c := newCaller(t, Config{})
	c.req.Root, c.req.Dir = projectDir(t), "flows"
	c.do(m{"method": "POST", "url": server.URL, "multipart": l{
		m{"name": "title", "value": "a \"quoted\" one"},
		m{"name": "count", "value": 3},
		m{"name": "meta", "value": m{"tags": l{"x"}}},
		m{"name": "logo", "file": "logo.png"},
		m{"name": "list", "file": "data/users.csv", "filename": "p\"\r\n.csv", "content_type": "text/x-csv"},
	}})
	got := server.last(t)
	_, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	type part struct{ Disposition, Type, Body string }
	var parts []part
	r := multipart.NewReader(strings.NewReader(got.Body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(p)
		parts = append(parts, part{p.Header.Get("Content-Disposition"), p.Header.Get("Content-Type"), string(body)})
	}
	want := []part{
		{`form-data; name="title"`, "", `a "quoted" one`},
		{`form-data; name="count"`, "", "3"},
		{`form-data; name="meta"`, "application/json", `{"tags":["x"]}`},
		{`form-data; name="logo"; filename="logo.png"`, "image/png", "\x89PNG\x00"},
		{`form-data; name="list"; filename="p%22%0D%0A.csv"`, "text/x-csv", "id,name\n1,Ada\n"},
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestWhatNoRequestCanBeMadeOfIsTheDefinitionsFault(t *testing.T) {
	at := func(url string) m { return m{"url": url} }
	with := func(key string, v any) m { return m{"url": "http://127.0.0.1:1/", key: v} }
	tests := map[string]struct {
		config      m
		field, want string
	}{
		"no URL":                     {m{}, "url", "it is empty"},
		"a space in the path":        {at("http://h/a b"), "url", "has a space at character 11"},
		"a space in the query":       {at("http://h/?q=a b"), "url", "has a space at character 14"},
		"a line break at the end":    {at("http://h/\n"), "url", "has a control character at character 10"},
		"no scheme":                  {at("127.0.0.1:80/x"), "url", "is not a URL"},
		"a host for a scheme":        {at("localhost:80/x"), "url", "is not an http or https URL"},
		"another scheme":             {at("ftp://h/x"), "url", "is not an http or https URL"},
		"no host":                    {at("http:///x"), "url", "has no host"},
		"a port alone":               {at("http://:80/x"), "url", "has no host"},
		"a port past the last":       {at("http://h:70000/"), "url", "70000 is not a port"},
		"a broken escape":            {at("http://h/%zz"), "url", "invalid URL escape"},
		"a method with a space":      {with("method", "GE T"), "method", `"GE T" is not a method`},
		"a header with a line break": {with("headers", m{"X-A": "1\r\nX-B: 2"}), "headers.X-A", "a line break"},
		"a header's name with one":   {with("headers", m{"X\r\nA": "1"}), "headers", "is not the name of a header"},
		"a header of a map":          {with("headers", m{"X-A": m{}}), "headers.X-A", "has no place here"},
		"a list in a list":           {with("query", m{"a": l{l{}}}), "query.a", "has no place here"},
		"null in a list":             {with("query", m{"a": l{nil}}), "query.a", "null has no place here"},
		"a length that is wrong":     {with("headers", m{"Content-Length": "9"}), "headers.Content-Length", "0 bytes, not 9"},
		"another transfer encoding":  {with("headers", m{"Transfer-Encoding": "gzip"}), "headers.Transfer-Encoding", "only chunked"},
		"a header of the connection": {with("headers", m{"Trailer": "X"}), "headers.Trailer", "belongs to the connection"},
		"a cookie with a semicolon":  {with("cookies", m{"a": "1; b=2"}), "cookies.a", "a semicolon"},
		"a cookie without a name":    {with("cookies", m{"": "1"}), "cookies", "is not the name of a cookie"},
		"two bodies":                 {m{"url": "http://h/", "json": 1, "form": m{}}, "json", "there are 2 bodies: form, json"},
		"an unknown key":             {with("boddy", 1), "boddy", "has no such key"},
		"a number for a text":        {with("url", 7), "url", "a number does not fit"},
		"no unit":                    {with("timeout", 3), "timeout", "a duration is a text with its unit"},
		"a unit of another kind":     {with("timeout", "3 days"), "timeout", `"3 days" is not a duration`},
		"nanoseconds":                {with("timeout", "3ns"), "timeout", `"3ns" is not a duration`},
		"base64 that is none":        {with("body_base64", "%"), "body_base64", "it is not base64"},
		"an unknown version":         {with("http_version", "3"), "http_version", `"3" is not one of auto 1.1 2`},
		"an unknown kind of answer":  {with("response", "yaml"), "response", `"yaml" is not one of`},
		"a body past all bounds":     {with("max_body", 1<<31), "max_body", "is not between 0 and 1073741824"},
		"a part without a name":      {with("multipart", l{m{"value": "x"}}), "multipart[0].name", "has no name"},
		"a part with two contents":   {with("multipart", l{m{"name": "a", "value": "x", "file": "y"}}), "multipart[0]", "both a value and a file"},
		"a part with none":           {with("multipart", l{m{"name": "a"}}), "multipart[0]", "neither a value nor a file"},
		"an unknown key of a part":   {with("multipart", l{m{"name": "a", "valu": "x"}}), "multipart[0].valu", "has no such key"},
		"a file that is not there":   {with("body_file", "none.txt"), "body_file", "no such file"},
		"a file outside":             {with("body_file", "../../etc/passwd"), "body_file", "escapes"},
		"a proxy that is none":       {with("proxy", "127.0.0.1"), "proxy", "it is not a URL"},
		"a kind of proxy":            {with("proxy", "ftp://u:pw@h:1"), "proxy", `"ftp" is not a kind of proxy`},
		"an authority without PEM":   {with("tls", m{"ca": "x"}), "tls", "no certificate in PEM"},
		"a certificate twice":        {with("tls", m{"cert": "x", "cert_file": "y"}), "tls.cert_file", "tls.cert is given too"},
		"a certificate without key":  {with("tls", m{"cert": "x"}), "tls", "needs both"},
		"a certificate without PEM":  {with("tls", m{"cert": "x", "key": "y"}), "tls", "failed to find any PEM data"},
		"a version of TLS":           {with("tls", m{"min_version": "2"}), "tls.min_version", "is not a version of TLS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{})
			c.req.Root = t.TempDir()
			err := c.fail(test.config)
			if err.Code != plugin.CodeConfig || err.Blame != plugin.BlameDefinition || err.Field != test.field {
				t.Errorf("got %s of %s at %q, want E-CONFIG of definition at %q", err.Code, err.Blame, err.Field, test.field)
			}
			contains(t, err.Message, test.want)
		})
	}
}

func TestAnotherActionIsRefused(t *testing.T) {
	c := newCaller(t, Config{})
	c.req.Action = "http.resquest"
	contains(t, c.fail(m{"url": "http://127.0.0.1:1/"}).Message, `no action "http.resquest"`)
}

func TestAPasswordInAURLIsNotRepeated(t *testing.T) {
	server := record(t, nil)
	c := newCaller(t, Config{})
	got := c.do(m{"url": strings.Replace(server.URL, "http://", "http://ada:hunter2@", 1) + "/x"})
	if got["url"] != server.URL+"/x" {
		t.Errorf("got url %v, want it without user", got["url"])
	}
	e := c.lastExchange()
	if strings.Contains(e.Summary+string(e.Response), "hunter2") {
		t.Errorf("the password stands in %s", e.Summary)
	}
	err := c.fail(m{"url": "http://ada:hunter2@127.0.0.1:1/"})
	if strings.Contains(err.Message, "hunter2") {
		t.Errorf("the password stands in %q", err.Message)
	}
}

func TestNamesInOtherScriptsAreSentInASCII(t *testing.T) {
	proxy := record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c := newCaller(t, Config{})
	if got := c.do(m{"url": "http://bücher.example/", "proxy": proxy.URL})["status"]; got != 204.0 {
		t.Errorf("got status %v, want 204", got)
	}
	if got := proxy.last(t); got.Host != "xn--bcher-kva.example" {
		t.Errorf("got host %q, want xn--bcher-kva.example", got.Host)
	}
}

// The memory of a request serves the next one, perhaps of another run: nothing
// of it may be left there.
func TestNothingOfARequestIsLeftToTheNext(t *testing.T) {
	s := record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			http.Redirect(w, r, "/to", http.StatusTemporaryRedirect)
		}
	})
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	plain := m{"url": s.URL + "/x", "cookie_jar": false}
	c.do(plain)
	want := s.last(t)
	for range 20 { // sync.Pool keeps what it is given only as a rule
		got := c.do(m{
			"url": s.URL + "/from", "method": "POST", "body": "x", "query": m{"a": "b"}, "headers": m{"X-A": "b", "Cookie": "c=d"},
			"cookies": m{"own": "2"}, "auth": m{"type": "basic", "username": "ada"}, "max_body": 10, "timeout": "1m", "compressed": false,
		})
		if len(got["redirects"].(l)) != 1 || len(got["cookies"].(m)) != 1 {
			t.Fatalf("got %v, want a redirect and a cookie", got)
		}
		got = c.do(plain)
		if diff := cmp.Diff(want, s.last(t)); diff != "" {
			t.Fatalf("(-before +after)\n%s", diff)
		}
		if len(got["redirects"].(l)) != 0 || len(got["cookies"].(m)) != 0 {
			t.Fatalf("got %v, want neither redirects nor cookies", got)
		}
	}
}
