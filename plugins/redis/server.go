package redis

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

const (
	defaultPort           = 6379
	defaultConnectTimeout = 5 * time.Second
)

// connecting is the part of a config that says where Redis is.
type connecting struct {
	Connection plugin.Either[string, server] `json:"connection" doc:"Where Redis is: redis://user:password@host:port/db, rediss:// with TLS, unix:///path/of/a/socket?db=0; or a map that says more." example:"redis://127.0.0.1:6379/0"`
}

// server is a connection as a map.
type server struct {
	URL            string            `json:"url,omitempty" doc:"What a connection says as a text, in place of host, port and socket; the other keys win over what it says."`
	Host           string            `json:"host,omitempty" doc:"Name or address of the machine."`
	Port           int               `json:"port,omitempty" doc:"Port; 6379 by default." min:"1" max:"65535"`
	Socket         string            `json:"socket,omitempty" doc:"Path of a Unix socket."`
	Username       string            `json:"username,omitempty" doc:"User of an access list (Redis 6)."`
	Password       plugin.SecretText `json:"password,omitempty" doc:"Password of the user, or of requirepass."`
	DB             *int              `json:"db" doc:"Number of the database; 0 by default." min:"0"`
	TLS            *tlsclient.Config `json:"tls" doc:"TLS; given, even if empty, the connection uses it."`
	ConnectTimeout time.Duration     `json:"connect_timeout" doc:"Limit of the connection until Redis has answered on it." default:"5s"`
}

// target is a server as it is dialled.
type target struct {
	network, address   string
	username, password string
	db                 int
	tls                *tlsclient.Config // nil: without
	timeout            time.Duration
}

// target reads the config. The password is a secret from then on.
func (c connecting) target(call *plugin.Call) (*target, error) {
	said := server{ConnectTimeout: defaultConnectTimeout}
	field := "connection"
	switch {
	case c.Connection.One != nil:
		said.URL = *c.Connection.One
	case c.Connection.Other != nil:
		said, field = *c.Connection.Other, "connection.url"
	}
	t := &target{network: "tcp", timeout: said.ConnectTimeout}
	named := 0
	for _, is := range []bool{said.URL != "", said.Host != "" || said.Port != 0, said.Socket != ""} {
		if is {
			named++
		}
	}
	switch {
	case named == 0:
		return nil, plugin.Definitionf("connection", "does not say where Redis is").WithHint("write connection: redis://127.0.0.1:6379, or a map with url, host or socket")
	case named > 1:
		return nil, plugin.Definitionf("connection", "says more than once where Redis is: keep one of url, host with port, and socket")
	case said.URL != "":
		if err := t.parse(call, field, said.URL); err != nil {
			return nil, err
		}
	case said.Socket != "":
		t.network, t.address = "unix", said.Socket
	default:
		t.address = net.JoinHostPort(cmp.Or(said.Host, "localhost"), strconv.Itoa(cmp.Or(said.Port, defaultPort)))
	}
	t.username, t.password = cmp.Or(said.Username, t.username), cmp.Or(string(said.Password), t.password)
	if said.DB != nil {
		t.db = *said.DB
	}
	if said.TLS != nil {
		t.tls = said.TLS
	}
	return t, nil
}

// parse takes what a URL says. go-redis' other parameters (timeouts, the size of
// a pool) are not ours, and what is not ours is not passed over.
func (t *target) parse(call *plugin.Call, field, text string) error {
	const hint = "write redis://user:password@host:port/db, rediss:// with TLS, or unix:///path?db=0"
	u, err := url.Parse(text)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which may hold a password
	}
	if err != nil {
		return plugin.Definitionf(field, "is no URL: %w", err).WithHint(hint)
	}
	for name := range u.Query() {
		if name != "db" {
			return plugin.Definitionf(field, "has the parameter %q, of which only db is known", name).WithHint("a map says more: connection: {url: …, tls: {…}, connect_timeout: 5s}")
		}
	}
	o, err := goredis.ParseURL(text)
	if err != nil {
		return plugin.Definitionf(field, "cannot be read: %s", strings.TrimPrefix(err.Error(), "redis: ")).WithHint(hint)
	}
	if o.DB < 0 {
		return plugin.Definitionf(field, "has the database %d", o.DB).WithHint("they are numbered from 0")
	}
	t.network, t.address, t.username, t.password, t.db = o.Network, o.Addr, o.Username, o.Password, o.DB
	if o.TLSConfig != nil {
		t.tls = tlsclient.Default()
	}
	call.AddSecret(field, t.password)
	return nil
}

// key names what is kept for this target in a run. It holds the password, so
// only its hash is used.
func (t *target) key(call *plugin.Call) (string, error) {
	said, err := json.Marshal([]any{t.network, t.address, t.username, t.password, t.db, t.tls, t.timeout, call.Dir()})
	if err != nil {
		return "", fmt.Errorf("name the connection: %w", err)
	}
	return fmt.Sprintf("pool:%s:%x", t.address, sha256.Sum256(said)), nil
}

// host is the name that a certificate must have.
func (t *target) host() string {
	host, _, err := net.SplitHostPort(t.address)
	if err != nil {
		return "localhost" // of a Unix socket
	}
	return host
}
