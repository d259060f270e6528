package mesh

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) flows() *cobra.Command {
	f := &connection{}
	req := &apiv1.ListFlowsRequest{}
	cmd := &cobra.Command{
		Use: "flows", Short: "List the flows that a control plane has stored", Args: cobra.NoArgs,
		Example: "  testmesh flows --tag smoke\n  testmesh flows show flows/checkout.testmesh.yaml\n  testmesh flows revisions flows/checkout.testmesh.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			all, err := stored(cmd.Context(), cl, req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, all, func(w io.Writer) {
				fmt.Fprintln(w, "FILE\tFLOW\tSUITE\tTAGS\tREVISION\tPUSHED")
				for _, one := range all.GetFlows() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", flowName(one), one.GetName(), one.GetSuite(), strings.Join(one.GetTags(), ","), one.GetRevision(), ago(one.GetUpdated()))
				}
			})
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&req.Tags, "tag", "t", "", "only flows with these tags, as an expression")
	fl.StringVar(&req.Suite, "suite", "", "only flows of this suite")
	fl.StringVar(&req.Name, "name", "", "only flows with this in their name")
	cmd.AddCommand(c.showFlow(), c.revisions())
	return cmd
}

// Stored are all flows of a control plane, with the bundle that they are in.
func Stored(ctx context.Context, cl *client.Client) (*apiv1.ListFlowsResponse, error) {
	all, err := stored(ctx, cl, &apiv1.ListFlowsRequest{})
	if err != nil {
		return nil, said(err)
	}
	return all, nil
}

// stored reads all pages of a list.
func stored(ctx context.Context, cl *client.Client, req *apiv1.ListFlowsRequest) (*apiv1.ListFlowsResponse, error) {
	all := &apiv1.ListFlowsResponse{}
	req.PageSize = maxPage
	for {
		res, err := cl.Flows.ListFlows(ctx, req)
		if err != nil {
			return nil, err
		}
		if all.GetBundle() != "" && res.GetBundle() != all.GetBundle() { // somebody has pushed in between
			all, req.PageToken = &apiv1.ListFlowsResponse{}, ""
			continue
		}
		all.Flows, all.Revision, all.Bundle = append(all.Flows, res.GetFlows()...), res.GetRevision(), res.GetBundle()
		if req.PageToken = res.GetNextPageToken(); req.GetPageToken() == "" {
			return all, nil
		}
	}
}

// flowName names a flow by its file, and by its number there where it is not the first.
func flowName(f *apiv1.Flow) string {
	if f.GetIndex() == 0 {
		return f.GetFile()
	}
	return fmt.Sprintf("%s#%d", f.GetFile(), f.GetIndex()+1)
}

// flowOf reads what flowName writes.
func flowOf(text string) (file string, index int32) {
	at := strings.LastIndex(text, "#")
	if at < 0 {
		return text, 0
	}
	n, err := strconv.ParseInt(text[at+1:], 10, 32)
	if err != nil || n < 1 {
		return text, 0
	}
	return text[:at], int32(n) - 1
}
