//go:build !slim

package main

import (
	"context"
	"errors"
	"path"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/mesh"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// remote runs flows at a control plane.
func remote(ctx context.Context, s *cli.State, r cli.RemoteRun) (res cli.RemoteResult, err error) {
	c, err := clientOf(s, r)
	if err != nil {
		return res, err
	}
	src := source(r)
	var rows *apiv1.RowsFile
	if r.Select != nil {
		if err := stored(ctx, c, r, src); err != nil || len(src.GetFlows()) == 0 {
			return cli.RemoteResult{ExitCode: batch.ExitNothing}, err
		}
		if r.Data != "" { // the only file that is sent
			rows, src.Data = &apiv1.RowsFile{Name: path.Base(r.Data), Content: r.Files[r.Data]}, ""
		}
	}
	got, err := mesh.Run(ctx, mesh.Batch{Client: c, Files: r.Files, Source: src, Rows: rows, Emit: r.Emit, WithFiles: r.WithFiles, Note: r.Note})
	if err != nil {
		return res, err
	}
	res = cli.RemoteResult{BatchID: got.BatchID, Counts: got.Counts, ExitCode: exitCode(ctx, got), Reason: got.Reason}
	return res, r.Emit(mesh.Finished(got, res.ExitCode))
}

func clientOf(s *cli.State, r cli.RemoteRun) (*client.Client, error) {
	return mesh.Connect(mesh.Target{Address: r.Server, Key: r.Key, CAFile: r.CAFile}, s.LookupEnv)
}

// stored selects of what the control plane has.
func stored(ctx context.Context, c *client.Client, r cli.RemoteRun, src *apiv1.Source) error {
	flows, err := mesh.Stored(ctx, c)
	if err != nil {
		return err
	}
	src.Bundle = flows.GetBundle()
	for _, f := range flows.GetFlows() {
		if r.Select(cli.StoredFlow{File: f.GetFile(), Index: int(f.GetIndex()), Name: f.GetName(), Suite: f.GetSuite(), Tags: f.GetTags()}) {
			src.Flows = append(src.Flows, &apiv1.FlowRef{File: f.GetFile(), Index: f.GetIndex()})
		}
	}
	if len(src.GetFlows()) == 0 {
		r.Note("nothing is selected of %d stored flows", len(flows.GetFlows()))
	}
	return nil
}

// remoteEnvironment reads an environment of the control plane.
func remoteEnvironment(s *cli.State, r cli.RemoteRun, name string) (string, error) {
	c, err := clientOf(s, r)
	if err != nil {
		return "", err
	}
	return mesh.Environment(context.Background(), c, name)
}

func source(r cli.RemoteRun) *apiv1.Source {
	src := &apiv1.Source{
		Environment: r.Environment, Vars: r.Vars, Data: r.Data, Iterations: int32(r.Iterations), Repeat: int32(r.Repeat), Parallelism: int32(r.Parallel),
		KeepVariables: r.KeepVariables, StopOnFailure: r.StopOnFailure, StepTags: r.StepTags, From: r.From, To: r.To, Priority: 2, Seed: r.Seed, Trigger: r.Trigger,
	}
	if r.Delay > 0 {
		src.Delay = durationpb.New(r.Delay)
	}
	for _, f := range r.Flows {
		src.Flows = append(src.Flows, &apiv1.FlowRef{File: f.File, Index: int32(f.Index)})
	}
	if len(r.Target) > 0 {
		src.Target = &apiv1.Target{Match: map[string]*apiv1.Values{}}
		for label, values := range r.Target {
			src.Target.Match[label] = &apiv1.Values{Values: values}
		}
	}
	return src
}

// exitCode is that of `testmesh run`, by the batch's verdict.
func exitCode(ctx context.Context, r *mesh.Result) int {
	var signal *batch.SignalError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &signal):
		return signal.ExitCode
	case errors.Is(cause, batch.ErrDeadline):
		return batch.ExitDeadline
	}
	switch r.Status {
	case apiv1.BatchStatus_BATCH_STATUS_PASSED:
		return batch.ExitPassed
	case apiv1.BatchStatus_BATCH_STATUS_FAILED:
		return batch.ExitFailed
	case apiv1.BatchStatus_BATCH_STATUS_SKIPPED:
		return batch.ExitNothing
	}
	return batch.ExitErrored
}
