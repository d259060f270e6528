package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// How TLS is wanted, in the words of PostgreSQL's sslmode.
const (
	tlsNever  = "disable"
	tlsPrefer = "prefer"      // where the server has it, unchecked
	tlsAlways = "require"     // unchecked
	tlsSigned = "verify-ca"   // signed by somebody who is trusted
	tlsFull   = "verify-full" // and for this name
)

// memory is the name of a database of SQLite that is kept in memory.
const memory = ":memory:"

// server says which database it is and how it is reached.
type server struct {
	egress         *plugin.Egress
	kind           kind
	host           string // a name or an address; the path of a socket, which begins with a slash
	port           string
	user, password string
	database       string // of SQLite the file, or :memory:
	tls            string // one of the words above
	tlsConfig      *tlsclient.Config
	params         map[string]string
	readOnly       bool
}

// inMemory tells whether the database is one of SQLite in memory, which has one
// connection.
func (s *server) inMemory() bool {
	return s.kind == sqlite && (s.database == memory || s.params["mode"] == "memory")
}

// target is where messages say that it is.
func (s *server) target() string {
	switch {
	case s.kind == sqlite:
		return s.database
	case strings.HasPrefix(s.host, "/"):
		return s.host
	}
	return net.JoinHostPort(s.host, s.port)
}

// name says which database it is, without the password.
func (s *server) name() string {
	if s.kind == sqlite {
		return "sqlite:" + s.database
	}
	return strings.ToLower(string(s.kind)) + "://" + s.user + "@" + s.target() + "/" + s.database
}

// key tells one database and way of reaching it from another, and shows nothing.
func (s *server) key(dir string) string {
	parts := []string{string(s.kind), s.host, s.port, s.user, s.password, s.database, s.tls, dir, fmt.Sprint(s.readOnly && !s.inMemory())}
	if s.tlsConfig != nil {
		parts = append(parts, fmt.Sprintf("%+v", *s.tlsConfig), string(s.tlsConfig.Key))
	}
	for _, name := range slices.Sorted(maps.Keys(s.params)) {
		parts = append(parts, name, s.params[name])
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// serverOf reads the connection of a config, and hides its password.
func serverOf(call *plugin.Call, in target) (*server, error) {
	var s *server
	var err error
	switch {
	case in.Connection.One != nil:
		s, err = parse(*in.Connection.One)
	case in.Connection.Other != nil:
		s, err = fromMap(*in.Connection.Other)
	default:
		return nil, plugin.Definitionf("connection", "is missing").
			WithHint("write connection: postgres://user:password@host:5432/db, or the name of a transaction that sql.begin began")
	}
	if err != nil {
		return nil, err
	}
	call.AddSecret("connection.password", s.password)
	s.readOnly = s.readOnly || in.ReadOnly
	return s, s.complete()
}

// complete fills in what is left out, and says what cannot be.
func (s *server) complete() error {
	if s.kind == sqlite {
		if s.database == "" {
			return plugin.Definitionf("connection", "names no file").WithHint("write sqlite:file.db, or sqlite:%s", memory)
		}
		return nil
	}
	if s.host == "" {
		s.host = "localhost"
	}
	if s.port == "" {
		s.port = map[kind]string{postgres: "5432", mysql: "3306"}[s.kind]
	}
	if n, err := strconv.ParseUint(s.port, 10, 16); err != nil || n == 0 {
		return plugin.Definitionf("connection", "has the port %q, which is no number from 1 to 65535", s.port)
	}
	if s.user == "" {
		return plugin.Definitionf("connection", "names no user").WithHint("write %s://user:password@%s/database", strings.ToLower(string(s.kind)), s.target())
	}
	if s.tls == "" {
		s.tls = tlsPrefer
	}
	return nil
}

func fromMap(in connectionMap) (*server, error) {
	s := &server{
		kind: kindOf(in.Type), host: in.Host, user: in.User, password: string(in.Password), database: in.Database,
		params: maps.Clone(in.Params), readOnly: in.ReadOnly,
	}
	if in.Port != 0 {
		s.port = strconv.Itoa(int(in.Port))
	}
	if s.params == nil {
		s.params = map[string]string{}
	}
	if err := s.takeParams(); err != nil {
		return nil, err
	}
	if in.TLS != nil {
		s.tlsConfig, s.tls = in.TLS, tlsFull
		if !in.TLS.Verify {
			s.tls = tlsAlways
		}
	}
	return s, nil
}

// goForm is the connection string of Go's driver for MySQL.
var goForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:([^:@/]*)(?::(.*))?@)?(tcp|unix)\(([^)]*)\)/([^?]*)(?:\?(.*))?$`)
})

// parse reads a connection string.
func parse(text string) (*server, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "jdbc:")
	if m := goForm().FindStringSubmatch(text); m != nil {
		return parseGoForm(m)
	}
	if keywordForm().MatchString(text) {
		return parseKeywords(text)
	}
	scheme, rest, ok := strings.Cut(text, ":")
	driver, _, _ := strings.Cut(strings.ToLower(scheme), "+") // postgresql+psycopg://
	k := kindOf(driver)
	if driver == "file" {
		k = sqlite
	}
	if !ok || k == "" {
		return nil, plugin.Definitionf("connection", "is no connection string").
			WithHint("it begins with postgres://, mysql:// or sqlite: — or it is a map with the key type")
	}
	if k == sqlite {
		return parseFile(rest)
	}
	return parseURL(k, text)
}

// parseFile is what follows sqlite: in a connection string.
func parseFile(rest string) (*server, error) {
	if strings.HasPrefix(rest, "//") {
		return nil, plugin.Definitionf("connection", "has slashes that may mean one thing or another").
			WithHint("write sqlite:data/app.db for a file relative to the flow, sqlite:/var/app.db for an absolute one")
	}
	file, query, _ := strings.Cut(rest, "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, plugin.Definitionf("connection", "has parameters that cannot be read: %s", err)
	}
	return &server{kind: sqlite, database: file, params: single(params)}, nil
}

func parseURL(k kind, text string) (*server, error) {
	u, err := url.Parse(text)
	if err != nil {
		// What it says would show the password.
		return nil, plugin.Definitionf("connection", "is no valid URL").
			WithHint("a password with special characters is written with %%-escapes, as p%%40ss for p@ss: ${url_encode(secret.DB_PASSWORD)}; or use a map")
	}
	if strings.Contains(u.Host, ",") {
		return nil, plugin.Definitionf("connection", "names several hosts, of which one is possible")
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, plugin.Definitionf("connection", "has parameters that cannot be read: %s", err)
	}
	s := &server{
		kind: k, host: u.Hostname(), port: u.Port(), user: u.User.Username(),
		database: strings.TrimPrefix(u.Path, "/"), params: single(params),
	}
	s.password, _ = u.User.Password()
	for key, target := range map[string]*string{"host": &s.host, "port": &s.port, "user": &s.user, "password": &s.password, "dbname": &s.database, "socket": &s.host} {
		if v := s.take(key); v != "" {
			*target = v
		}
	}
	return s, s.takeParams()
}

func parseGoForm(m []string) (*server, error) {
	params, err := url.ParseQuery(m[6])
	if err != nil {
		return nil, plugin.Definitionf("connection", "has parameters that cannot be read: %s", err)
	}
	s := &server{kind: mysql, user: m[1], password: m[2], host: m[4], database: m[5], params: single(params)}
	if host, port, err := net.SplitHostPort(m[4]); err == nil && m[3] == "tcp" {
		s.host, s.port = host, port
	}
	return s, s.takeParams()
}

// keywordForm is libpq's connection string: host=db user=app.
var keywordForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*[a-z_]+\s*=`) })

// keyword is one of its parts, with a value in quotes or without.
var keyword = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?:\s|$)`)
})

func parseKeywords(text string) (*server, error) {
	s := &server{kind: postgres, params: map[string]string{}}
	for text = strings.TrimSpace(text); text != ""; {
		m := keyword().FindStringSubmatch(text)
		if m == nil {
			return nil, plugin.Definitionf("connection", "is no connection string of the form host=db user=app dbname=shop").WithHint("a value with blanks stands in single quotes")
		}
		s.params[m[1]] = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\ `, ` `).Replace(m[2] + m[3])
		text = strings.TrimLeft(text[len(m[0]):], " \t\r\n")
	}
	s.host, s.port, s.user, s.password, s.database = s.take("host"), s.take("port"), s.take("user"), s.take("password"), s.take("dbname")
	return s, s.takeParams()
}

// take removes a parameter and gives its value.
func (s *server) take(key string) string {
	v := s.params[key]
	delete(s.params, key)
	return v
}

// takeParams takes what is about TLS out of the parameters; the rest are settings
// of the session.
func (s *server) takeParams() error {
	if s.kind == sqlite {
		return nil
	}
	mode := strings.ToLower(s.take("sslmode") + s.take("ssl-mode") + s.take("sslMode"))
	if s.kind == mysql && mode == "" {
		mode = strings.ToLower(s.take("tls"))
	}
	switch mode = strings.ReplaceAll(mode, "_", "-"); mode {
	case "":
	case tlsNever, "disabled", "false":
		s.tls = tlsNever
	case tlsPrefer, "preferred", "allow":
		s.tls = tlsPrefer
	case tlsAlways, "required", "skip-verify":
		s.tls = tlsAlways
	case tlsSigned:
		s.tls = tlsSigned
	case tlsFull, "verify-identity", "true":
		s.tls = tlsFull
	default:
		return plugin.Definitionf("connection", "has the sslmode %q", mode).WithHint("it is disable, prefer, require, verify-ca or verify-full")
	}
	config := tlsclient.Default()
	config.CAFile = plugin.File(s.take("sslrootcert") + s.take("ssl-ca"))
	config.CertFile = plugin.File(s.take("sslcert") + s.take("ssl-cert"))
	config.KeyFile = plugin.File(s.take("sslkey") + s.take("ssl-key"))
	if *config != *tlsclient.Default() {
		s.tlsConfig = config
		if s.tls == "" {
			s.tls = tlsFull
		}
	}
	if schema := s.take("schema"); schema != "" && s.kind == postgres { // as Prisma writes it
		s.params["search_path"] = schema
	}
	return nil
}

// single are parameters of a URL, the last of each name.
func single(params url.Values) map[string]string {
	out := make(map[string]string, len(params))
	for name, values := range params {
		out[name] = values[len(values)-1]
	}
	return out
}
