package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// nasty has a character for every encoder to change.
const nasty = `p&ss/w+rd <"é'\=?>`

func masker(t testing.TB, secrets ...string) *Masker {
	t.Helper()
	m := New()
	for i := 0; i < len(secrets); i += 2 {
		if err := m.Add(secrets[i], secrets[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func marshal(t testing.TB, v any, escapeHTML bool) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func unquote(s string) string { return s[1 : len(s)-1] }

func xmlText(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func printEach(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// encodings are written with the standard library, not with the forms under test.
func encodings(t testing.TB, s string) map[string]string {
	t.Helper()
	inJSON := marshal(t, s, true)
	return map[string]string{
		"raw":                  s,
		"query":                url.QueryEscape(s),
		"query with %20":       strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
		"path segment":         url.PathEscape(s),
		"path":                 (&url.URL{Path: "/" + s}).EscapedPath()[1:],
		"userinfo":             strings.TrimPrefix(url.UserPassword("", s).String(), ":"),
		"fragment":             (&url.URL{Fragment: s}).EscapedFragment(),
		"full percent upper":   printEach(s, "%%%02X"),
		"full percent lower":   printEach(s, "%%%02x"),
		"hex":                  hex.EncodeToString([]byte(s)),
		"HEX":                  strings.ToUpper(hex.EncodeToString([]byte(s))),
		"base64":               base64.StdEncoding.EncodeToString([]byte(s)),
		"base64 raw":           base64.RawStdEncoding.EncodeToString([]byte(s)),
		"base64 url":           base64.URLEncoding.EncodeToString([]byte(s)),
		"base64 raw url":       base64.RawURLEncoding.EncodeToString([]byte(s)),
		"json":                 unquote(inJSON),
		"json without html":    unquote(marshal(t, s, false)),
		"json slash":           strings.ReplaceAll(unquote(marshal(t, s, false)), "/", `\/`),
		"html":                 html.EscapeString(s),
		"xml":                  xmlText(t, s),
		"json in json":         unquote(marshal(t, unquote(inJSON), true)),
		"json in a query":      url.QueryEscape(unquote(inJSON)),
		"query in json":        unquote(marshal(t, url.QueryEscape(s), true)),
		"query in a query":     url.QueryEscape(url.QueryEscape(s)),
		"json in html":         html.EscapeString(unquote(inJSON)),
		"base64 in a query":    url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))),
		"base64 of the query":  base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s))),
		"base64 of the json":   base64.StdEncoding.EncodeToString([]byte(unquote(inJSON))),
		"base64 in php's json": strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(s)), "/", `\/`),
	}
}

func TestEveryEncodingOfASecretIsReplacedWholly(t *testing.T) {
	t.Parallel()
	secrets := []string{
		"hunter2", "s3cr", nasty, "ünïcödé", "日本語で", "with space", "tab\tand\nfeed",
		strings.Repeat("long-token.", 40), "a=b&c=d", "100%", "\u2028separate", `C:\x\y`, "😀😀😀😀", "ends\n",
	}
	for _, secret := range secrets {
		m := masker(t, "S", secret)
		for name, encoded := range encodings(t, secret) {
			if got, want := m.String("["+encoded+"]"), "[‹secret:S›]"; got != want {
				t.Errorf("%s of %q: masked %q to %q, want %q", name, secret, encoded, got, want)
			}
		}
	}
}

func TestEscapesOfOtherLanguagesAreReplaced(t *testing.T) {
	t.Parallel()
	m := masker(t, "S", `a&b/c"d'é+ü<😀`)
	for name, encoded := range map[string]string{
		"python json":          `a&b/c\"d'\u00e9+\u00fc<\ud83d\ude00`,
		"php json":             `a&b\/c\"d'\u00e9+\u00fc<\ud83d\ude00`,
		"dotnet json":          `a\u0026b/c\u0022d\u0027\u00E9\u002B\u00FC\u003C\uD83D\uDE00`,
		"gson":                 `a\u0026b/c\"d\u0027é+ü\u003c😀`,
		"encodeURIComponent":   `a%26b%2Fc%22d'%C3%A9%2B%C3%BC%3C%F0%9F%98%80`,
		"encodeURI":            `a&b/c%22d'%C3%A9+%C3%BC%3C%F0%9F%98%80`,
		"python quote":         `a%26b/c%22d%27%C3%A9%2B%C3%BC%3C%F0%9F%98%80`,
		"lower-case percent":   `a%26b%2fc%22d%27%c3%a9%2b%c3%bc%3c%f0%9f%98%80`,
		"named entities":       `a&amp;b/c&quot;d&apos;é+ü&lt;😀`,
		"hexadecimal entities": `a&amp;b/c&#x22;d&#x27;é+ü&lt;😀`,
	} {
		if got, want := m.String("("+encoded+")"), "(‹secret:S›)"; got != want {
			t.Errorf("%s: masked %q to %q, want %q", name, encoded, got, want)
		}
	}
}

func TestASecretInsideALongerBase64TextLeavesNoDigit(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"s3cr", "s3cr3", "s3cr3t", "pass/w?rd~~"} {
		m := masker(t, "S", secret)
		for before := range 8 {
			for after := range 8 {
				text := strings.Repeat("u", before) + secret + strings.Repeat("~", after)
				for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
					// What is left holds bits of the neighbours only.
					digits := encoding.EncodeToString([]byte(text))
					behind := digits[(8*(before+len(secret))+5)/6:]
					if after == 0 {
						behind = ""
					}
					if got, want := m.String(digits), digits[:before*8/6]+"‹secret:S›"+behind; got != want {
						t.Errorf("%q with %d before and %d behind: got %q, want %q", secret, before, after, got, want)
					}
				}
			}
		}
	}
}

func TestBasicAuthenticationIsMasked(t *testing.T) {
	t.Parallel()
	m := masker(t, "PASSWORD", "correct horse")
	header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada:correct horse"))
	if got, want := m.String(header), "Authorization: Basic YWRhO‹secret:PASSWORD›"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLinesOfASecretAreMaskedByThemselves(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN PRIVATE KEY-----\r\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQ==\r\n}\r\n-----END PRIVATE KEY-----\r\n"
	m := masker(t, "KEY", key)
	for _, test := range []struct{ name, text, want string }{
		{"the whole", key, "‹secret:KEY›"},
		{"the whole with line feeds", strings.ReplaceAll(strings.TrimSpace(key), "\r\n", "\n"), "‹secret:KEY›"},
		{"indented lines", "  1 MIIEvQIBADANBgkq\n  2 hkiG9w0BAQ==\n", "  1 ‹secret:KEY›\n  2 ‹secret:KEY›\n"},
		{"armour that all keys share", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"},
		{"a line too short to be a secret", "{}", "{}"},
		{"JSON", unquote(marshal(t, key, true)), "‹secret:KEY›"},
	} {
		if got := m.String(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestOverlappingSecretsLeaveNoRest(t *testing.T) {
	t.Parallel()
	m := masker(t, "SHORT", "abcdef", "LONG", "defghijk", "INNER", "efgh", "TWIN", "abcdef")
	for text, want := range map[string]string{
		"-abcdefghijk-":   "-‹secret:LONG›-",
		"-abcdef-":        "-‹secret:SHORT›-",
		"-efgh-":          "-‹secret:INNER›-",
		"-abcdefgh-":      "-‹secret:SHORT›-",
		"abcdefdefghijk":  "‹secret:SHORT›‹secret:LONG›",
		"abcdeabcdef":     "abcde‹secret:SHORT›",
		"abcdefabcdefabc": "‹secret:SHORT›‹secret:SHORT›abc",
		"defghij":         "d‹secret:INNER›ij",
	} {
		if got := m.String(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	repeated := masker(t, "A", "aaaa")
	if got, want := repeated.String(strings.Repeat("a", 1000)), "‹secret:A›"; got != want {
		t.Errorf("a run of overlapping matches: got %q, want %q", got, want)
	}
}

func TestMaskingTwiceIsMaskingOnce(t *testing.T) {
	t.Parallel()
	m := masker(t, "secret", "secret", "PASSWORD", "SWOR")
	once := m.String("a secret SWORd")
	if want := "a ‹secret:secret› ‹secret:PASSWORD›d"; once != want {
		t.Errorf("once: got %q, want %q", once, want)
	}
	if twice := m.String(once); twice != once {
		t.Errorf("twice: got %q, want %q", twice, once)
	}
}

func TestSecretsThatCannotBeMaskedAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"empty", "", `secret "X" cannot be masked: it is empty; a secret needs at least 4 characters`},
		{"short", "abc", `secret "X" cannot be masked: it has 3 of the at least 4 characters a secret needs (white space at its ends not counted)`},
		{"short in characters, not in bytes", "éüö", `secret "X" cannot be masked: it has 3 of the at least 4 characters a secret needs (white space at its ends not counted)`},
		{"short with blanks", "abc\n  ", `secret "X" cannot be masked: it has 3 of the at least 4 characters a secret needs (white space at its ends not counted)`},
		{"blanks", "     ", `secret "X" cannot be masked: it is only white space`},
		{"huge", strings.Repeat("x", MaxSecretBytes+1), `secret "X" cannot be masked: it is 65537 bytes long, the limit is 65536`},
	} {
		m := New()
		err := m.Add("X", test.value)
		var refused *Refusal
		if !errors.As(err, &refused) || err.Error() != test.want {
			t.Errorf("%s: got error %v, want %s", test.name, err, test.want)
		}
		if !m.Empty() {
			t.Errorf("%s: the refused secret is registered", test.name)
		}
	}
}

func TestTheTableOfSecretsIsBounded(t *testing.T) {
	t.Parallel()
	m := New()
	var err error
	added := 0
	for ; err == nil && added < 10_000; added++ {
		err = m.Add("X", fmt.Sprintf("%d-%s", added, strings.Repeat("x", MaxSecretBytes/2)))
	}
	var refused *Refusal
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "fill the table") {
		t.Fatalf("after %d secrets: got error %v, want a refusal", added, err)
	}
}

func TestNamesCannotBreakTheTextAroundThem(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"DB_PASSWORD":            "‹secret:DB_PASSWORD›",
		"a\"b\nc›d é":            "‹secret:a_b_c_d__›",
		"":                       "‹secret:›",
		strings.Repeat("n", 200): "‹secret:" + strings.Repeat("n", 64) + "›",
	} {
		if got := Mask(name); got != want {
			t.Errorf("Mask(%q): got %q, want %q", name, got, want)
		}
	}
}

func TestATextWithoutASecretIsReturnedItself(t *testing.T) {
	text := []byte("nothing to see here, not even hunte")
	for name, m := range map[string]*Masker{"empty": New(), "with a secret": masker(t, "S", "hunter2")} {
		if got := m.Bytes(text); &got[0] != &text[0] || len(got) != len(text) {
			t.Errorf("%s: got another slice %q", name, got)
		}
		plain := string(text)
		if n := testing.AllocsPerRun(100, func() { m.String(plain) }); n != 0 {
			t.Errorf("%s: String allocates %v times, want 0", name, n)
		}
	}
	secret := []byte("a hunter2")
	if got := masker(t, "S", "hunter2").Bytes(secret); string(got) != "a ‹secret:S›" || string(secret) != "a hunter2" {
		t.Errorf("got %q of %q, want a masked copy", got, secret)
	}
}

func TestSecretsMayBeAddedWhileOthersMask(t *testing.T) {
	t.Parallel()
	m := New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 25 {
				secret := fmt.Sprintf("secret-%d-%d", g, i)
				if err := m.Add(secret, "value-of-"+secret); err != nil {
					t.Error(err)
				}
				if got, want := m.String("value-of-"+secret+"!"), "‹secret:"+secret+"›"; !strings.HasPrefix(got, "‹secret:") || strings.Contains(got, "value") {
					t.Errorf("after Add returned: got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

// drawSecret makes secrets of characters that encoders treat differently.
func drawSecret(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("abAB09+/=&<>\"'\\%?#;: éß日😀_-.~")), 4, 24, -1).
		Filter(func(s string) bool { return refusal(s) == "" && strings.TrimSpace(s) == s }).Draw(t, "secret")
}

func TestNoFormSurvivesWhateverTheEncodingAndTheCuts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := New()
		var text strings.Builder
		var secrets []string
		for range rapid.IntRange(1, 3).Draw(r, "secrets") {
			secret := drawSecret(r)
			secrets = append(secrets, secret)
			if err := m.Add("X", secret); err != nil {
				r.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 6).Draw(r, "pieces") {
			secret := rapid.SampledFrom(secrets).Draw(r, "which")
			all := encodings(t, secret)
			names := make([]string, 0, len(all))
			for name := range all {
				names = append(names, name)
			}
			slices.Sort(names)
			text.WriteString(all[rapid.SampledFrom(names).Draw(r, "encoding")])
			text.WriteString(rapid.StringOfN(rapid.RuneFrom([]rune("abAB09+/= \n")), 0, 8, -1).Draw(r, "between"))
		}
		whole := m.String(text.String())
		var out bytes.Buffer
		w := m.Writer(&out)
		for rest := text.String(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "cut")
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				r.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			r.Fatal(err)
		}
		if out.String() != whole {
			r.Fatalf("written in pieces: %q, masked at once: %q", out.String(), whole)
		}
		bare := strings.ReplaceAll(whole, "‹secret:X›", "\x00")
		for _, secret := range secrets {
			for _, form := range formsOf(secret) {
				if strings.Contains(bare, form) {
					r.Fatalf("the form %q of %q survives in %q", form, secret, whole)
				}
			}
			for name, encoded := range encodings(t, secret) {
				if strings.Contains(bare, encoded) {
					r.Fatalf("%s of %q survives in %q", name, secret, whole)
				}
			}
		}
	})
}
