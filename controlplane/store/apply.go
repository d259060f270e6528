package store

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	failpoint "github.com/testmesh/testmesh/sdk/fault"
)

// CommandVersion is the newest version of commands that this program applies.
const CommandVersion = 2

// Entry is a committed entry of the log.
type Entry struct {
	Index, Term uint64
	// Command is nil for an entry that holds none.
	Command *clusterv1.Command
}

// Apply applies entries in one transaction, with the index of the last; entries
// that the state has are passed over, their answer is nil. A refusal is an answer
// with a fault, the same on every node. It panics with *Broken where an entry
// cannot be applied, as an error of the disk.
func (s *Store) Apply(entries []Entry) []*clusterv1.Answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	answers := make([]*clusterv1.Answer, len(entries))
	a := &applying{writer: s.writer, fault: s.fault}
	if err := a.all(entries, answers); err != nil {
		_ = a.raw("ROLLBACK") // the file is closed next anyway
		panic(&Broken{err})
	}
	s.applied.Store(a.applied)
	s.changes.publish(a.change(a.applied))
	return answers
}

// applying is one call of Apply.
type applying struct {
	*writer
	fault   *failpoint.Set
	index   uint64
	command *clusterv1.Command
	touched touched
}

func (a *applying) all(entries []Entry, answers []*clusterv1.Answer) error {
	if err := a.raw("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for i, e := range entries {
		if e.Index <= a.applied {
			continue
		}
		answer, err := a.apply(e)
		if err != nil {
			return fmt.Errorf("apply entry %d: %w", e.Index, err)
		}
		answers[i] = answer
	}
	a.quiet("INSERT OR REPLACE INTO meta (key, value) VALUES ('applied', ?)", number(a.applied))
	a.quiet("INSERT OR REPLACE INTO meta (key, value) VALUES ('chain', ?)", a.chain)
	if err := a.take(); err != nil {
		return err
	}
	if err := a.fault.Point("store.commit.before"); err != nil {
		return err
	}
	if err := a.raw("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return a.fault.Point("store.commit.after")
}

func (a *applying) apply(e Entry) (*clusterv1.Answer, error) {
	a.index, a.command = e.Index, e.Command
	answer := &clusterv1.Answer{}
	if c := e.Command; c != nil {
		if c.GetVersion() > CommandVersion {
			return nil, fmt.Errorf("the command has version %d, and this program knows %d at most: this node is older than the cluster", c.GetVersion(), CommandVersion)
		}
		var known bool
		if stale := c.GetTerm() != 0 && c.GetTerm() != e.Term; stale {
			// What a leader decided on what it knew is not decided in another's term: that one
			// may know more, such as a renewal.
			answer, known = fault(codes.Aborted, "term", "stale_leader", "the command is of the leader of term %d, and this is term %d", c.GetTerm(), e.Term), true
		}
		if !known {
			answer, known = a.answered(c)
		}
		if !known {
			answer = a.body(c)
			answer.Index = e.Index
			a.remember(c, answer)
		}
	}
	a.entry(e.Index)
	if err := a.take(); err != nil {
		return nil, err
	}
	return answer, a.compare()
}

// answered gives the answer of a request that was applied before.
func (a *applying) answered(c *clusterv1.Command) (*clusterv1.Answer, bool) {
	if c.GetRequestId() == "" || a.fault.Off("no_idempotency") {
		return nil, false
	}
	var digest, raw []byte
	if !a.writer.one("SELECT digest, answer FROM answers WHERE request = ?", []any{c.GetWorkspace() + "/" + c.GetRequestId()}, &digest, &raw) {
		return nil, false
	}
	if !bytes.Equal(digest, c.GetRequestDigest()) {
		return fault(codes.AlreadyExists, "idempotency_key", "idempotency_conflict", "this idempotency key was used before, for another request"), true
	}
	answer := &clusterv1.Answer{}
	if err := proto.Unmarshal(raw, answer); err != nil {
		a.fail(fmt.Errorf("decode an answer: %w", err))
	}
	return answer, true
}

func (a *applying) remember(c *clusterv1.Command, answer *clusterv1.Answer) {
	if c.GetRequestId() == "" || a.fault.Off("no_idempotency") {
		return
	}
	a.exec("INSERT INTO answers (request, digest, answer, time) VALUES (?, ?, ?, ?)",
		c.GetWorkspace()+"/"+c.GetRequestId(), bytesOf(c.GetRequestDigest()), a.packed(answer), c.GetTime().AsTime().UnixMilli())
}

// bytesOf keeps an empty value from being NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (a *applying) body(c *clusterv1.Command) *clusterv1.Answer {
	switch b := c.GetBody().(type) {
	case *clusterv1.Command_PutBundle:
		return a.putBundle(b.PutBundle)
	case *clusterv1.Command_PushFlows:
		return a.pushFlows(b.PushFlows)
	case *clusterv1.Command_PutEnvironment:
		return a.putEnvironment(b.PutEnvironment)
	case *clusterv1.Command_DeleteEnvironment:
		return a.deleteEnvironment(b.DeleteEnvironment)
	case *clusterv1.Command_CreateBatch:
		return a.createBatch(b.CreateBatch)
	case *clusterv1.Command_ExpandBatch:
		return a.expandBatch(b.ExpandBatch)
	case *clusterv1.Command_CancelRuns:
		return a.cancelRuns(b.CancelRuns)
	case *clusterv1.Command_SetPriority:
		return a.setPriority(b.SetPriority)
	case *clusterv1.Command_ReleaseRun:
		return a.releaseRun(b.ReleaseRun)
	case *clusterv1.Command_GrantLeases:
		return a.grantLeases(b.GrantLeases)
	case *clusterv1.Command_ReturnLease:
		return a.returnLease(b.ReturnLease)
	case *clusterv1.Command_StartRun:
		return a.startRun(b.StartRun)
	case *clusterv1.Command_MarkDirty:
		return a.markDirty(b.MarkDirty)
	case *clusterv1.Command_PutCheckpoint:
		return a.putCheckpoint(b.PutCheckpoint)
	case *clusterv1.Command_FinishRun:
		return a.finishRun(b.FinishRun)
	case *clusterv1.Command_ExpireLeases:
		return a.expireLeases(b.ExpireLeases)
	case *clusterv1.Command_OnceClaim:
		return a.onceClaim(b.OnceClaim)
	case *clusterv1.Command_OnceSettle:
		return a.onceSettle(b.OnceSettle)
	case *clusterv1.Command_EndRuns:
		return a.endRuns(b.EndRuns)
	}
	return a.housekeeping(c)
}

func (a *applying) housekeeping(c *clusterv1.Command) *clusterv1.Answer {
	switch b := c.GetBody().(type) {
	case *clusterv1.Command_CreateJoinToken:
		return a.createJoinToken(b.CreateJoinToken)
	case *clusterv1.Command_RevokeJoinToken:
		return a.revokeJoinToken(b.RevokeJoinToken)
	case *clusterv1.Command_JoinAgent:
		return a.joinAgent(b.JoinAgent)
	case *clusterv1.Command_BeginSession:
		return a.beginSession(b.BeginSession)
	case *clusterv1.Command_SetAgent:
		return a.setAgent(b.SetAgent)
	case *clusterv1.Command_PutDescriptors:
		return a.putDescriptors(b.PutDescriptors)
	case *clusterv1.Command_PutMember:
		return a.putMember(b.PutMember)
	case *clusterv1.Command_RemoveMember:
		return a.removeMember(b.RemoveMember)
	case *clusterv1.Command_CreateNodeToken:
		return a.createNodeToken(b.CreateNodeToken)
	case *clusterv1.Command_UseNodeToken:
		return a.useNodeToken(b.UseNodeToken)
	case *clusterv1.Command_RaiseIncarnation:
		return a.raiseIncarnation()
	case *clusterv1.Command_Prune:
		return a.prune(b.Prune)
	case *clusterv1.Command_ArchiveRuns:
		return a.archiveRuns(b.ArchiveRuns)
	case *clusterv1.Command_CompareState:
		return &clusterv1.Answer{} // see compare
	}
	a.fail(fmt.Errorf("the command has a body that this program does not know: this node is older than the cluster"))
	return &clusterv1.Answer{}
}

// now is the time of the entry, which is the leader's.
func (a *applying) now() int64 { return a.command.GetTime().AsTime().UnixMilli() }

// fault refuses a command.
func fault(code codes.Code, field, reason, format string, args ...any) *clusterv1.Answer {
	return &clusterv1.Answer{Fault: &clusterv1.Fault{Code: int32(code), Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

func notFound(what, id string) *clusterv1.Answer {
	return fault(codes.NotFound, "", "not_found", "there is no %s %s", what, id)
}

// terminal says whether a run has ended for good.
func terminal(s apiv1.RunStatus) bool { return s >= apiv1.RunStatus_RUN_STATUS_PASSED }
