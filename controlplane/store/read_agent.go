package store

import (
	"context"
	"database/sql"
	"errors"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Checkpoint is what a teardown of a run needs elsewhere, sealed.
func (s *Store) Checkpoint(ctx context.Context, run string) (sealed []byte, err error) {
	return sealed, s.scalar(ctx, &sealed, "SELECT sealed FROM checkpoints WHERE run = ?", run)
}

// Variables are the outputs that a run left for the next row, sealed.
func (s *Store) Variables(ctx context.Context, run string) (sealed []byte, err error) {
	return sealed, s.scalar(ctx, &sealed, "SELECT sealed FROM variables WHERE run = ?", run)
}

// RunOfToken finds the run whose lease has the token with this sha256.
func (s *Store) RunOfToken(ctx context.Context, sha256 []byte) (run string, err error) {
	return run, s.scalar(ctx, &run, "SELECT run FROM tokens WHERE sha256 = ?", sha256)
}

// LockHolders are the runs that hold locks of a workspace, by the lock's name.
func (s *Store) LockHolders(ctx context.Context, workspace string) (map[string]string, error) {
	out := map[string]string{}
	err := s.query(ctx, func(rows *sql.Rows) error {
		var name, run string
		if err := rows.Scan(&name, &run); err != nil {
			return err
		}
		out[name] = run
		return nil
	}, "SELECT name, run FROM locks WHERE workspace = ? ORDER BY name", workspace)
	return out, err
}

// Agents are all that ever joined, by name.
func (s *Store) Agents(ctx context.Context) ([]*apiv1.Agent, error) {
	return list[apiv1.Agent](ctx, s, "SELECT record FROM agents ORDER BY name, id")
}

// Agent is one by its id, with the runs that it leases.
func (s *Store) Agent(ctx context.Context, id string) (*apiv1.Agent, error) {
	a, err := single[apiv1.Agent](ctx, s, "SELECT record FROM agents WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	err = s.query(ctx, func(rows *sql.Rows) error {
		var run string
		if err := rows.Scan(&run); err != nil {
			return err
		}
		a.Leases = append(a.Leases, run)
		return nil
	}, "SELECT id FROM runs WHERE agent = ? AND status < 5 ORDER BY id", id)
	return a, err
}

// AgentKey is an agent's public key and the session that is its only one.
func (s *Store) AgentKey(ctx context.Context, id string) (key []byte, session string, err error) {
	if err := s.scalar(ctx, &key, "SELECT public_key FROM agents WHERE id = ?", id); err != nil {
		return nil, "", err
	}
	return key, session, s.scalar(ctx, &session, "SELECT session FROM agents WHERE id = ?", id)
}

// JoinTokens are all that were made, by id.
func (s *Store) JoinTokens(ctx context.Context) ([]*apiv1.JoinToken, error) {
	return list[apiv1.JoinToken](ctx, s, "SELECT record FROM join_tokens ORDER BY id")
}

// Descriptor is what a plugin says of itself, by its digest.
type Descriptor struct {
	Digest, Name, Version string
	Body                  []byte // a testmesh.v1.Descriptor
}

// Descriptors are all that agents have described, by name, version and digest.
func (s *Store) Descriptors(ctx context.Context) (out []Descriptor, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		var d Descriptor
		if err := rows.Scan(&d.Digest, &d.Name, &d.Version, &d.Body); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	}, "SELECT digest, name, version, body FROM descriptors ORDER BY name, version, digest")
	return out, err
}

// DescriptorDigests name all that agents have described, without reading it.
func (s *Store) DescriptorDigests(ctx context.Context) (out []string, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		var digest string
		if err := rows.Scan(&digest); err != nil {
			return err
		}
		out = append(out, digest)
		return nil
	}, "SELECT digest FROM descriptors ORDER BY digest")
	return out, err
}

// Members are the nodes of the cluster by id, as they last said of themselves.
func (s *Store) Members(ctx context.Context) ([]*apiv1.Member, error) {
	return list[apiv1.Member](ctx, s, "SELECT record FROM members ORDER BY id")
}

// Sealed is something that the key of the installation opens, and the purpose that it
// was sealed for.
func (s *Store) Sealed(ctx context.Context) (sealed []byte, purpose []string, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error {
		purpose = make([]string, 4)
		return rows.Scan(&purpose[1], &purpose[2], &purpose[3], &sealed)
	}, "SELECT workspace, environment, name, sealed FROM secrets LIMIT 1")
	if err != nil || sealed != nil {
		if purpose != nil {
			purpose[0] = "secret"
		}
		return sealed, purpose, err
	}
	for _, what := range []string{"checkpoint", "variables"} {
		err := s.query(ctx, func(rows *sql.Rows) error {
			purpose = []string{what, ""}
			return rows.Scan(&purpose[1], &sealed)
		}, "SELECT run, sealed FROM "+map[string]string{"checkpoint": "checkpoints", "variables": "variables"}[what]+" WHERE length(sealed) > 0 LIMIT 1")
		if err != nil || sealed != nil {
			return sealed, purpose, err
		}
	}
	return nil, nil, ErrNotFound
}

// Incarnation is raised by restore and recovery; it begins at 1.
func (s *Store) Incarnation(ctx context.Context) (uint64, error) {
	var value []byte
	err := s.scalar(ctx, &value, "SELECT value FROM meta WHERE key = 'incarnation'")
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return toNumber(value) + 1, err
}

// Hash is the newest hash of the state at a multiple of a thousand entries; index 0:
// there is none yet. Nodes that applied the same entries have the same.
func (s *Store) Hash(ctx context.Context) (index uint64, hash []byte, err error) {
	err = s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&index, &hash) }, "SELECT position, hash FROM hashes ORDER BY position DESC LIMIT 1")
	return index, hash, err
}

// Chain is the hash of everything that was ever written, after the entry index.
func (s *Store) Chain(ctx context.Context) (index uint64, hash []byte, err error) {
	var applied []byte
	err = s.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&applied, &hash) },
		"SELECT a.value, c.value FROM meta a, meta c WHERE a.key = 'applied' AND c.key = 'chain'")
	return toNumber(applied), hash, err
}
