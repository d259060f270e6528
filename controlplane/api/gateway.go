package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Streams takes and gives the event streams of runs.
type Streams interface {
	Append(ctx context.Context, agent string, f *apiv1.Frame) (*apiv1.Ack, error)
	// Durable makes sure that the whole of a stream is kept, and ends it.
	Durable(ctx context.Context, run string, attempt int32, length int64, sum string) error
	Read(ctx context.Context, run string, attempt int32, offset int64, follow bool, give func(offset int64, data []byte) error) error
}

// Checkpoints are what teardowns elsewhere, and later rows, need.
type Checkpoints interface {
	Checkpoint(ctx context.Context, run string) (sealed []byte, err error)
	Variables(ctx context.Context, run string) (sealed []byte, err error)
	// Once tells whether what a batch executes once is settled, or being executed.
	Once(ctx context.Context, batch, key string) (settled, held bool, err error)
}

// idempotent is a command of an agent that is applied once by what it is about.
func (s *server) idempotent(ctx context.Context, id string, c *clusterv1.Command) *clusterv1.Command {
	actor, _, _ := s.Guard.Who(ctx)
	c.Version, c.Workspace, c.Actor, c.Time = 1, workspace, actor, timestamppb.New(s.Now())
	c.RequestId, c.RequestDigest = id, []byte(id)
	return c
}

// Join takes a token for a key.
func (s *server) Join(ctx context.Context, req *apiv1.JoinRequest) (*apiv1.JoinResponse, error) {
	sum := sha256.Sum256([]byte(req.GetToken()))
	a, err := s.propose(ctx, s.idempotent(ctx, "call/"+s.NewID(), &clusterv1.Command{Body: &clusterv1.Command_JoinAgent{JoinAgent: &clusterv1.JoinAgent{
		SecretSha256: sum[:], AgentId: s.NewID(), Name: req.GetName(), PublicKey: req.GetPublicKey(), Version: req.GetVersion(),
	}}}))
	if err != nil {
		return nil, err
	}
	agent := a.GetAgent()
	return &apiv1.JoinResponse{AgentId: agent.GetId(), Name: agent.GetName(), Pins: agent.GetPins(), Reserved: agent.GetReserved(), ServerTime: timestamppb.New(s.Now())}, nil
}

// Hello begins a session.
func (s *server) Hello(ctx context.Context, req *apiv1.HelloRequest) (*apiv1.HelloResponse, error) {
	_, id, session := s.Guard.Who(ctx)
	if session != req.GetSession() {
		return nil, invalid("session", "the session is not the one of the signature")
	}
	// A repeated Hello is answered as the first was, whatever has become of the agent.
	if known, err := s.Agents.Agent(ctx, id); err == nil && known.GetState() == apiv1.AgentState_AGENT_STATE_REVOKED {
		return nil, &Error{Kind: Denied, Message: "the agent " + known.GetName() + " was revoked"}
	}
	a, err := s.propose(ctx, s.idempotent(ctx, "hello/"+id+"/"+session, &clusterv1.Command{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{
		AgentId: id, Session: session, Version: req.GetVersion(), Slots: req.GetSlots(), Facts: req.GetFacts(), Descriptors: req.GetDescriptors(),
	}}}))
	if err != nil {
		return nil, err
	}
	if err := s.Queue.Lost(ctx, id, req.GetLost()); err != nil {
		return nil, err
	}
	res := &apiv1.HelloResponse{MissingDescriptors: a.GetMissing(), ServerTime: timestamppb.New(s.Now())}
	for _, r := range a.GetRuns() {
		if n := len(r.GetAttempts()); n > 0 {
			at := r.GetAttempts()[n-1]
			res.Leases = append(res.Leases, &apiv1.Lease{RunId: r.GetId(), Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation()})
		}
	}
	return res, nil
}

// Poll waits for work.
func (s *server) Poll(ctx context.Context, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	_, id, _ := s.Guard.Who(ctx)
	res, err := s.Queue.Poll(ctx, id, req)
	if err != nil {
		return nil, err
	}
	for _, o := range res.GetOffers() {
		if err := s.describe(ctx, o); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// describe adds what an agent compiles a run from. Nothing of it is secret.
func (s *server) describe(ctx context.Context, o *apiv1.Offer) (err error) {
	r := o.GetRun()
	if o.Batch, err = s.Runs.Batch(ctx, r.GetBatchId()); err != nil {
		return err
	}
	if o.Files, err = s.Flows.Bundle(ctx, r.GetSpec().GetBundle()); err != nil {
		return err
	}
	if name := r.GetSpec().GetEnvironment(); name != "" {
		o.Environment, err = s.Flows.Environment(ctx, workspace, name)
	}
	return err
}

// Renew keeps leases.
func (s *server) Renew(ctx context.Context, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	_, id, _ := s.Guard.Who(ctx)
	return s.Queue.Renew(ctx, id, req)
}

func leaseKey(what string, l *apiv1.Lease) string {
	return fmt.Sprintf("%s/%s/%d/%d", what, l.GetRunId(), l.GetAttempt(), l.GetFence())
}

// Start accepts an offer. Only once that is committed secrets are given.
func (s *server) Start(ctx context.Context, req *apiv1.StartRequest) (*apiv1.StartResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	token := RunTokenPrefix + s.NewSecret()
	sum := sha256.Sum256([]byte(token))
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_StartRun{StartRun: &clusterv1.StartRun{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), Locks: req.GetLocks(), TokenSha256: sum[:],
	}}
	a, err := s.propose(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.Fault.Point("api.start.committed"); err != nil {
		return nil, err
	}
	if a.GetLocked() {
		return &apiv1.StartResponse{Locked: true}, nil
	}
	res := &apiv1.StartResponse{Ttl: durationpb.New(s.Timing.TTL), RenewEvery: durationpb.New(s.Timing.Renew), RunToken: token}
	return res, s.equip(ctx, a.GetRun(), res)
}

// RunTokenPrefix begins the token of a run.
const RunTokenPrefix = "tmr_"

// own refuses an agent that names a run of another.
func (s *server) own(ctx context.Context, l *apiv1.Lease) error {
	_, id, _ := s.Guard.Who(ctx)
	r, err := s.Runs.Run(ctx, l.GetRunId())
	if err != nil {
		// This node may be behind the one that granted it.
		if err := s.Proposer.Read(ctx); err != nil {
			return err
		}
		if r, err = s.Runs.Run(ctx, l.GetRunId()); err != nil {
			return err
		}
	}
	for range 2 {
		for _, at := range r.GetAttempts() {
			if at.GetNumber() == l.GetAttempt() && at.GetFence() == l.GetFence() && at.GetAgentId() == id {
				return nil
			}
		}
		if err := s.Proposer.Read(ctx); err != nil {
			return err
		}
		if r, err = s.Runs.Run(ctx, l.GetRunId()); err != nil {
			return err
		}
	}
	return coded(fencedCode, fmt.Sprintf("attempt %d of run %s is not this agent's", l.GetAttempt(), l.GetRunId()), "lease", "fenced")
}

// equip adds what the agent is given only once the run has started.
func (s *server) equip(ctx context.Context, r *apiv1.Run, res *apiv1.StartResponse) (err error) {
	batch, err := s.Runs.Batch(ctx, r.GetBatchId())
	if err != nil {
		return err
	}
	if name := r.GetSpec().GetEnvironment(); name != "" {
		if res.Secrets, err = s.secrets(ctx, name); err != nil {
			return err
		}
	}
	if at := r.GetAttempts()[len(r.GetAttempts())-1]; at.GetTeardownOnly() {
		res.Lost = tornDown(r)
		sealed, err := s.Checkpoints.Checkpoint(ctx, r.GetId())
		if err != nil {
			return err
		}
		if res.Checkpoint, err = s.Seal.Open(sealed, "checkpoint", r.GetId()); err != nil {
			return err
		}
	}
	if batch.GetSource().GetKeepVariables() {
		return s.variables(ctx, r, res)
	}
	return nil
}

// tornDown is the attempt that a teardown is for.
func tornDown(r *apiv1.Run) *apiv1.Attempt {
	for i := len(r.GetAttempts()) - 1; i >= 0; i-- {
		if at := r.GetAttempts()[i]; !at.GetTeardownOnly() && at.GetStarted() != nil {
			return at
		}
	}
	return nil
}

func (s *server) secrets(ctx context.Context, environment string) (map[string]string, error) {
	sealed, err := s.Flows.SealedSecrets(ctx, workspace, environment)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(sealed))
	for name, one := range sealed {
		value, err := s.Seal.Open(one, "secret", workspace, environment, name)
		if err != nil {
			return nil, err
		}
		out[name] = string(value)
	}
	return out, nil
}

// variables are what the row before left.
func (s *server) variables(ctx context.Context, r *apiv1.Run, res *apiv1.StartResponse) error {
	runs, err := s.Runs.RunsOfBatch(ctx, r.GetBatchId())
	if err != nil {
		return err
	}
	before := ""
	for _, other := range runs {
		if other.GetNumber() < r.GetNumber() && other.GetSpec().GetFile() == r.GetSpec().GetFile() && other.GetSpec().GetIndex() == r.GetSpec().GetIndex() {
			before = other.GetId()
		}
	}
	if before == "" {
		return nil
	}
	sealed, err := s.Checkpoints.Variables(ctx, before)
	if errors.Is(err, s.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := s.Seal.Open(sealed, "variables", before)
	res.Variables = string(text)
	return err
}

// Dirty is committed before the step begins.
func (s *server) Dirty(ctx context.Context, req *apiv1.DirtyRequest) (*apiv1.DirtyResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	_, err := s.propose(ctx, s.idempotent(ctx, leaseKey("dirty", l), &clusterv1.Command{Body: &clusterv1.Command_MarkDirty{MarkDirty: &clusterv1.MarkDirty{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), StepId: req.GetStepId(),
	}}}))
	return &apiv1.DirtyResponse{}, err
}

// Checkpoint seals what a teardown elsewhere would need.
func (s *server) Checkpoint(ctx context.Context, req *apiv1.CheckpointRequest) (*apiv1.CheckpointResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_PutCheckpoint{PutCheckpoint: &clusterv1.PutCheckpoint{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), Number: req.GetNumber(),
		Resources: req.GetResources(),
	}}
	if len(req.GetData()) > 0 {
		c.GetPutCheckpoint().Sealed = s.Seal.Close(req.GetData(), "checkpoint", l.GetRunId())
	}
	_, err = s.propose(ctx, c)
	return &apiv1.CheckpointResponse{}, err
}

// Finish takes a verdict once the whole stream is kept.
func (s *server) Finish(ctx context.Context, req *apiv1.FinishRequest) (*apiv1.FinishResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	if err := s.Streams.Durable(ctx, l.GetRunId(), l.GetAttempt(), req.GetStreamBytes(), req.GetStreamSha256()); err != nil {
		return nil, &Error{Kind: Unavailable, Field: "stream_bytes", Message: err.Error(), Cause: err}
	}
	if err := s.Fault.Point("api.finish.durable"); err != nil {
		return nil, err
	}
	f := &clusterv1.FinishRun{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Incarnation: l.GetIncarnation(), Status: req.GetStatus(), Reason: req.GetReason(),
		DurationMs: req.GetDurationMs(), Steps: req.GetSteps(), Assertions: req.GetAssertions(), StepSummaries: req.GetStepSummaries(), StepCount: req.GetStepCount(),
		Outputs: req.GetOutputs(), Orphans: req.GetOrphans(), StreamBytes: req.GetStreamBytes(), StreamSha256: req.GetStreamSha256(),
	}
	if v := req.GetVariables(); v != "" {
		f.Variables = s.Seal.Close([]byte(v), "variables", l.GetRunId())
	}
	a, err := s.Proposer.Propose(ctx, s.idempotent(ctx, leaseKey("finish", l), &clusterv1.Command{Body: &clusterv1.Command_FinishRun{FinishRun: f}}))
	if err != nil {
		return nil, err
	}
	switch fault := a.GetFault(); {
	case fault.GetReason() == "fenced":
		return &apiv1.FinishResponse{Fenced: true}, nil
	case fault != nil:
		return nil, &Refusal{fault}
	}
	return &apiv1.FinishResponse{}, nil
}

// Return gives back what was not started, or what an agent that ends has stopped.
func (s *server) Return(ctx context.Context, req *apiv1.ReturnRequest) (*apiv1.ReturnResponse, error) {
	l := req.GetLease()
	if err := s.own(ctx, l); err != nil {
		return nil, err
	}
	if req.GetStreamSha256() != "" {
		if err := s.Streams.Durable(ctx, l.GetRunId(), l.GetAttempt(), req.GetStreamBytes(), req.GetStreamSha256()); err != nil {
			return nil, &Error{Kind: Unavailable, Field: "stream_bytes", Message: err.Error(), Cause: err}
		}
	}
	_, err := s.propose(ctx, s.idempotent(ctx, leaseKey("return", l), &clusterv1.Command{Body: &clusterv1.Command_ReturnLease{ReturnLease: &clusterv1.ReturnLease{
		RunId: l.GetRunId(), Attempt: l.GetAttempt(), Fence: l.GetFence(), Reason: req.GetReason(), Drained: req.GetDrained(),
	}}}))
	return &apiv1.ReturnResponse{}, err
}

// Describe takes descriptors of plugins.
func (s *server) Describe(ctx context.Context, req *apiv1.DescribeRequest) (*apiv1.DescribeResponse, error) {
	c, err := s.command(ctx, "", req)
	if err != nil {
		return nil, err
	}
	c.Body = &clusterv1.Command_PutDescriptors{PutDescriptors: &clusterv1.PutDescriptors{Descriptors: req.GetDescriptors()}}
	_, err = s.propose(ctx, c)
	return &apiv1.DescribeResponse{}, err
}

// Append takes frames without a socket.
func (s *server) Append(ctx context.Context, req *apiv1.AppendRequest) (*apiv1.AppendResponse, error) {
	_, id, _ := s.Guard.Who(ctx)
	res := &apiv1.AppendResponse{}
	for _, f := range req.GetFrames() {
		ack, err := s.Streams.Append(ctx, id, f)
		if err != nil {
			return nil, &Error{Kind: Unavailable, Message: "the stream cannot be stored at the moment", Cause: err}
		}
		res.Acks = append(res.Acks, ack)
	}
	return res, nil
}
