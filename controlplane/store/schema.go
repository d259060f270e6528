package store

// format is the version of the schema. A file of a newer one is refused.
const format = 5

// schema is the whole of it. Records are messages in binary form; beside them
// stand the columns that are filtered and ordered by. There are no defaults, no
// rowids that mean anything and no triggers: everything that is written comes
// from a command.
const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE hashes (position INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE answers (request TEXT PRIMARY KEY, digest BLOB NOT NULL, answer BLOB NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE bundles (digest TEXT PRIMARY KEY, files BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE flows (workspace TEXT, file TEXT, number INTEGER, name TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (workspace, file, number)) WITHOUT ROWID;
CREATE TABLE workspaces (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, bundle TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE environments (workspace TEXT, name TEXT, record BLOB NOT NULL, PRIMARY KEY (workspace, name)) WITHOUT ROWID;
CREATE TABLE secrets (workspace TEXT, environment TEXT, name TEXT, sealed BLOB NOT NULL, PRIMARY KEY (workspace, environment, name)) WITHOUT ROWID;

CREATE TABLE batches (id TEXT PRIMARY KEY, workspace TEXT NOT NULL, created INTEGER NOT NULL, status INTEGER NOT NULL, expanded INTEGER NOT NULL, made INTEGER NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX batches_newest ON batches (workspace, created DESC, id DESC);
CREATE INDEX batches_open ON batches (id) WHERE expanded = 0;
CREATE TABLE sources (batch TEXT PRIMARY KEY, source BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
  id TEXT PRIMARY KEY, workspace TEXT NOT NULL, batch TEXT NOT NULL, number INTEGER NOT NULL, status INTEGER NOT NULL,
  created INTEGER NOT NULL, flow TEXT NOT NULL, environment TEXT NOT NULL, agent TEXT NOT NULL, quarantined INTEGER NOT NULL,
  verdict INTEGER NOT NULL, why TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX runs_newest ON runs (workspace, created DESC, id DESC);
CREATE UNIQUE INDEX runs_batch ON runs (batch, number);
CREATE INDEX runs_live ON runs (created, id) WHERE status < 5;
CREATE INDEX runs_quarantined ON runs (id) WHERE quarantined = 1;
CREATE TABLE details (run TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoints (run TEXT PRIMARY KEY, attempt INTEGER NOT NULL, number INTEGER NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE variables (run TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (run TEXT PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE locks (workspace TEXT, name TEXT, run TEXT NOT NULL, PRIMARY KEY (workspace, name)) WITHOUT ROWID;
CREATE INDEX locks_run ON locks (run);
CREATE TABLE once (batch TEXT, key TEXT, run TEXT NOT NULL, attempt INTEGER NOT NULL, settled INTEGER NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (batch, key)) WITHOUT ROWID;
CREATE INDEX once_run ON once (run);

CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT NOT NULL, public_key BLOB NOT NULL UNIQUE, session TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE join_tokens (id TEXT PRIMARY KEY, secret_sha256 BLOB NOT NULL UNIQUE, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE descriptors (digest TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE members (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE node_tokens (id TEXT PRIMARY KEY, secret_sha256 BLOB NOT NULL UNIQUE, expires INTEGER NOT NULL, node TEXT NOT NULL) WITHOUT ROWID;
` + schema2 + schema3 + schema4 + schema5

// schema2 is what format 2 has beyond format 1: what was moved out of the state, what a
// bundle is still for, and an order of newest first for each filter of a list of runs.
const schema2 = `
CREATE TABLE archives (key TEXT PRIMARY KEY, workspace TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, first_id TEXT NOT NULL, last_id TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX archives_newest ON archives (workspace, last DESC, key);
CREATE INDEX runs_flow ON runs (workspace, flow, created DESC, id DESC);
CREATE INDEX runs_environment ON runs (workspace, environment, created DESC, id DESC);
CREATE INDEX runs_status ON runs (workspace, status, created DESC, id DESC);
CREATE INDEX runs_agent ON runs (agent, created DESC, id DESC) WHERE agent <> '';
CREATE TABLE bundle_times (digest TEXT PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE bundle_uses (bundle TEXT, batch TEXT, PRIMARY KEY (bundle, batch)) WITHOUT ROWID;
CREATE INDEX bundle_uses_batch ON bundle_uses (batch);
CREATE INDEX answers_oldest ON answers (time, request);
`

// schema3 is what format 3 has beyond format 2: what flows were.
const schema3 = `
CREATE TABLE revisions (workspace TEXT, file TEXT, number INTEGER, revision INTEGER, pushed INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (workspace, file, number, revision)) WITHOUT ROWID;
`

// schema4 is what format 4 has beyond format 3: which agents had which runs, by when the
// runs were made. The columns have names that no other table has.
const schema4 = `
CREATE TABLE run_agents (run TEXT, lessee TEXT, queued INTEGER NOT NULL, PRIMARY KEY (run, lessee)) WITHOUT ROWID;
CREATE INDEX run_agents_newest ON run_agents (lessee, queued DESC, run DESC);
`

// schema5 is what format 5 has otherwise than format 4: orders that grow at their end, as
// new runs do, which costs SQLite a fraction of what it takes at the beginning; and the
// status in those of a batch, a flow and an environment.
const schema5 = `
DROP INDEX batches_newest;
CREATE INDEX batches_newest ON batches (workspace, created, id);
DROP INDEX runs_newest;
CREATE INDEX runs_newest ON runs (workspace, created, id);
DROP INDEX runs_batch;
CREATE INDEX runs_batch ON runs (batch, status, created, id);
DROP INDEX runs_flow;
CREATE INDEX runs_flow ON runs (workspace, flow, status, created, id);
DROP INDEX runs_environment;
CREATE INDEX runs_environment ON runs (workspace, environment, status, created, id) WHERE environment <> '';
DROP INDEX runs_status;
CREATE INDEX runs_status ON runs (workspace, status, created, id);
DROP INDEX runs_agent;
DROP INDEX run_agents_newest;
CREATE INDEX run_agents_newest ON run_agents (lessee, queued, run);
`
