package mesh

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// keep writes reports and a run archive of what was recorded.
func (c *commands) keep(cmd *cobra.Command, cl *client.Client, reports []string, record string, b *apiv1.Batch, list []outcome) error {
	if len(reports) > 0 {
		if err := c.Report(cmd, reports, recorded(b, list)); err != nil {
			return err
		}
	}
	if record == "" {
		return nil
	}
	records := map[string][]byte{}
	for i := range list {
		one := &list[i]
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(one.run)
		if err != nil {
			return fmt.Errorf("write run %s: %w", one.run.GetId(), err)
		}
		records[one.run.GetId()] = text
		if one.events, err = earlier(cmd.Context(), cl, one); err != nil {
			return refused(err)
		}
		for _, e := range one.events {
			fill(cmd.Context(), cl, e)
		}
	}
	return c.Record(cmd, record, records, recorded(b, list))
}

// earlier puts the events of earlier attempts before those of the newest. What ended
// them was no verdict of the run.
func earlier(ctx context.Context, cl *client.Client, one *outcome) ([]*event.Event, error) {
	var all []*event.Event
	attempts := one.run.GetAttempts()
	for _, a := range attempts[:max(len(attempts)-1, 0)] {
		if a.GetStarted() == nil {
			continue
		}
		events, err := attemptEvents(ctx, cl, one.run.GetId(), a.GetNumber())
		if err != nil {
			return nil, fmt.Errorf("read the events of attempt %d: %w", a.GetNumber(), err)
		}
		for _, e := range events {
			if e.Type != event.TypeRunFinished {
				all = append(all, e)
			}
		}
	}
	return append(all, one.events...), nil
}
