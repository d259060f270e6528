package sql

import (
	"context"
	"crypto/tls"
	"slices"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// seat is a session that a step has for its time: one of the run's pool, or that
// of a transaction.
type seat struct {
	session
	pool        *pool
	transaction *transaction // nil: none
	guarded     bool         // the session refuses changes until the seat is left
}

// sit gives a step its seat. The step leaves it.
func sit(ctx context.Context, call *plugin.Call, in target) (*seat, error) {
	if in.Transaction != "" {
		t, err := transactionOf(call, in)
		if err != nil {
			return nil, err
		}
		return t.sit(ctx)
	}
	server, err := serverOf(call, in)
	if err != nil {
		return nil, err
	}
	return server.sit(ctx, call)
}

// sit gives a seat of the run's pool for the server.
func (s *server) sit(ctx context.Context, call *plugin.Call) (*seat, error) {
	p, err := s.pool(ctx, call)
	if err != nil {
		return nil, err
	}
	free, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	out := &seat{session: free, pool: p}
	if s.inMemory() && s.readOnly {
		// Its one connection is everybody's; that of a server or a file is read only as
		// long as it lives.
		out.guarded = true
		if err := exec(ctx, free, sqlite, "PRAGMA query_only = 1"); err != nil {
			p.give(free)
			return nil, err
		}
	}
	return out, nil
}

func (s *seat) kind() kind { return s.pool.server.kind }

// leave gives the seat back. What a statement left open is rolled back, and said.
func (s *seat) leave(call *plugin.Call) {
	if s.transaction != nil {
		s.transaction.leave()
		return
	}
	if s.pool.giveBack(s.session, s.guarded) {
		call.Warn("a statement left a transaction open, which was rolled back: to keep one open from step to step use sql.begin")
	}
}

// pool is the run's pool for the server, made on first use.
func (s *server) pool(ctx context.Context, call *plugin.Call) (*pool, error) {
	return plugin.Keep(ctx, call, "pool:"+s.key(call.Dir()), func() (*pool, func() error, error) {
		secure, err := secureOf(call, s)
		if err != nil {
			return nil, nil, err
		}
		d, err := databaseOf(call, s, secure)
		if err != nil {
			return nil, nil, err
		}
		p := newPool(s, d)
		return p, p.close, nil
	})
}

func databaseOf(call *plugin.Call, s *server, secure *tls.Config) (database, error) {
	s.egress = call.Host().Egress
	switch s.kind {
	case postgres:
		return newPostgres(s, secure)
	case mysql:
		return newMySQL(s, secure)
	}
	return newSQLite(call, s)
}

// runAll runs the statements of a step one after the other, and stops at the first
// that the database refuses.
func (s *seat) runAll(ctx context.Context, all []statement, out *gathered) (stopped statement, err error) {
	for _, st := range all {
		if err := s.allowed(st); err != nil {
			return st, err
		}
		if err := s.session.run(ctx, st, out); err != nil {
			return st, err
		}
		if s.transaction != nil && s.state() != inTransaction {
			return st, s.transaction.over(st)
		}
		if out.over != "" {
			return st, nil
		}
	}
	return statement{}, nil
}

// allowed refuses what would end a transaction behind the back of the steps that
// commit it and roll it back.
func (s *seat) allowed(st statement) error {
	if st.isCopyIn() {
		return plugin.Definitionf("query", "copies from STDIN, which a step has not").WithHint("dump with pg_dump --inserts, or use sql.load with a CSV file")
	}
	if s.transaction == nil {
		return nil
	}
	words := st.keywords(2)
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "COMMIT", "END", "ABORT", "BEGIN", "START":
		return plugin.Definitionf("query", "would end the transaction %s: %s", s.transaction.name, brief(st.text())).WithHint("use sql.commit or sql.rollback")
	case "ROLLBACK":
		if !slices.Contains(words, "TO") && !st.has("TO") {
			return plugin.Definitionf("query", "would end the transaction %s: %s", s.transaction.name, brief(st.text())).WithHint("use sql.rollback")
		}
	case "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "LOCK":
		if s.kind() == mysql && !st.has("TEMPORARY") {
			return plugin.Definitionf("query", "would commit the transaction %s: that is what MySQL does with %s", s.transaction.name, words[0]).
				WithHint("run it in a step before sql.begin")
		}
	}
	return nil
}

func (p piece) isCopyIn() bool {
	first := p.keywords(1)
	return len(first) > 0 && first[0] == "COPY" && p.has("STDIN")
}
