package blob

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestABucketIsChecked(t *testing.T) {
	s := newService(t)
	b := s.open(t)
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := b.Has(t.Context(), probe); ok || err != nil {
		t.Errorf("the probe is still there: %v %v", ok, err)
	}
}

func TestWhatAServiceRefusesIsSaid(t *testing.T) {
	tests := map[string]struct {
		status int
		code   string
		want   string
	}{
		"no bucket":         {404, "NoSuchBucket", "there is no bucket blobs at 127.0.0.1:"},
		"unknown key":       {403, "InvalidAccessKeyId", "does not know the access key AKIA-TEST"},
		"wrong secret":      {403, "SignatureDoesNotMatch", "does not accept the secret key of the access key AKIA-TEST"},
		"nothing allowed":   {403, "AccessDenied", `denies the access key AKIA-TEST what a control plane needs: to list, read, write and delete objects below "mesh/"`},
		"an old token":      {400, "ExpiredToken", "the session token has ended"},
		"another region":    {400, "AuthorizationHeaderMalformed", `is in another region than "eu-1": no`},
		"a clock gone off":  {403, "RequestTimeTooSkewed", "the clock of this machine is wrong"},
		"no room of theirs": {507, "XMinioStorageFull", "there is no room left in bucket blobs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.first(func(w http.ResponseWriter, _ *http.Request) bool { return refuse(w, test.status, test.code) })
			err := s.open(t).Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), `"secret"`) {
				t.Errorf("got %v", err)
			}
			var refused *RefusedError
			var full *FullError
			if !errors.As(err, &refused) && !errors.As(err, &full) {
				t.Errorf("it is a %T", err)
			}
		})
	}
}

func TestABucketThatIsNotThereIsSaidByTheServiceItself(t *testing.T) {
	s := newService(t)
	cfg := s.config()
	cfg.Bucket = "another"
	b, err := NewS3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no bucket another") {
		t.Errorf("got %v", err)
	}
}

func TestAServiceThatStumblesIsAskedAgain(t *testing.T) {
	s := newService(t)
	b := s.open(t)
	left := 2
	s.first(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPut && left > 0 {
			left--
			_, _ = io.Copy(io.Discard, req.Body)
			return refuse(w, http.StatusServiceUnavailable, "SlowDown")
		}
		return false
	})
	put(t, b, "files/x", "after two tries")
	if got := get(t, b, "files/x"); got != "after two tries" || left != 0 {
		t.Errorf("got %q, %d failures left", got, left)
	}
}

func TestAServiceThatStaysAwayIsNotRefused(t *testing.T) {
	s := newService(t)
	b := s.open(t)
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := b.Check(ctx)
	var refused *RefusedError
	if err == nil || errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

func TestDamageShows(t *testing.T) {
	for name, damage := range map[string]func(body []byte) []byte{
		"a bit":   func(b []byte) []byte { b[3] ^= 1; return b },
		"the end": func(b []byte) []byte { return b[:len(b)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			b := s.open(t)
			put(t, b, "files/x", "what was put")
			s.first(func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method != http.MethodGet {
					return false
				}
				rec := httptest.NewRecorder()
				s.before.Store(nil)
				s.Config.Handler.ServeHTTP(rec, req)
				for k, v := range rec.Header() {
					w.Header()[k] = v
				}
				w.Header().Del("Content-Length")
				_, _ = w.Write(damage(rec.Body.Bytes()))
				return true
			})
			r, err := b.Get(t.Context(), "files/x")
			if err != nil {
				return // said at once
			}
			defer r.Close()
			if data, err := io.ReadAll(r); err == nil {
				t.Errorf("%q was read without an error", data)
			}
		})
	}
}

func TestWhatIsDamagedOnItsWayIsNotStored(t *testing.T) {
	s := newService(t)
	b := s.open(t)
	s.first(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPut {
			data, _ := io.ReadAll(req.Body)
			data[0] ^= 1
			req.Body = io.NopCloser(bytes.NewReader(data))
		}
		return false
	})
	if err := b.Put(t.Context(), "files/x", strings.NewReader("what was put")); err == nil {
		t.Error("it was acknowledged")
	}
	s.before.Store(nil)
	if _, ok, err := b.Has(t.Context(), "files/x"); ok || err != nil {
		t.Errorf("it is there: %v %v", ok, err)
	}
}

func TestSettingsThatAreNone(t *testing.T) {
	good := S3Config{Endpoint: "https://s3.example.com", Bucket: "b", AccessKey: "a", SecretKey: "s"}
	tests := map[string]struct {
		change func(*S3Config)
		want   string
	}{
		"no address":   {func(c *S3Config) { c.Endpoint = "s3.example.com" }, "no http:// or https:// address"},
		"a path":       {func(c *S3Config) { c.Endpoint += "/bucket" }, "address of a host"},
		"no key":       {func(c *S3Config) { c.AccessKey = "" }, "wants an access key"},
		"no secret":    {func(c *S3Config) { c.SecretKey = "" }, "a secret key"},
		"a prefix":     {func(c *S3Config) { c.Prefix = "mesh" }, "each with a slash after it"},
		"way out":      {func(c *S3Config) { c.Prefix = "../mesh/" }, "each with a slash after it"},
		"no authority": {func(c *S3Config) { c.CAPEM = []byte("x") }, "holds no certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			if _, err := NewS3(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, change := range map[string]func(*S3Config){
		"as it is": func(*S3Config) {}, "Amazon's": func(c *S3Config) { c.Endpoint = "" }, "path style": func(c *S3Config) { c.PathStyle = true },
	} {
		cfg := good
		change(&cfg)
		if _, err := NewS3(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAuthorityOfTheCompanyIsTrusted(t *testing.T) {
	s := newService(t)
	tls := httptest.NewTLSServer(s.Config.Handler)
	t.Cleanup(tls.Close)
	cfg := s.config()
	cfg.Endpoint = tls.URL
	cfg.CAPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	b, err := NewS3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
