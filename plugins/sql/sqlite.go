//go:build cgo

package sql

import (
	"context"
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// busyTime is how long a statement waits for a lock of somebody else by default.
	busyTime = 5 * time.Second
	// busyEvery is how often it looks. SQLite's own wait would not hear that the step
	// is over.
	busyEvery = 5 * time.Millisecond
)

// sqliteDatabase opens sessions with a file of SQLite, or a database in memory.
type sqliteDatabase struct {
	dsn      string
	readOnly bool
	busy     time.Duration
}

func newSQLite(call *plugin.Call, s *server) (*sqliteDatabase, error) {
	d := &sqliteDatabase{readOnly: s.readOnly && !s.inMemory(), busy: busyTime}
	settings := url.Values{"_busy_timeout": {"0"}, "_foreign_keys": {"on"}}
	mode := "rwc"
	for name, value := range s.params {
		switch name = strings.TrimPrefix(name, "_"); name {
		case "mode":
			mode = value
		case "busy_timeout":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return nil, plugin.Definitionf("connection", "has the busy_timeout %q, which is no number of milliseconds", value)
			}
			d.busy = time.Duration(n) * time.Millisecond
		case "foreign_keys", "journal_mode":
			settings.Set("_"+name, value)
		default:
			return nil, plugin.Definitionf("connection", "has the parameter %q, which SQLite has not here", name).
				WithHint("it takes mode, foreign_keys, journal_mode and busy_timeout (milliseconds)")
		}
	}
	if s.inMemory() {
		d.dsn = memory + "?" + settings.Encode()
		return d, nil
	}
	file, exists, err := databaseFile(call, s.database)
	if err != nil {
		return nil, err
	}
	switch {
	case s.readOnly:
		mode = "ro"
	case exists && mode == "rwc":
		mode = "rw"
	}
	settings.Set("mode", mode)
	d.dsn = (&url.URL{Scheme: "file", Path: file, RawQuery: settings.Encode()}).String()
	return d, nil
}

// databaseFile is where a database is. One within the project may be made; any
// other must be there, so that no step can put a file where it has no business.
func databaseFile(call *plugin.Call, name string) (file string, exists bool, err error) {
	if !filepath.IsAbs(name) {
		file, err = call.Path(plugin.File(name))
		if err != nil {
			return "", false, err
		}
		_, err = os.Stat(file)
		return file, err == nil, nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", false, plugin.Definitionf("connection", "names %s, which is not there: %w", name, err).
			WithHint("a database outside of the project must exist; a path relative to the flow is made where it does not")
	case !info.Mode().IsRegular():
		return "", false, plugin.Definitionf("connection", "names %s, which is no file", name)
	}
	return name, true, nil
}

func (d *sqliteDatabase) open(ctx context.Context) (session, error) {
	c, err := (&sqlite3.SQLiteDriver{}).Open(d.dsn)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver gives a %T", c), c.Close())
	}
	// Other files than the connection's are none of a statement's business.
	conn.SetLimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
	s := &sqliteSession{conn: conn, busy: d.busy}
	if d.readOnly {
		if err := exec(ctx, s, sqlite, "PRAGMA query_only = 1"); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// sqliteSession is a connection to SQLite.
type sqliteSession struct {
	conn   *sqlite3.SQLiteConn
	busy   time.Duration
	broken bool
}

// run executes a statement, again and again while somebody else has the database:
// one that was turned away has done nothing.
func (s *sqliteSession) run(ctx context.Context, st statement, out *gathered) error {
	patience := time.NewTimer(s.busy)
	defer patience.Stop()
	for {
		before := len(out.sets)
		err := s.send(ctx, st, out)
		var known sqlite3.Error
		if !errors.As(err, &known) || known.Code != sqlite3.ErrBusy || known.ExtendedCode == sqlite3.ErrBusySnapshot || len(out.sets) > before {
			return explainSQLite(st, err)
		}
		select {
		case <-patience.C:
			return explainSQLite(st, err)
		case <-ctx.Done():
			return explainSQLite(st, err)
		case <-time.After(busyEvery):
		}
	}
}

func (s *sqliteSession) send(ctx context.Context, st statement, out *gathered) error {
	args, err := sqliteArguments(st.args)
	if err != nil {
		return err
	}
	found, err := s.conn.QueryContext(ctx, st.sent, args)
	if err != nil {
		return err
	}
	rows, ok := found.(*sqlite3.SQLiteRows)
	if !ok {
		return errors.Join(fmt.Errorf("the driver gives a %T", found), found.Close())
	}
	if err := readSQLite(rows, out); err != nil {
		return errors.Join(err, rows.Close())
	}
	hasColumns := len(rows.Columns()) > 0
	if err := rows.Close(); err != nil {
		return err
	}
	if st.reads() || !st.isChange() {
		out.done(nil, nil, hasColumns)
		return nil
	}
	return s.changed(st, out, hasColumns)
}

// changed asks what the last statement changed.
func (s *sqliteSession) changed(st statement, out *gathered, hasColumns bool) error {
	rows, err := s.conn.QueryContext(context.Background(), "SELECT changes(), last_insert_rowid()", nil)
	if err != nil {
		return err
	}
	var n [2]driver.Value
	err = errors.Join(rows.Next(n[:]), rows.Close())
	affected, _ := n[0].(int64)
	id, _ := n[1].(int64)
	lastID := &id
	if !st.has("INSERT", "REPLACE") || affected == 0 {
		lastID = nil
	}
	out.done(&affected, lastID, hasColumns)
	return err
}

// readSQLite hands the rows to out. A column's declared type makes the driver turn
// stored values into others (a text in a DATETIME column into a time, that of the
// year 1 where it is none), so it is not shown any.
func readSQLite(rows *sqlite3.SQLiteRows, out *gathered) error {
	names := rows.Columns()
	declared := rows.DeclTypes() // the driver's own
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{name, declared[i]}
		declared[i] = ""
	}
	raw := make([]driver.Value, len(names))
	for n := 0; ; n++ {
		err := rows.Next(raw)
		if n == 0 && len(names) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			for i := range columns {
				if columns[i].Type == "" && err == nil {
					columns[i].Type = storageClass(raw[i])
				}
			}
			out.begin(columns)
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(names) == 0 {
			continue
		}
		values := make([]any, len(names))
		for i, v := range raw {
			if values[i], err = sqliteValue(v); err != nil {
				return unreadable(columns[i], out, err)
			}
		}
		if !out.add(values) {
			return nil
		}
	}
}

// storageClass is the type of a value that comes from no column.
func storageClass(v driver.Value) string {
	switch v.(type) {
	case int64:
		return "integer"
	case float64:
		return "real"
	case string:
		return "text"
	case []byte:
		return "blob"
	}
	return "null"
}

// sqliteValue is a value by what is stored, whatever its column is declared as.
func sqliteValue(v driver.Value) (any, error) {
	switch x := v.(type) {
	case nil:
		return nil, nil
	case int64:
		return json.Number(strconv.FormatInt(x, 10)), nil
	case float64:
		return number(strings.Replace(strconv.FormatFloat(x, 'g', -1, 64), "Inf", "Infinity", 1)), nil
	case string:
		return valid(x)
	case []byte:
		return base64.StdEncoding.EncodeToString(x), nil
	}
	return nil, fmt.Errorf("the driver gives a %T", v)
}

// sqliteArguments are the values of a statement as the driver takes them.
func sqliteArguments(args []any) ([]driver.NamedValue, error) {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		switch x := v.(type) {
		case bool:
			v = int64(0)
			if x {
				v = int64(1)
			}
		case json.Number:
			if n, err := strconv.ParseInt(x.String(), 10, 64); err == nil {
				v = n
				break
			}
			f, err := strconv.ParseFloat(x.String(), 64)
			if err != nil {
				return nil, plugin.Definitionf("params", "has the number %s, which SQLite has no room for: %w", x, err)
			}
			v = f
		case []any, map[string]any:
			text, err := jsonText(x)
			if err != nil {
				return nil, err
			}
			v = text
		}
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out, nil
}

func (s *sqliteSession) state() state {
	switch {
	case s.broken:
		return gone
	case s.conn.AutoCommit():
		return ready
	}
	return inTransaction
}

func (s *sqliteSession) ping(context.Context) error { return nil }

func (s *sqliteSession) close() {
	s.broken = true
	_ = s.conn.Close()
}
