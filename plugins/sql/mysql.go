package sql

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	client "github.com/go-sql-driver/mysql"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// mysqlDatabase opens sessions with MySQL or MariaDB. The driver is used without
// database/sql, which would pool and convert in ways of its own.
type mysqlDatabase struct {
	connector driver.Connector
	server    *server
}

func newMySQL(s *server, secure *tls.Config) (*mysqlDatabase, error) {
	settings := url.Values{}
	for name, value := range s.params {
		settings.Set(name, value)
	}
	config, err := client.ParseDSN("/?" + settings.Encode())
	if err != nil {
		return nil, plugin.Definitionf("connection", "has parameters that MySQL's client does not take: %w", err)
	}
	config.Net, config.Addr = "tcp", s.target()
	if strings.HasPrefix(s.host, "/") {
		config.Net = "unix"
	}
	config.User, config.Passwd, config.DBName = s.user, s.password, s.database
	config.TLSConfig, config.TLS, config.AllowFallbackToPlaintext = "", secure, s.tls == tlsPrefer
	// Values are read as the server sends them, and times are those of UTC.
	config.ParseTime, config.InterpolateParams, config.Loc = false, false, time.UTC
	config.MultiStatements, config.AllowAllFiles = false, false
	config.Logger = &client.NopLogger{} // errors are returned as well
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	config.Params["time_zone"] = "'+00:00'"
	if s.egress != nil {
		config.DialFunc = s.egress.DialContext(&net.Dialer{})
	}
	connector, err := client.NewConnector(config)
	if err != nil {
		return nil, plugin.Definitionf("connection", "has parameters that MySQL's client does not take: %w", err)
	}
	return &mysqlDatabase{connector, s}, nil
}

func (d *mysqlDatabase) open(ctx context.Context) (session, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &mysqlSession{conn: conn, database: d}
	rows, err := ask(ctx, s, mysql, "SELECT CONNECTION_ID() AS id")
	if err == nil && len(rows) == 1 {
		s.id = fmt.Sprint(rows[0]["id"])
	}
	if err == nil && d.server.readOnly {
		err = exec(ctx, s, mysql, "SET SESSION TRANSACTION READ ONLY")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// mysqlConn is all that a connection of the driver can do here.
type mysqlConn interface {
	driver.Conn
	driver.QueryerContext
	driver.ExecerContext
	driver.ConnPrepareContext
	driver.Pinger
	driver.Validator
}

func (d *mysqlDatabase) connect(ctx context.Context) (mysqlConn, error) {
	c, err := d.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(mysqlConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's %T lacks what is needed", c), c.Close())
	}
	return conn, nil
}

// mysqlSession is a connection to MySQL.
type mysqlSession struct {
	conn     mysqlConn
	database *mysqlDatabase
	id       string // of the connection at the server
	open     bool   // a transaction; the driver does not tell
}

// run executes a statement. The driver would cut the connection where ctx ends,
// and the server would go on; so it is killed over a connection of its own.
func (s *mysqlSession) run(ctx context.Context, st statement, out *gathered) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	inner, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	settled := watch(running, func() string {
		time.AfterFunc(stopTime, cut) // where killing does not help
		return s.kill(overdue(ctx))
	})
	err := explainMySQL(st, s.send(inner, st, out, stop))
	r := refusal(err)
	killed, why := settled()
	if killed && r == nil && s.state() != gone {
		// It was over before the kill came, which would meet the next statement.
		_ = s.send(inner, command(mysql, "DO 0"), &gathered{}, stop)
	}
	switch {
	case err == nil:
		s.follow(st)
		return ctx.Err() // SLEEP and its like take being killed for their end
	case r != nil && r.cut && out.over != "" && ctx.Err() == nil:
		return nil // as we asked
	case r != nil && r.Kind == kindDeadlock:
		s.open = false // the whole transaction was rolled back
	}
	return waited(err, why)
}

// kill stops the session's statement, and may ask before what it waits for.
func (s *mysqlSession) kill(ask bool) (why string) {
	ctx, release := context.WithTimeout(context.Background(), stopTime)
	defer release()
	conn, err := s.database.connect(ctx)
	if err != nil {
		return "" // the connection is cut
	}
	other := &mysqlSession{conn: conn}
	defer other.close()
	if ask {
		why = other.waitsFor(ctx, s.id)
	}
	_, _ = conn.ExecContext(ctx, "KILL QUERY "+s.id, nil) // where it errors, the connection is cut
	return why
}

// waitsFor asks whether a connection waits for a lock; empty: it does not, or we may
// not know.
func (s *mysqlSession) waitsFor(ctx context.Context, id string) string {
	ctx, release := context.WithTimeout(ctx, waitTime)
	defer release()
	out := &gathered{limits: limits{MaxRows: 1, MaxBytes: 1 << 10}}
	err := s.send(ctx, command(mysql, "SELECT 1 FROM information_schema.processlist p WHERE p.id = "+id+" AND (p.state LIKE '%lock%' OR "+
		"EXISTS (SELECT 1 FROM information_schema.innodb_trx t WHERE t.trx_mysql_thread_id = p.id AND t.trx_state = 'LOCK WAIT'))"), out, func() {})
	if err != nil || out.rows == 0 {
		return ""
	}
	return "it waited for a lock that another session holds: is a transaction left open? SHOW ENGINE INNODB STATUS says which"
}

func (s *mysqlSession) send(ctx context.Context, st statement, out *gathered, stop context.CancelFunc) error {
	args, err := mysqlArguments(st.args)
	if err != nil {
		return err
	}
	query, exec := s.conn.QueryContext, s.conn.ExecContext
	if len(args) > 0 {
		prepared, err := s.conn.PrepareContext(ctx, st.sent)
		if err != nil {
			return err
		}
		defer prepared.Close()
		query = func(ctx context.Context, _ string, args []driver.NamedValue) (driver.Rows, error) {
			return prepared.(driver.StmtQueryContext).QueryContext(ctx, args)
		}
		exec = func(ctx context.Context, _ string, args []driver.NamedValue) (driver.Result, error) {
			return prepared.(driver.StmtExecContext).ExecContext(ctx, args)
		}
	}
	if hasNoRows(st.piece) {
		result, err := exec(ctx, st.sent, args)
		if err != nil {
			return err
		}
		affected, lastID := mysqlChanged(st, result)
		out.done(affected, lastID, false)
		return nil
	}
	rows, err := query(ctx, st.sent, args)
	if err != nil {
		return err
	}
	return s.read(ctx, st, rows, out, stop)
}

// read hands the rows of all results to out.
func (s *mysqlSession) read(ctx context.Context, st statement, rows driver.Rows, out *gathered, stop context.CancelFunc) error {
	results := 0
	for len(rows.Columns()) > 0 {
		results++
		if err := readRows(rows, out, mysqlValue); err != nil {
			stop()
			_ = rows.Close()
			return err
		}
		if out.over != "" {
			if st.reads() {
				stop() // what the server still has is not wanted
			}
			return rows.Close()
		}
		out.done(nil, nil, true)
		if err := rows.(driver.RowsNextResultSet).NextResultSet(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	if err := rows.Close(); err != nil || results > 0 {
		return err
	}
	count, err := s.conn.QueryContext(ctx, "SELECT ROW_COUNT()", nil)
	if err != nil {
		return err
	}
	var n [1]driver.Value
	err = count.Next(n[:])
	affected, ok := n[0].(int64)
	if ok && affected >= 0 {
		out.done(&affected, nil, false)
	} else {
		out.done(nil, nil, false)
	}
	return errors.Join(err, count.Close())
}

// readRows hands the rows of one result to out, until it wants no more.
func readRows(rows driver.Rows, out *gathered, convert func(databaseType string, v driver.Value) (any, error)) error {
	names := rows.Columns()
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{name, rows.(driver.RowsColumnTypeDatabaseTypeName).ColumnTypeDatabaseTypeName(i)}
	}
	out.begin(columns)
	raw := make([]driver.Value, len(names))
	for {
		if err := rows.Next(raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		values := make([]any, len(names))
		for i, v := range raw {
			var err error
			if values[i], err = convert(columns[i].Type, v); err != nil {
				return unreadable(columns[i], out, err)
			}
		}
		if !out.add(values) {
			return nil
		}
	}
}

// follow keeps account of the transaction.
func (s *mysqlSession) follow(st statement) {
	words := st.keywords(2)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "BEGIN", "START":
		s.open = true
	case "SET":
		s.open = s.open || len(words) > 1 && words[1] == "AUTOCOMMIT"
	case "COMMIT", "ROLLBACK":
		s.open = st.has("TO", "CHAIN") && s.open
	case "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "LOCK":
		s.open = s.open && st.has("TEMPORARY")
	}
}

func (s *mysqlSession) state() state {
	switch {
	case !s.conn.IsValid():
		return gone
	case s.open:
		return inTransaction
	}
	return ready
}

func (s *mysqlSession) ping(ctx context.Context) error { return s.conn.Ping(ctx) }

func (s *mysqlSession) close() { _ = s.conn.Close() }

// hasNoRows tells whether a statement of MySQL gives no rows, so that the server is
// asked for what it changed.
func hasNoRows(p piece) bool {
	words := p.keywords(1)
	if len(words) == 0 {
		return true
	}
	switch words[0] {
	case "INSERT", "UPDATE", "DELETE", "REPLACE":
		return !p.has("RETURNING")
	case "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "SET", "USE", "START", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT",
		"RELEASE", "LOCK", "UNLOCK", "GRANT", "REVOKE", "LOAD", "DO", "KILL", "FLUSH", "PREPARE", "DEALLOCATE":
		return true
	}
	return false
}
