package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/testmesh/testmesh/agent/command"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"

	"github.com/testmesh/testmesh/flow/event"
)

// Config is what the commands work with.
type Config struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	LookupEnv      func(name string) (string, bool)
	// Password asks for what must not be shown; nil: Stdin is no terminal.
	Password func(prompt string) (string, error)
	// Root is the project of the working directory.
	Root string
	// Project compiles every flow of the project of the working directory. Its error has
	// been shown where it is about definitions.
	Project func(cmd *cobra.Command) (*Project, error)
	// Report writes the reports of some events, as `testmesh run --report` would.
	Report func(cmd *cobra.Command, reports []string, events []*event.Event) error
	// Record writes a run archive of some events. records are the runs as the API has
	// them, in JSON, by their ids.
	Record  func(cmd *cobra.Command, file string, records map[string][]byte, events []*event.Event) error
	Signals <-chan os.Signal
	// Serve runs a node until its context ends; ready is called once it listens.
	Serve func(ctx context.Context, s Server, ready func(Ready)) error
	// Restore puts a snapshot in the place of the state of a node that does not run, and
	// Recover makes a cluster of such a node alone. Both say what they did.
	Restore func(ctx context.Context, r Restore) (said string, err error)
	Recover func(ctx context.Context, dir string) (said string, err error)
	// Agent is what an agent is made of.
	Agent command.Config
}

// New are the commands that speak with a control plane, or are one.
func New(cfg Config) []*cobra.Command {
	c := &commands{Config: cfg}
	list := []*cobra.Command{
		c.login(), c.logout(), c.server(), c.cluster(), c.agent(), c.agents(), c.flows(), c.push(), c.pull(), c.status(), c.env(),
		c.runs(), c.results(), c.artifacts(), c.logs(),
	}
	for _, one := range list {
		one.GroupID = group
	}
	return list
}

// group of the commands in the list of all.
const group = "mesh"

type commands struct{ Config }

// connection are the flags of every command that asks a control plane.
type connection struct {
	server, key, caFile string
	output              string
}

func (f *connection) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.server, "server", "", "address of the control plane (or TESTMESH_SERVER, or testmesh login)")
	fl.StringVar(&f.key, "key", "", "key for it, which other users of this machine can see here (better TESTMESH_KEY, or testmesh login)")
	fl.StringVar(&f.caFile, "ca-file", "", "certificate authority to trust beside the system's")
	fl.StringVarP(&f.output, "output", "o", "text", "how to print: text or json")
}

func (c *commands) client(f *connection) (*client.Client, error) {
	if f.output != "text" && f.output != "json" {
		return nil, fmt.Errorf("-o %q is not known\n  hint: write text or json", f.output)
	}
	return Connect(Target{Address: f.server, Key: f.key, CAFile: f.caFile}, c.LookupEnv)
}

// remoteError ends a command that the control plane refused, or that could not reach it.
type remoteError struct{ err error }

func (e *remoteError) Error() string { return e.err.Error() }

// ExitCode is that of `testmesh run`.
func (e *remoteError) ExitCode() int { return 6 }

func refused(err error) error {
	if err == nil {
		return nil
	}
	return &remoteError{said(err)}
}

// note tells a person something that is no result.
func (c *commands) note(format string, args ...any) { fmt.Fprintf(c.Stderr, format+"\n", args...) }

// interruptible ends with the first signal.
func (c *commands) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if c.Signals != nil {
		go func() {
			select {
			case <-c.Signals:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// print prints a message as JSON, or as text by a function.
func (c *commands) print(f *connection, m proto.Message, text func(w io.Writer)) error {
	if f.output == "json" {
		data, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			return err
		}
		return c.json(json.RawMessage(data)) // protojson's blanks differ from one build to the next
	}
	return c.table(text)
}

// json prints a value in one line.
func (c *commands) json(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints lines whose columns are parted by tabs.
func (c *commands) table(text func(w io.Writer)) error {
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func word(name, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(name, prefix))
}

func title(r *apiv1.Run) string {
	if l := r.GetSpec().GetLabel(); l != "" {
		return r.GetSpec().GetFlow() + " [" + l + "]"
	}
	return r.GetSpec().GetFlow()
}

func took(r *apiv1.Run) string {
	if r.GetDurationMs() == 0 {
		return ""
	}
	return span(r.GetDurationMs())
}

// span is a duration of so many milliseconds; what is short keeps a digit of them.
func span(ms float64) string {
	unit := time.Millisecond
	if ms < 10 {
		unit = 100 * time.Microsecond
	}
	return time.Duration(ms * float64(time.Millisecond)).Round(unit).String()
}

func ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return time.Since(t.AsTime()).Round(time.Second).String() + " ago"
}

func pairs(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, ",")
}
