package grpc

import (
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

func TestAddresses(t *testing.T) {
	yes, no := true, false
	given := tlsKey{Other: tlsclient.Default()}
	tests := map[string]struct {
		address string
		tls     tlsKey
		want    string
		secure  bool
		wrong   string
	}{
		"host and port":           {address: "db:50051", want: "db:50051"},
		"with tls: true":          {address: "db:50051", tls: tlsKey{One: &yes}, want: "db:50051", secure: true},
		"with settings":           {address: "db:50051", tls: given, want: "db:50051", secure: true},
		"with tls: false":         {address: "db:50051", tls: tlsKey{One: &no}, want: "db:50051"},
		"grpc":                    {address: "grpc://db:50051", want: "db:50051"},
		"grpcs":                   {address: "grpcs://db:50051", want: "db:50051", secure: true},
		"grpcs with settings":     {address: "grpcs://db:50051", tls: given, want: "db:50051", secure: true},
		"http":                    {address: "http://db:7071/", want: "db:7071"},
		"https without a port":    {address: "https://db", want: "db:443", secure: true},
		"http without a port":     {address: "http://db", want: "db:80"},
		"IPv6":                    {address: "[::1]:50051", want: "[::1]:50051"},
		"no port":                 {address: "db", wrong: "names no port"},
		"grpc without a port":     {address: "grpc://db", wrong: "names no port"},
		"a path":                  {address: "http://db:1/api", wrong: "more than a host and a port"},
		"a query":                 {address: "http://db:1?x=1", wrong: "more than a host and a port"},
		"a password":              {address: "grpc://ada:secret@db:1", wrong: "has a user and a password"},
		"another scheme":          {address: "ftp://db:1", wrong: `"ftp" is not a kind of address`},
		"no host":                 {address: "grpc://:1", wrong: "is not an address"},
		"a port that is none":     {address: "db:http", wrong: "is not an address"},
		"grpc with settings":      {address: "grpc://db:1", tls: given, wrong: "tls is given, and grpc:// is without TLS"},
		"grpcs with tls: false":   {address: "grpcs://db:1", tls: tlsKey{One: &no}, wrong: "tls is false, and grpcs:// is with TLS"},
		"an address of two hosts": {address: "a:1,b:2", wrong: "is not an address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := server{Address: test.address, TLS: test.tls}
			got, err := s.endpoint()
			if test.wrong != "" {
				e, ok := err.(*plugin.Error)
				if !ok || !strings.Contains(e.Field+" "+e.Message, test.wrong) || strings.Contains(words(e), "secret") {
					t.Errorf("got %v, %v, want %s", got, err, test.wrong)
				}
				return
			}
			if err != nil || got.String() != test.want || got.secure != test.secure {
				t.Errorf("got %s, secure %v, %v, want %s, %v", got, got.secure, err, test.want, test.secure)
			}
		})
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	s := against(t, "127.0.0.1:1")
	tests := map[string]struct {
		config fields
		field  string
		part   string
	}{
		"a name that gRPC sets":         {fields{"metadata": fields{"grpc-timeout": "1S"}}, "metadata.grpc-timeout", "give it as deadline"},
		"the encoding":                  {fields{"metadata": fields{"grpc-encoding": "gzip"}}, "metadata.grpc-encoding", "give it as compression"},
		"the authority":                 {fields{"metadata": fields{":authority": "x"}}, "metadata.:authority", "give it as authority"},
		"the content type":              {fields{"metadata": fields{"Content-Type": "x"}}, "metadata.Content-Type", "is set by gRPC itself"},
		"a name with a blank":           {fields{"metadata": fields{"x y": "x"}}, "metadata.x y", "is no name of metadata"},
		"a map as a value":              {fields{"metadata": fields{"x": fields{}}}, "metadata.x", "must be a text, a number, true or false"},
		"a map in a list":               {fields{"metadata": fields{"x": []any{"a", nil}}}, "metadata.x[1]", "must be a text"},
		"letters beyond ASCII":          {fields{"metadata": fields{"x": "Grüße"}}, "metadata.x", "give it a name that ends in -bin"},
		"a line end":                    {fields{"metadata": fields{"x": "a\nb"}}, "metadata.x", "printable ASCII"},
		"bytes that are no base64":      {fields{"metadata": fields{"x-bin": "***"}}, "metadata.x-bin", "is not base64"},
		"two kinds of credentials":      {fields{"auth": fields{"type": "basic", "token": "x"}}, "auth", "bearer takes token"},
		"a password for bearer":         {fields{"auth": fields{"token": "x", "password": "y"}}, "auth", "bearer takes token"},
		"no token":                      {fields{"auth": fields{}}, "auth.token", "is empty"},
		"credentials twice":             {fields{"auth": fields{"token": "x"}, "metadata": fields{"Authorization": "y"}}, "auth", "keep one of them"},
		"a keepalive that is too often": {fields{"keepalive": "1s"}, "keepalive", "must be at least 10s, not 1s"},
		"a CA that is none":             {fields{"tls": fields{"ca": "hello"}}, "tls.ca", "holds no certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["method"] = echo
			e := s.fault("call", test.config)
			if e.Field != test.field {
				t.Errorf("got the field %s, want %s", e.Field, test.field)
			}
			wants(t, e, plugin.CodeConfig, test.part)
		})
	}
}
