package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// Restore says which snapshot becomes the state of which data directory.
type Restore struct {
	Dir, File string
	// SealKey is the file that opens the secrets of the snapshot; empty: the one of the
	// data directory.
	SealKey string
	// Force replaces a state that is there already.
	Force bool
}

func (c *commands) cluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "See and change the nodes of a control plane",
		Long: "See and change the nodes of a control plane. All but restore and recover ask a node that runs; those two work on\n" +
			"the data directory of one that does not.",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(c.clusterStatus(), c.clusterToken(), c.clusterJoin(), c.clusterRemove(), c.clusterTransfer(), c.clusterSnapshot(), c.clusterRestore(), c.clusterRecover())
	return cmd
}

// asks makes a command that asks a control plane.
func (c *commands) asks(cmd *cobra.Command, do func(ctx context.Context, cl *client.Client, f *connection, args []string) error) *cobra.Command {
	f := &connection{}
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := c.client(f)
		if err != nil {
			return err
		}
		return do(cmd.Context(), cl, f, args)
	}
	return cmd
}

func (c *commands) clusterStatus() *cobra.Command {
	return c.asks(&cobra.Command{Use: "status", Short: "Show the nodes: who leads, who votes, and how far each is", Args: cobra.NoArgs},
		func(ctx context.Context, cl *client.Client, f *connection, _ []string) error {
			res, err := cl.Cluster.GetCluster(ctx, &apiv1.GetClusterRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "Cluster %s, incarnation %d, entry %d", res.GetClusterId(), res.GetIncarnation(), res.GetIndex())
				if at := res.GetLastSnapshot(); at != nil {
					fmt.Fprintf(w, ", snapshot of %s", ago(at))
				}
				fmt.Fprint(w, "\n\nNODE\tROLE\tAPPLIED\tBEHIND\tHEARD\tAPI\tCLUSTER\tVERSION\n")
				newest := res.GetIndex()
				for _, m := range res.GetMembers() {
					newest = max(newest, m.GetAppliedIndex())
				}
				for _, m := range res.GetMembers() {
					printMember(w, m, newest)
				}
			})
		})
}

func printMember(w io.Writer, m *apiv1.Member, newest uint64) {
	role := "joining"
	switch {
	case m.GetLeader():
		role = "leader"
	case m.GetVoter():
		role = "voter"
	}
	if !m.GetReachable() {
		fmt.Fprintf(w, "%s\t%s, unreachable\t\t\t\t%s\t%s\t%s\n", m.GetId(), role, m.GetApiAddress(), m.GetClusterAddress(), m.GetVersion())
		return
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", m.GetId(), role, m.GetAppliedIndex(), newest-m.GetAppliedIndex(), ago(m.GetLastContact()), m.GetApiAddress(), m.GetClusterAddress(), m.GetVersion())
}

func (c *commands) clusterToken() *cobra.Command {
	ttl := time.Hour
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token with which one node joins",
		Long:  "Make a token with which one node joins: testmesh server --join ADDRESS, with the token in TESTMESH_NODE_TOKEN.",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&ttl, "ttl", ttl, "how long the token can be used")
	return c.asks(cmd, func(ctx context.Context, cl *client.Client, f *connection, _ []string) error {
		res, err := cl.Cluster.CreateNodeToken(ctx, &apiv1.CreateNodeTokenRequest{Ttl: durationpb.New(ttl)})
		if err != nil {
			return refused(err)
		}
		return c.print(f, res, func(w io.Writer) { fmt.Fprintln(w, res.GetSecret()) })
	})
}

// clusterJoin makes the token, and says the command for the machine of the new node.
func (c *commands) clusterJoin() *cobra.Command {
	return c.asks(&cobra.Command{
		Use:   "join",
		Short: "Print the command with which a new node joins",
		Long:  "Make a token and print the command that starts a new node with it, to be run on the new node's machine.",
		Args:  cobra.NoArgs,
	}, func(ctx context.Context, cl *client.Client, f *connection, _ []string) error {
		where, err := cl.Cluster.GetCluster(ctx, &apiv1.GetClusterRequest{})
		if err != nil {
			return refused(err)
		}
		res, err := cl.Cluster.CreateNodeToken(ctx, &apiv1.CreateNodeTokenRequest{})
		if err != nil {
			return refused(err)
		}
		return c.print(f, res, func(w io.Writer) {
			fmt.Fprintf(w, "# lets one node into cluster %s, within an hour\n", where.GetClusterId())
			fmt.Fprintf(w, "TESTMESH_NODE_TOKEN=%s testmesh server --data /var/lib/testmesh --addr 0.0.0.0:7070 --cluster-addr HOST:7072 --join %s\n", res.GetSecret(), leaderAPI(where))
		})
	})
}

func leaderAPI(res *apiv1.GetClusterResponse) string {
	for _, m := range res.GetMembers() {
		if m.GetLeader() {
			return m.GetApiAddress()
		}
	}
	return "https://MEMBER:7070"
}

func (c *commands) clusterRemove() *cobra.Command {
	return c.asks(&cobra.Command{Use: "remove NODE", Short: "Take a node out for good", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, cl *client.Client, f *connection, args []string) error {
			res, err := cl.Cluster.RemoveNode(ctx, &apiv1.RemoveNodeRequest{Id: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { fmt.Fprintf(w, "node %s is no member any more\n", args[0]) })
		})
}

func (c *commands) clusterTransfer() *cobra.Command {
	return c.asks(&cobra.Command{Use: "transfer [NODE]", Short: "Give the lead to a node, or to the one that is furthest", Args: cobra.MaximumNArgs(1)},
		func(ctx context.Context, cl *client.Client, f *connection, args []string) error {
			req := &apiv1.TransferLeadershipRequest{}
			if len(args) == 1 {
				req.Id = args[0]
			}
			res, err := cl.Cluster.TransferLeadership(ctx, req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { fmt.Fprintln(w, "another node leads") })
		})
}

func (c *commands) clusterSnapshot() *cobra.Command {
	return c.asks(&cobra.Command{
		Use:   "snapshot FILE",
		Short: "Write a snapshot of the state to a file",
		Long: "Write a snapshot of the state to a file: flows, runs, agents, environments, sealed secrets. It carries its own\n" +
			"checksum. Blobs (files of flows, logs, artifacts) are not in it, and neither is the key that opens the secrets:\n" +
			"seal.key of a node's data directory is kept apart from it.",
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, cl *client.Client, f *connection, args []string) error {
		size, sum, err := saveSnapshot(ctx, cl, args[0])
		if err != nil {
			return err
		}
		return c.show(f, map[string]any{"file": args[0], "bytes": size, "sha256": sum}, func(w io.Writer) {
			fmt.Fprintf(w, "%s\t%d bytes\tsha256 %s\n", args[0], size, sum)
		})
	})
}

// saveSnapshot writes a file that is whole, or none.
func saveSnapshot(ctx context.Context, cl *client.Client, file string) (size int64, sum string, err error) {
	stream, err := cl.Cluster.Snapshot(ctx, &apiv1.SnapshotRequest{})
	if err != nil {
		return 0, "", refused(err)
	}
	defer stream.Close()
	f, err := os.CreateTemp(filepath.Dir(file), ".snapshot-*")
	if err != nil {
		return 0, "", fmt.Errorf("write snapshot: %w", err)
	}
	h := sha256.New()
	for stream.Receive() {
		n, writeErr := io.MultiWriter(f, h).Write(stream.Msg().GetData())
		size += int64(n)
		if err = writeErr; err != nil {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("write snapshot: %w", err)
	} else if err = refused(stream.Err()); err == nil && size == 0 {
		err = errors.New("write snapshot: the control plane sent nothing")
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return 0, "", errors.Join(err, os.Remove(f.Name()))
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

func (c *commands) clusterRestore() *cobra.Command {
	r := Restore{}
	output := ""
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a snapshot the state of a node that does not run",
		Long: "Make a snapshot the state of a node that does not run, as a cluster of its own. It is verified as a whole before\n" +
			"anything is replaced; what was there is moved aside. Leases that agents hold end, so that nothing which they still\n" +
			"do counts: a run begins anew, or, after a step that must not be repeated, ends as errored.",
		Example: "  testmesh cluster restore monday.snapshot --data /var/lib/testmesh --seal-key seal.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.File = args[0]
			return c.offline(output, func() (string, error) { return c.Restore(cmd.Context(), r) })
		},
	}
	cmd.Flags().StringVar(&r.Dir, "data", ".testmesh/server", "data directory of the node")
	cmd.Flags().StringVar(&r.SealKey, "seal-key", "", "file that opens the secrets of the snapshot: seal.key of a node of the old cluster")
	cmd.Flags().BoolVar(&r.Force, "force", false, "replace a state that is there already; it is moved aside")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "how to print: text or json")
	return cmd
}

func (c *commands) clusterRecover() *cobra.Command {
	dir, yes, output := "", false, ""
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Go on with one node where most of the others are lost",
		Long: "Make a cluster of one node that does not run, where most of the others are lost for good. What only they had is\n" +
			"lost. Leases that agents hold end, as with restore. The other nodes must never be started with their old data:\n" +
			"they join anew, with empty data directories.",
		Example: "  testmesh cluster recover --data /var/lib/testmesh --others-are-lost",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return errors.New("two clusters of one past would give the same runs to two agents\n  hint: make sure that the other nodes are stopped for good, and say --others-are-lost")
			}
			return c.offline(output, func() (string, error) { return c.Recover(cmd.Context(), dir) })
		},
	}
	cmd.Flags().StringVar(&dir, "data", ".testmesh/server", "data directory of the node")
	cmd.Flags().BoolVar(&yes, "others-are-lost", false, "the other nodes do not run, and never will with the data that they have")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "how to print: text or json")
	return cmd
}

// offline does something with a data directory, and prints what was done.
func (c *commands) offline(output string, do func() (string, error)) error {
	f := &connection{output: output}
	if output != "text" && output != "json" {
		return fmt.Errorf("-o %q is not known\n  hint: write text or json", output)
	}
	said, err := do()
	if err != nil {
		return err
	}
	return c.show(f, map[string]any{"done": said}, func(w io.Writer) { fmt.Fprintln(w, said) })
}

// show prints a value that is no message: as JSON, or as text by a function.
func (c *commands) show(f *connection, v map[string]any, text func(w io.Writer)) error {
	if f.output == "json" {
		return json.NewEncoder(c.Stdout).Encode(v)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	text(w)
	return w.Flush()
}
