package mesh

import (
	"context"
	"encoding/json"
	"errors"
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

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// Config is what the commands work with.
type Config struct {
	Stdout, Stderr io.Writer
	LookupEnv      func(name string) (string, bool)
	Signals        <-chan os.Signal
	// Serve runs a node until its context ends; ready is called once it listens.
	Serve func(ctx context.Context, s Server, ready func(Ready)) error
	// Restore puts a snapshot in the place of the state of a node that does not run, and
	// Recover makes a cluster of such a node alone. Both say what they did.
	Restore func(ctx context.Context, r Restore) (said string, err error)
	Recover func(ctx context.Context, dir string) (said string, err error)
	// Work runs an agent until its context ends, or until it is drained.
	Work func(ctx context.Context, a Agent) error
}

// Agent is what `testmesh agent` starts.
type Agent struct {
	Server, Dir, Name, Token, CAFile string
	Slots                            int
	Labels                           map[string]string
	// AllowEnv are the names of the process environment that flows may read.
	AllowEnv []string
	// Drain is closed when nothing new is to be taken.
	Drain <-chan struct{}
}

// New are the commands that speak with a control plane, or are one.
func New(cfg Config) []*cobra.Command {
	c := &commands{Config: cfg}
	return []*cobra.Command{c.server(), c.cluster(), c.agent(), c.agents(), c.runs(), c.logs()}
}

type commands struct{ Config }

// connection are the flags of every command that asks a control plane.
type connection struct {
	server, caFile string
	output         string
}

func (f *connection) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.server, "server", "", "address of the control plane (or TESTMESH_SERVER); its key is TESTMESH_KEY")
	fl.StringVar(&f.caFile, "ca-file", "", "certificate authority to trust beside the system's")
	fl.StringVarP(&f.output, "output", "o", "text", "how to print: text or json")
}

func (c *commands) client(f *connection) (*client.Client, error) {
	if f.output != "text" && f.output != "json" {
		return nil, fmt.Errorf("-o %q is not known\n  hint: write text or json", f.output)
	}
	address := f.server
	if address == "" {
		address, _ = c.LookupEnv("TESTMESH_SERVER")
	}
	if address == "" {
		return nil, errors.New("which control plane?\n  hint: --server http://127.0.0.1:7070, or TESTMESH_SERVER")
	}
	key, _ := c.LookupEnv("TESTMESH_KEY")
	return client.New(client.Config{Address: address, Key: key, CAFile: f.caFile})
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
		data, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
		if err != nil {
			return err
		}
		var compact strings.Builder
		enc := json.NewEncoder(&compact) // protojson's blanks differ from one build to the next
		if err := enc.Encode(json.RawMessage(data)); err != nil {
			return err
		}
		_, err = io.WriteString(c.Stdout, compact.String())
		return err
	}
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
	return time.Duration(r.GetDurationMs() * float64(time.Millisecond)).Round(time.Millisecond).String()
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
