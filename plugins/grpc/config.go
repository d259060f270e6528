package grpc

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// server is whom to call.
type server struct {
	Address        string        `json:"address" doc:"Host and port, or a URL: grpcs:// and https:// are with TLS, grpc:// and http:// without; no scheme is without, unless tls is given." example:"127.0.0.1:7071" minLength:"1"`
	TLS            tlsKey        `json:"tls,omitempty" doc:"Whether it is with TLS, as a map with what is not the default: another authority, a client certificate, no check."`
	Authority      string        `json:"authority,omitempty" doc:"The :authority that the server is told, where it is not the address." example:"shop.internal"`
	ConnectTimeout time.Duration `json:"connect_timeout" doc:"Limit of a connection: name, TCP, TLS, and the server's first words." default:"10s"`
	Keepalive      time.Duration `json:"keepalive,omitempty" doc:"Ask the server this often whether it is alive while a call is under way; at least 10s."`
	WaitForReady   bool          `json:"wait_for_ready,omitempty" doc:"Wait until the server can be reached, up to the time limit, instead of ending with its first refusal."`
}

// procedure is what to call, and how its messages are known.
type procedure struct {
	Method        string      `json:"method" doc:"package.Service/Method, or the method's name alone beside service." example:"shop.v1.ShopService/GetProduct" minLength:"1"`
	Service       string      `json:"service,omitempty" doc:"Full name of the service." example:"shop.v1.ShopService"`
	UseReflection *bool       `json:"use_reflection" doc:"Ask the server's reflection service what its messages are; where neither proto_file nor descriptor_set is given that is so."`
	ProtoFile     protoKey    `json:"proto_file,omitempty" doc:"The .proto file of the service, or several of them; what they import is looked for in import_paths, or beside them and in the folders above."`
	ImportPaths   []string    `json:"import_paths,omitempty" doc:"Folders that imports are relative to, as protoc -I takes them." example:"[\"proto\"]"`
	DescriptorSet plugin.File `json:"descriptor_set,omitempty" doc:"A file of buf build -o, or of protoc --include_imports --descriptor_set_out."`
}

// options say how a call is made.
type options struct {
	Metadata    map[string]any `json:"metadata,omitempty" doc:"What goes along, a text or a list of texts each; names that end in -bin have bytes as base64."`
	Auth        *auth          `json:"auth" doc:"Credentials, sent as the metadata authorization."`
	Deadline    time.Duration  `json:"deadline,omitempty" doc:"Limit of the call, of which the server is told; the step's timeout is one anyway."`
	Compression string         `json:"compression" doc:"How requests are packed." enum:"none|gzip" default:"none"`
	MaxMessage  int            `json:"max_message" doc:"Bytes that one message of the server may have." min:"1" max:"134217728" default:"10485760"`
	FieldNames  string         `json:"field_names" doc:"Names of fields in results: as JSON has them (orderId), or as the .proto file does (order_id). Requests may use both." enum:"json|proto" default:"json"`
	TraceParent bool           `json:"traceparent" doc:"Whether a traceparent goes along." default:"true"`
}

// auth is who calls.
type auth struct {
	Type     string            `json:"type" doc:"Kind of the credentials." enum:"bearer|basic" default:"bearer"`
	Token    plugin.SecretText `json:"token,omitempty" doc:"Token of bearer."`
	Username string            `json:"username,omitempty" doc:"Name of basic."`
	Password plugin.SecretText `json:"password,omitempty" doc:"Password of basic."`
}

// tlsKey is true, false, or settings; protoKey one file or several.
type (
	tlsKey   = plugin.Either[bool, tlsclient.Config]
	protoKey = plugin.Either[plugin.File, []plugin.File]
)

// rpcIn is what calls of all kinds have in common.
type rpcIn struct {
	server
	procedure
	options
}

// minKeepalive is the shortest interval that grpc-go keeps to; it would make a
// shorter one this long without a word.
const minKeepalive = 10 * time.Second

// endpoint is an address as it is dialled.
type endpoint struct {
	host, port string
	secure     bool
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, e.port) }

// tls is whether the flow wants TLS, and its settings.
func (s *server) tls() (wanted, refused bool, settings *tlsclient.Config) {
	switch {
	case s.TLS.Other != nil:
		return true, false, s.TLS.Other
	case s.TLS.One != nil:
		return *s.TLS.One, !*s.TLS.One, tlsclient.Default()
	}
	return false, false, tlsclient.Default()
}

// files are the .proto files.
func (p *procedure) files() []plugin.File {
	switch {
	case p.ProtoFile.One != nil:
		return []plugin.File{*p.ProtoFile.One}
	case p.ProtoFile.Other != nil:
		return *p.ProtoFile.Other
	}
	return nil
}

// endpoint reads the address.
func (s *server) endpoint() (endpoint, error) {
	const hint = "write host:port, grpc://host:port, or grpcs://host:port for TLS"
	scheme, rest, found := strings.Cut(s.Address, "://")
	if !found {
		scheme, rest = "", s.Address
	}
	wrong := func(format string, args ...any) error {
		return plugin.Definitionf("address", format, args...).WithHint("%s", hint)
	}
	u, err := url.Parse("//" + rest)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), ", ") || strings.Contains(u.Hostname(), ":") && u.Host[0] != '[':
		return endpoint{}, wrong("%q is not an address", s.Address)
	case u.User != nil:
		return endpoint{}, plugin.Definitionf("address", "has a user and a password, which gRPC has no place for").WithHint("give them by auth")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return endpoint{}, wrong("%q has more than a host and a port", s.Address)
	}
	e := endpoint{host: u.Hostname(), port: u.Port()}
	wanted, refused, _ := s.tls()
	standard := ""
	switch scheme {
	case "":
		e.secure = wanted
	case "grpcs", "https":
		e.secure, standard = true, "443"
		if refused {
			return endpoint{}, plugin.Definitionf("tls", "is false, and %s:// is with TLS", scheme).WithHint("write grpc://%s", rest)
		}
	case "grpc", "http":
		standard = "80"
		if wanted {
			return endpoint{}, plugin.Definitionf("tls", "is given, and %s:// is without TLS", scheme).WithHint("write grpcs://%s", rest)
		}
	default:
		return endpoint{}, wrong("%q is not a kind of address", scheme)
	}
	if e.port == "" && strings.HasPrefix(scheme, "http") {
		e.port = standard
	}
	if e.port == "" {
		return endpoint{}, wrong("%q names no port", s.Address)
	}
	return e, nil
}

func (s *server) check() error {
	if s.Keepalive != 0 && s.Keepalive < minKeepalive {
		return plugin.Definitionf("keepalive", "must be at least %s, not %s", minKeepalive, s.Keepalive)
	}
	return nil
}

// outgoing is the metadata of a call.
func (o *options) outgoing(call *plugin.Call) (metadata.MD, error) {
	md := metadata.MD{}
	for _, name := range slices.Sorted(maps.Keys(o.Metadata)) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		values, ok := o.Metadata[name].([]any)
		if !ok {
			values = []any{o.Metadata[name]}
		}
		for i, value := range values {
			at := "metadata." + name
			if ok {
				at = fmt.Sprintf("%s[%d]", at, i)
			}
			text, err := metadataText(at, strings.ToLower(name), value)
			if err != nil {
				return nil, err
			}
			md.Append(name, text)
		}
	}
	if o.Auth != nil {
		proof, err := o.Auth.proof()
		if err != nil {
			return nil, err
		}
		if len(md.Get("authorization")) > 0 {
			return nil, plugin.Definitionf("auth", "is given beside metadata.authorization: keep one of them")
		}
		md.Set("authorization", proof)
	}
	if parent := call.TraceParent(); o.TraceParent && parent != "" && len(md.Get("traceparent")) == 0 {
		md.Set("traceparent", parent)
	}
	return md, nil
}

// checkName refuses what gRPC does not send, or sends itself.
func checkName(name string) error {
	at, lower := "metadata."+name, strings.ToLower(name)
	switch {
	case lower == "grpc-timeout":
		return plugin.Definitionf(at, "is set by gRPC itself").WithHint("give it as deadline")
	case lower == "grpc-encoding":
		return plugin.Definitionf(at, "is set by gRPC itself").WithHint("give it as compression")
	case lower == ":authority", lower == "host":
		return plugin.Definitionf(at, "is set by gRPC itself").WithHint("give it as authority")
	case strings.HasPrefix(lower, "grpc-"), strings.HasPrefix(lower, ":"), slices.Contains([]string{"te", "content-type", "user-agent", "connection"}, lower):
		return plugin.Definitionf(at, "is set by gRPC itself")
	case lower == "" || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return plugin.Definitionf(at, "is no name of metadata: it has letters, digits, - _ and . only")
	}
	return nil
}

// metadataText is one value, bytes where the name says so.
func metadataText(at, name string, value any) (string, error) {
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = fmt.Sprint(v)
	default:
		return "", plugin.Definitionf(at, "must be a text, a number, true or false")
	}
	if strings.HasSuffix(name, "-bin") {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", plugin.Definitionf(at, "is not base64, which a name that ends in -bin has: %s", err).WithHint("encode the bytes as base64: ${base64_encode(x)}")
		}
		return string(data), nil
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			return "", plugin.Definitionf(at, "has the character %q, and metadata is printable ASCII", r).WithHint("give it a name that ends in -bin, as base64")
		}
	}
	return text, nil
}

// proof is the value of the metadata authorization.
func (a *auth) proof() (string, error) {
	switch {
	case a.Type == "basic" && a.Token != "", a.Type == "bearer" && (a.Username != "" || a.Password != ""):
		return "", plugin.Definitionf("auth", "bearer takes token, basic takes username and password")
	case a.Type == "basic":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+string(a.Password))), nil
	case a.Token == "":
		return "", plugin.Definitionf("auth.token", "is empty")
	}
	return "Bearer " + string(a.Token), nil
}
