package mesh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func (c *commands) env() *cobra.Command {
	cmd := &cobra.Command{
		Use: "env", Short: "Keep environments, with their secrets, at the control plane", Args: cobra.NoArgs,
		Long: "Keep environments at the control plane, for testmesh run --remote --env NAME: files as environments/NAME.yaml\n" +
			"has them, and secrets, which are sealed there, go to the agent of a run when it starts, and are never shown again.",
		Example: "  testmesh env put staging environments/staging.yaml --secret PASSWORD < password.txt\n" +
			"  testmesh env list",
	}
	cmd.AddCommand(c.listEnvironments(), c.showEnvironment(), c.putEnvironment(), c.deleteEnvironment())
	return cmd
}

// Environment is the text of an environment of a control plane.
func Environment(ctx context.Context, cl *client.Client, name string) (string, error) {
	res, err := cl.Environments.GetEnvironment(ctx, &apiv1.GetEnvironmentRequest{Name: name})
	if err != nil {
		return "", said(err)
	}
	return res.GetEnvironment().GetText(), nil
}

func (c *commands) listEnvironments() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "list", Short: "List environments", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Environments.ListEnvironments(cmd.Context(), &apiv1.ListEnvironmentsRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "NAME\tREVISION\tSECRETS\tCHANGED")
				for _, e := range res.GetEnvironments() {
					fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", e.GetName(), e.GetRevision(), strings.Join(e.GetSecrets(), ","), ago(e.GetUpdated()))
				}
			})
		},
	}
	f.flags(cmd)
	return cmd
}

func (c *commands) showEnvironment() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Print an environment; of its secrets, the names", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Environments.GetEnvironment(cmd.Context(), &apiv1.GetEnvironmentRequest{Name: args[0]})
			if err != nil {
				return refused(err)
			}
			if f.output == "json" {
				return c.print(f, res, nil)
			}
			e := res.GetEnvironment()
			text := strings.TrimSuffix(e.GetText(), "\n")
			if text != "" {
				text += "\n"
			}
			_, err = fmt.Fprintf(c.Stdout, "%s# revision %d; secrets: %s\n", text, e.GetRevision(), strings.Join(append(e.GetSecrets(), ""), " "))
			return err
		},
	}
	f.flags(cmd)
	return cmd
}

func (c *commands) putEnvironment() *cobra.Command {
	f := &connection{}
	var secrets, forget []string
	var base int64
	cmd := &cobra.Command{
		Use:   "put NAME [FILE]",
		Short: "Store an environment and its secrets",
		Long: "Store an environment of a file, which is written as environments/NAME.yaml is; without a file its text stays.\n" +
			"The value of each --secret is that of the variable TESTMESH_SECRET_NAME, else a line of stdin, in their order;\n" +
			"a terminal asks for it. Never is it an argument, which other users of the machine can see.",
		Example: "  testmesh env put staging environments/staging.yaml --secret PASSWORD < password.txt",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req := &apiv1.PutEnvironmentRequest{Name: args[0], Base: base, Secrets: map[string]string{}}
			if len(args) == 2 {
				text, err := os.ReadFile(args[1])
				if err != nil {
					return fmt.Errorf("read the environment: %w", err)
				}
				req.Text = string(text)
			}
			if err := c.values(req.GetSecrets(), secrets); err != nil {
				return err
			}
			for _, name := range forget {
				req.Secrets[name] = ""
			}
			if len(args) == 1 {
				old, err := cl.Environments.GetEnvironment(cmd.Context(), &apiv1.GetEnvironmentRequest{Name: args[0]})
				if err != nil {
					return refused(err)
				}
				req.Text = old.GetEnvironment().GetText()
				if base == 0 { // what is kept must not be an older one by the time it is written
					req.Base = old.GetEnvironment().GetRevision()
				}
			}
			res, err := cl.Environments.PutEnvironment(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				e := res.GetEnvironment()
				fmt.Fprintf(w, "%s is at revision %d, with %d secrets\n", e.GetName(), e.GetRevision(), len(e.GetSecrets()))
			})
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&secrets, "secret", nil, "a secret to seal, by its name; may be repeated")
	fl.StringArrayVar(&forget, "forget", nil, "a secret to delete; may be repeated")
	fl.Int64Var(&base, "base", 0, "refuse unless this is the revision that is stored")
	return cmd
}

// maxSecret bounds the line of a secret.
const maxSecret = 64 << 10

// values finds the values of secrets.
func (c *commands) values(into map[string]string, names []string) error {
	var in *bufio.Reader
	if c.Stdin != nil {
		in = bufio.NewReader(io.LimitReader(c.Stdin, int64(len(names))*maxSecret))
	}
	for _, name := range names {
		if v, ok := c.LookupEnv("TESTMESH_SECRET_" + name); ok {
			into[name] = v
			continue
		}
		var v string
		var err error
		switch {
		case c.Password != nil:
			v, err = c.Password("Value of " + name + ": ")
		case in != nil:
			if v, err = in.ReadString('\n'); errors.Is(err, io.EOF) {
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("read the value of %s: %w", name, err)
		}
		if v = strings.TrimRight(v, "\r\n"); v == "" {
			return fmt.Errorf("there is no value for the secret %s\n  hint: set TESTMESH_SECRET_%s, or write it to stdin", name, name)
		}
		into[name] = v
	}
	return nil
}

func (c *commands) deleteEnvironment() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete an environment with its secrets", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Environments.DeleteEnvironment(cmd.Context(), &apiv1.DeleteEnvironmentRequest{Name: args[0]})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) { fmt.Fprintf(w, "%s is deleted, with its secrets\n", args[0]) })
		},
	}
	f.flags(cmd)
	return cmd
}
