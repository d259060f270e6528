package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/source"
)

func TestCheckConfig(t *testing.T) {
	a := action(t)
	at := source.Pos{File: "a.yaml", Line: 9, Column: 3}
	for name, tt := range map[string]struct {
		yaml string
		want []string // "line:column CODE message; hint"
	}{
		"what fits":                     {"{url: x, method: POST, port: 80, ratio: 0.5, wait: 30s, verify: true, headers: {A: b}, items: [{sku: a, more: {sku: b}}]}", nil},
		"placeholders fit anything":     {"{url: '${A}', method: '${M}', port: '{{ P }}', verify: '${V}', items: '${I}', auth: '${B}', wait: '${W}'}", nil},
		"a raw value is no placeholder": {"{url: x, port: !raw '${P}'}", []string{`1:21 E-TYPE config.port must be a whole number, not the string "${P}"`}},
		"a key with a slip":             {"{url: x, methd: GET}", []string{`1:10 E-KEY unknown key "methd" in config; did you mean "method"?`}},
		"another case of a key":         {"{URL: x}", []string{`1:1 E-KEY demo.call needs the key "url"`, `1:2 E-KEY unknown key "URL" in config; did you mean "url"?`}},
		"a key that is nothing like it": {"{url: x, zzzzzzzz: 1}", []string{`1:10 E-KEY unknown key "zzzzzzzz" in config; demo.call takes auth, body, ca, cas, code, headers, items, method, port, ratio, reply, url, verify, wait`}},
		"a missing key":                 {"{}", []string{`1:1 E-KEY demo.call needs the key "url"`}},
		"a quoted number":               {`{url: x, port: "80"}`, []string{`1:16 E-TYPE config.port must be a whole number, not the string "80"; write 80 without quotes`}},
		"a quoted boolean":              {`{url: x, verify: "true"}`, []string{`1:18 E-TYPE config.verify must be true or false, not the string "true"; write true without quotes`}},
		"a number for a text":           {"{url: x, headers: {A: 1}}", []string{`1:23 E-TYPE config.headers.A must be a string, not 1; write it in quotes: "1"`}},
		"a duration without its unit":   {"{url: x, wait: 30}", []string{`1:16 E-TYPE config.wait must be a string, not 30; write a unit: 30s, or 30ms`}},
		"a duration of nonsense":        {"{url: x, wait: soon}", []string{`1:16 E-TYPE config.wait is not a duration: "soon"; write a number and a unit (ms, s, m or h): 500ms, 30s, 5m`}},
		"a fraction":                    {"{url: x, port: 1.5}", []string{`1:16 E-TYPE config.port must be a whole number, not 1.5`}},
		"a whole fraction is whole":     {"{url: x, port: 1.0}", nil},
		"below the minimum":             {"{url: x, port: 0}", []string{`1:16 E-TYPE config.port must be at least 1, not 0`}},
		"over the maximum":              {"{url: x, port: 70000}", []string{`1:16 E-TYPE config.port must be at most 65535, not 70000`}},
		"on an open lower bound":        {"{url: x, ratio: 0}", []string{`1:17 E-TYPE config.ratio must be more than 0, not 0`}},
		"on an open upper bound":        {"{url: x, ratio: 1}", []string{`1:17 E-TYPE config.ratio must be less than 1, not 1`}},
		"not of the enum":               {"{url: x, method: post}", []string{`1:18 E-TYPE config.method must be GET, POST or PUT, not the string "post"; did you mean "POST"?`}},
		"an empty text":                 {"{url: ''}", []string{`1:7 E-TYPE config.url is empty`}},
		"a text too short":              {"{url: x, code: a}", []string{`1:16 E-TYPE config.code must have at least 2 characters`}},
		"a text too long":               {"{url: x, code: abcde}", []string{`1:16 E-TYPE config.code must have at most 4 characters`}},
		"a list too short":              {"{url: x, items: []}", []string{`1:17 E-TYPE config.items has 0 elements and needs at least 1`}},
		"a list too long":               {"{url: x, items: [{}, {}, {}]}", []string{`1:17 E-TYPE config.items has 3 elements and may have at most 2`}},
		"a text for a list":             {"{url: x, cas: a.pem}", []string{`1:15 E-TYPE config.cas must be a list, not the string "a.pem"; write it as a list: [a.pem]`}},
		"deep in a recursive schema":    {"{url: x, items: [{more: {sku: 1}}]}", []string{`1:31 E-TYPE config.items[0].more.sku must be a string, not 1; write it in quotes: "1"`}},
		"one of the alternatives":       {"{url: x, auth: {type: basic, user: u}}", nil},
		"the nearest alternative":       {"{url: x, auth: {type: basic, usr: u}}", []string{`1:16 E-KEY config.auth needs the key "user"`, `1:30 E-KEY unknown key "usr" in config.auth; did you mean "user"?`}},
		"no alternative of this kind":   {"{url: x, body: [1]}", []string{`1:16 E-TYPE config.body must be a string or a number, not a list`}},
		"not a map at all":              {"[1]", []string{`1:1 E-TYPE config must be a map, not a list`}},
	} {
		problems := a.CheckConfig(load(t, tt.yaml), at)
		var got []string
		for _, p := range problems {
			s := fmt.Sprintf("%d:%d %s %s", p.Pos.Line, p.Pos.Column, p.Code, p.Message)
			if p.Hint != "" {
				s += "; " + p.Hint
			}
			got = append(got, s)
		}
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCheckConfigWithoutConfig(t *testing.T) {
	at := source.Pos{File: "a.yaml", Line: 9, Column: 3}
	got := action(t).CheckConfig(nil, at)
	if len(got) != 1 || got[0].Pos != at || got[0].Message != `demo.call needs the key "url"` {
		t.Errorf("got %v, want the missing key where the action stands", got)
	}
}

func TestCheckValue(t *testing.T) {
	a := action(t)
	if err := a.CheckValue(map[string]any{"url": "x", "port": int64(80)}); err != nil {
		t.Errorf("what fits: %v", err)
	}
	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"a field":             {map[string]any{"url": "x", "port": "80"}, `demo.call: config.port must be a whole number, not the string "80"`},
		"a field in a list":   {map[string]any{"url": "x", "items": []any{map[string]any{"sku": int64(1)}}}, "demo.call: config.items[0].sku must be a string, not 1"},
		"a field of any name": {map[string]any{"url": "x", "headers": map[string]any{"X-A": true}}, "demo.call: config.headers.X-A must be a string, not true"},
		"nothing at all":      {nil, `demo.call: demo.call needs the key "url"`},
		"several":             {map[string]any{"port": "x", "verify": nil}, `demo.call: config.port must be a whole number, not the string "x" (and 2 more)`},
		"no more placeholder": {map[string]any{"url": "x", "port": "${P}"}, `demo.call: config.port must be a whole number, not the string "${P}"`},
	} {
		err := a.CheckValue(tt.v)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestNormalizeConfig(t *testing.T) {
	a := action(t)
	for name, tt := range map[string]struct {
		yaml  string
		want  map[string]any
		notes []string
	}{
		"nothing to do":      {"{url: x}", map[string]any{"url": "x"}, nil},
		"another name":       {"{url: x, verify_ssl: false}", map[string]any{"url": "x", "verify": false}, []string{`note "verify_ssl" is an older name of "verify"`}},
		"out of a map":       {"{ssl: {ca: a.pem}}", map[string]any{"ca": "a.pem"}, []string{`note "ssl.ca" is an older name of "ca"`}},
		"the map stays":      {"{ssl: {ca: a.pem, on: 1}}", map[string]any{"ca": "a.pem", "ssl": map[string]any{"on": int64(1)}}, []string{`note "ssl.ca" is an older name of "ca"`}},
		"into a new map":     {"{kind: basic}", map[string]any{"auth": map[string]any{"type": "basic"}}, []string{`note "kind" is an older name of "auth.type"`}},
		"into a map":         {"{kind: basic, auth: {user: u}}", map[string]any{"auth": map[string]any{"user": "u", "type": "basic"}}, []string{`note "kind" is an older name of "auth.type"`}},
		"both names at once": {"{verify: true, verify_ssl: true}", map[string]any{"verify": true, "verify_ssl": true}, []string{`error "verify_ssl" is another name of "verify", which is given too`}},
	} {
		n := load(t, tt.yaml)
		before := n.Plain()
		got, notes := a.NormalizeConfig(n)
		if diff := cmp.Diff(tt.want, got.Plain()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var words []string
		for _, p := range notes {
			words = append(words, string(p.Severity)+" "+p.Message)
		}
		if diff := cmp.Diff(tt.notes, words); diff != "" {
			t.Errorf("%s: notes (-want +got):\n%s", name, diff)
		}
		if !cmp.Equal(before, n.Plain()) {
			t.Errorf("%s: the node itself was changed to %v", name, n.Plain())
		}
	}
	if got, notes := a.NormalizeConfig(nil); got != nil || notes != nil {
		t.Errorf("no config: got %v, %v", got, notes)
	}
}

func TestFilePathsAndLate(t *testing.T) {
	a := action(t)
	n := load(t, "{url: no.txt, ca: a.pem, cas: [b.pem, c.pem], reply: {text: '{{x}}'}}")
	var files []string
	for _, f := range a.FilePaths(n) {
		files = append(files, f.Text)
	}
	if want := []string{"a.pem", "b.pem", "c.pem"}; !cmp.Equal(files, want) {
		t.Errorf("files: got %v, want %v", files, want)
	}
	late := a.LateNodes(n)
	if len(late) != 1 || late[0] != n.Get("reply") {
		t.Errorf("late: got %v, want reply", late)
	}
	for path, want := range map[string]bool{"reply": true, "reply.text": true, "url": false, "items.0.sku": false, "nothing.x": false} {
		if got := a.Late(strings.Split(path, ".")...); got != want {
			t.Errorf("late %s: got %v, want %v", path, got, want)
		}
	}
	if !a.HasConfigKey("auth") || a.HasConfigKey("token") {
		t.Error("auth is a key of the config, token is not")
	}
}

// The quick judgement of values is the checker's: what one accepts the other
// does, for every config of the table above and more.
func TestAcceptsAgreesWithTheChecker(t *testing.T) {
	a := action(t)
	d, err := a.config()
	if err != nil || !a.CheckedWhole() {
		t.Fatalf("the schema is not understood whole: %v", err)
	}
	values := []any{nil, true, "", "x", "abcde", "30s", "soon", int64(0), int64(80), int64(70000), 0.5, 1.5, []any{}, []any{map[string]any{}}, []any{"a", "b", "c"}, map[string]any{}, map[string]any{"type": "basic", "user": "u"}, map[string]any{"sku": "a", "more": map[string]any{"sku": int64(1)}}}
	accepted := 0
	for _, key := range d.propertyNames(d.root) {
		for _, v := range values {
			config := map[string]any{"url": "x", key: v}
			c := checker{d: d, action: a.Name}
			c.check(d.root, nodeOf(config), "config", 0)
			quick := d.accepts(d.root, config, 0)
			if quick != (len(c.problems) == 0) {
				t.Errorf("%s: %v: accepts says %v, the checker %v", key, v, quick, c.problems)
			}
			if exact, err := a.exact(); err != nil || quick && len(exact.Validate(config)) > 0 && key != "wait" {
				t.Errorf("%s: %v: accepted, and the schema says %v, %v", key, v, exact.Validate(config), err)
			}
			if quick {
				accepted++
			}
		}
	}
	if accepted < 40 || accepted > 200 {
		t.Errorf("%d values were accepted: the table shows nothing", accepted)
	}
}

func TestKeywordsThatShapesLeaveOut(t *testing.T) {
	d := descriptor()
	d.Actions[0].ConfigSchema = `{"type": "object", "properties": {"code": {"type": "string", "pattern": "^[a-z]+$"}, "pick": {"enum": [{"a": 1}]}}}`
	c, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := c.Action("demo.call")
	if a.CheckedWhole() {
		t.Error("a schema with a pattern counts as understood")
	}
	if err := a.CheckValue(map[string]any{"code": "abc", "pick": map[string]any{"a": int64(1)}}); err != nil {
		t.Errorf("what fits: %v", err)
	}
	for _, v := range []map[string]any{{"code": "A"}, {"pick": map[string]any{"a": int64(2)}}} {
		err := a.CheckValue(v)
		if err == nil || !strings.HasPrefix(err.Error(), "demo.call: config.") {
			t.Errorf("%v: got %v, want the field", v, err)
		}
	}
}
