package redis

import (
	"context"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type xgroupIn struct {
	connecting
	Subcommand string `json:"subcommand" doc:"What to do: create or destroy a group, setid where it goes on, createconsumer or delconsumer." enum:"create|destroy|setid|createconsumer|delconsumer"`
	Stream     string `json:"stream" doc:"Name of the stream." minLength:"1"`
	Group      string `json:"group" doc:"Name of the group." minLength:"1"`
	ID         string `json:"id" doc:"Id after which the group reads: $ for what is added from now on, \"0\" for all; with create and setid." default:"$"`
	MkStream   bool   `json:"mkstream,omitempty" doc:"Whether create makes the stream where there is none."`
	IfAbsent   bool   `json:"if_absent,omitempty" doc:"Whether create takes a group that is there already, as it is."`
	Consumer   string `json:"consumer,omitempty" doc:"Name of the consumer; with createconsumer and delconsumer."`
}

type grouped struct {
	Changed bool   `json:"changed" doc:"Whether anything changed: false where the group or consumer was there already, or was not there."`
	Pending *int64 `json:"pending" doc:"How many entries the consumer had not acknowledged, with delconsumer; else null."`
}

func xgroup(ctx context.Context, call *plugin.Call, in xgroupIn) (grouped, error) {
	args, err := in.args()
	if err != nil {
		return grouped{}, err
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return grouped{}, err
	}
	a, err := p.ask(ctx, call, maxCounted, args...)
	switch {
	case err != nil:
		return grouped{}, err
	case a.refusal.kind() == "BUSYGROUP" && in.IfAbsent:
		return grouped{}, nil
	case a.refusal != "":
		return grouped{}, a.refusal.fault(p.target.address, "XGROUP")
	}
	n, counted := a.value.(int64)
	if in.Subcommand == "delconsumer" {
		return grouped{Changed: true, Pending: &n}, nil // Redis does not say whether there was one
	}
	return grouped{Changed: !counted || n > 0}, nil
}

func (in *xgroupIn) args() ([]any, error) {
	args := []any{"XGROUP", in.Subcommand, in.Stream, in.Group}
	ofConsumer := in.Subcommand == "createconsumer" || in.Subcommand == "delconsumer"
	switch {
	case ofConsumer && in.Consumer == "":
		return nil, plugin.Definitionf("consumer", "is missing: %s is about one", in.Subcommand)
	case !ofConsumer && in.Consumer != "":
		return nil, plugin.Definitionf("consumer", "says nothing to %s", in.Subcommand)
	case in.Subcommand != "create" && (in.MkStream || in.IfAbsent):
		return nil, plugin.Definitionf("subcommand", "mkstream and if_absent are for create, not for %s", in.Subcommand)
	case ofConsumer:
		return append(args, in.Consumer), nil
	case in.Subcommand == "destroy":
		return args, nil
	}
	return append(append(args, in.ID), flags(flag{"MKSTREAM", in.MkStream})...), nil
}

type xackIn struct {
	connecting
	Stream string   `json:"stream" doc:"Name of the stream." minLength:"1"`
	Group  string   `json:"group" doc:"Name of the group." minLength:"1"`
	IDs    []string `json:"ids" doc:"Ids of the entries." minItems:"1" maxItems:"10000"`
}

type acknowledged struct {
	Acknowledged int64 `json:"acknowledged" doc:"How many of them were waiting to be acknowledged."`
}

func xack(ctx context.Context, call *plugin.Call, in xackIn) (acknowledged, error) {
	args := []any{"XACK", in.Stream, in.Group}
	for _, id := range in.IDs {
		args = append(args, id)
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return acknowledged{}, err
	}
	a, err := p.must(ctx, call, maxCounted, args...)
	n, _ := a.value.(int64)
	return acknowledged{n}, err
}
