package sql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// stopTime is how long a server has to stop a statement, before the connection is
// cut. A call that is cancelled ends within two seconds.
const stopTime = 1200 * time.Millisecond

// postgresDatabase opens sessions with PostgreSQL. pgconn is pgx without its
// types: values come as PostgreSQL prints them, and are read by their type here,
// so that none goes through a Go type that cannot hold it.
type postgresDatabase struct {
	config *pgconn.Config
	server *server
	types  *postgresTypes
}

func newPostgres(s *server, secure *tls.Config) (*postgresDatabase, error) {
	// Everything that a file or the environment of this process could say is said
	// here, with values that are set below.
	config, err := pgconn.ParseConfig("host=localhost port=5432 user=x password=x dbname=x sslmode=disable passfile=/dev/null target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("configure pgconn: %w", err)
	}
	port, err := strconv.ParseUint(s.port, 10, 16)
	if err != nil {
		return nil, plugin.Definitionf("connection", "has the port %q, which is no number", s.port)
	}
	config.Host, config.Port = s.host, uint16(port)
	config.User, config.Password, config.Database = s.user, s.password, s.database
	config.RuntimeParams = map[string]string{"application_name": "testmesh", "timezone": "UTC", "datestyle": "ISO", "client_encoding": "UTF8"}
	for name, value := range s.params {
		config.RuntimeParams[name] = value
	}
	delete(config.RuntimeParams, "connect_timeout") // connectTime holds
	config.TLSConfig, config.Fallbacks = secure, nil
	if s.tls == tlsPrefer {
		config.Fallbacks = []*pgconn.FallbackConfig{{Host: s.host, Port: uint16(port)}}
	}
	config.ValidateConnect, config.AfterConnect = nil, nil
	if s.egress != nil {
		guard(config, s)
	}
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: stopTime}
	}
	config.OnNotice = func(c *pgconn.PgConn, notice *pgconn.Notice) {
		if out, ok := c.CustomData()[listening].(*gathered); ok && len(out.notices) < maxNotices {
			out.notices = append(out.notices, notice.Severity+": "+notice.Message)
		}
	}
	return &postgresDatabase{config: config, server: s, types: newPostgresTypes()}, nil
}

// maxNotices bounds what a server may say beside an answer.
const maxNotices = 20

// listening is where a connection keeps whom its server's notices are for.
const listening = "gathered"

// secureOf are the TLS settings that a server's connection asks for; nil: none.
func secureOf(call *plugin.Call, s *server) (*tls.Config, error) {
	if s.kind == sqlite || s.tls == tlsNever || len(s.host) > 0 && s.host[0] == '/' {
		return nil, nil
	}
	config := s.tlsConfig
	if config == nil {
		config = tlsclient.Default()
	}
	secure, err := config.Client(call, "connection.tls", s.host)
	if err != nil || s.tls == tlsFull {
		return secure, err
	}
	secure.InsecureSkipVerify = true
	if s.tls == tlsSigned {
		secure.VerifyConnection = func(state tls.ConnectionState) error {
			others := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				others.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: secure.RootCAs, Intermediates: others})
			return err
		}
	}
	return secure, nil
}

func (d *postgresDatabase) open(ctx context.Context) (session, error) {
	conn, err := pgconn.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, err
	}
	s := &postgresSession{conn: conn, types: d.types, config: d.config}
	if d.server.readOnly {
		if err := exec(ctx, s, postgres, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// postgresSession is a connection to PostgreSQL.
type postgresSession struct {
	conn   *pgconn.PgConn
	types  *postgresTypes
	config *pgconn.Config
}

// run prepares the statement, which tells the types of its parameters and columns,
// and then sends it whole: a pooler between may give each to another server.
func (s *postgresSession) run(ctx context.Context, st statement, out *gathered) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.conn.CustomData()[listening] = out
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	settled := watch(ctx, func() (why string) {
		if overdue(ctx) {
			why = s.waitsFor()
		}
		stop()
		return why
	})
	err := explainPostgres(st, s.send(running, st, out, stop))
	_, why := settled()
	if r := refusal(err); r != nil && r.cut && out.over != "" && ctx.Err() == nil {
		return nil // as we asked
	}
	return waited(err, why)
}

func (s *postgresSession) send(ctx context.Context, st statement, out *gathered, stop func()) error {
	about, err := s.conn.Prepare(ctx, "", st.sent, nil)
	if err != nil {
		return err
	}
	if err := s.learn(ctx, about); err != nil {
		return err
	}
	args, err := s.types.arguments(st.args, about.ParamOIDs)
	if err != nil {
		return err
	}
	// In a transaction the end of a statement is the end of it all, and of a change it
	// is its undoing: there what is left is read and dropped.
	full := func() {}
	if s.conn.TxStatus() == 'I' && st.reads() {
		full = stop
	}
	tag, err := s.read(s.conn.ExecParams(ctx, st.sent, args, about.ParamOIDs, nil, nil), out, full)
	if err != nil {
		return err
	}
	if tag.String() == "ROLLBACK" && st.keywords(1)[0] == "COMMIT" {
		return &refused{Code: "25P02", State: "25P02", Kind: kindOther, Message: "the transaction was rolled back: a statement in it had failed", where: -1}
	}
	out.done(changed(tag), nil, len(about.Fields) > 0)
	return nil
}

// waitsFor asks, over a connection of its own, whose lock the statement waits for;
// empty: nobody's, or nobody says.
func (s *postgresSession) waitsFor() string {
	ctx, release := context.WithTimeout(context.Background(), waitTime)
	defer release()
	conn, err := pgconn.ConnectConfig(ctx, s.config)
	if err != nil {
		return ""
	}
	other := &postgresSession{conn: conn, types: s.types, config: s.config}
	defer other.close()
	rows, err := ask(ctx, other, postgres, `SELECT a.pid, a.usename AS who, a.state, left(a.query, 200) AS query
		FROM unnest(pg_blocking_pids($1)) AS b(pid) JOIN pg_stat_activity a ON a.pid = b.pid LIMIT 1`, json.Number(strconv.FormatUint(uint64(s.conn.PID()), 10)))
	if err != nil || len(rows) == 0 {
		return ""
	}
	r := rows[0]
	return fmt.Sprintf("it waited for a lock of the session %v (%v, %v), which had run: %s", r["pid"], r["who"], r["state"], brief(fmt.Sprint(r["query"])))
}

// read hands the rows to out; full is called where it wants no more.
func (s *postgresSession) read(reader *pgconn.ResultReader, out *gathered, full func()) (pgconn.CommandTag, error) {
	fields := reader.FieldDescriptions()
	kinds := make([]uint32, len(fields))
	columns := make([]column, len(fields))
	for i, f := range fields {
		kinds[i] = f.DataTypeOID
		columns[i] = column{f.Name, s.types.name(f.DataTypeOID)}
	}
	if len(fields) > 0 {
		out.begin(columns)
	}
	for reader.NextRow() {
		if out.over != "" {
			continue
		}
		values := make([]any, len(fields))
		for i, text := range reader.Values() {
			var err error
			if values[i], err = s.types.decode(kinds[i], text); err != nil {
				full()
				_, _ = reader.Close()
				return pgconn.CommandTag{}, unreadable(columns[i], out, err)
			}
		}
		if !out.add(values) {
			full()
		}
	}
	return reader.Close()
}

// changed is how many rows a statement changed; nil where it is not one that does.
func changed(tag pgconn.CommandTag) *int64 {
	word, _, _ := strings.Cut(tag.String(), " ")
	switch word {
	case "INSERT", "UPDATE", "DELETE", "MERGE", "COPY":
		n := tag.RowsAffected()
		return &n
	}
	return nil
}

// learn asks for the types that are not PostgreSQL's own: enums, domains, those of
// extensions, and arrays of them.
func (s *postgresSession) learn(ctx context.Context, about *pgconn.StatementDescription) error {
	var unknown []string
	for _, oid := range about.ParamOIDs {
		if !s.types.knows(oid) {
			unknown = append(unknown, strconv.FormatUint(uint64(oid), 10))
		}
	}
	for _, f := range about.Fields {
		if !s.types.knows(f.DataTypeOID) {
			unknown = append(unknown, strconv.FormatUint(uint64(f.DataTypeOID), 10))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	const query = "SELECT t.oid, format_type(t.oid, NULL), CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END FROM pg_catalog.pg_type t WHERE t.oid = ANY($1::oid[])"
	wanted := []byte("{" + strings.Join(unknown, ",") + "}")
	reader := s.conn.ExecParams(ctx, query, [][]byte{wanted}, nil, nil, nil)
	for reader.NextRow() {
		v := reader.Values()
		s.types.add(string(v[0]), string(v[1]), string(v[2]))
	}
	_, err := reader.Close()
	return err
}

func (s *postgresSession) state() state {
	switch {
	case s.conn.IsClosed():
		return gone
	case s.conn.TxStatus() == 'I':
		return ready
	}
	return inTransaction
}

func (s *postgresSession) ping(ctx context.Context) error { return s.conn.Ping(ctx) }

func (s *postgresSession) close() {
	ctx, release := context.WithTimeout(context.Background(), settleTime)
	defer release()
	_ = s.conn.Close(ctx) // the server sees the end either way
}

// guard dials what the machine's rules let through. They may name the host, so it is
// dialled by its name, also where pgconn knows the address by then.
func guard(config *pgconn.Config, s *server) {
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(network, "tcp") {
			address = net.JoinHostPort(s.host, s.port)
		}
		return s.egress.Dial(ctx, &net.Dialer{}, network, address)
	}
}
