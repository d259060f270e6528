package mesh

import (
	"bufio"
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
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// Config is what the commands work with.
type Config struct {
	Stdout, Stderr io.Writer
	LookupEnv      func(name string) (string, bool)
	Signals        <-chan os.Signal
	// Serve runs a node until its context ends; ready is called with its address, and
	// with the administrator's key where it was made just now.
	Serve func(ctx context.Context, s Server, ready func(address, adminKey string)) error
	// Work runs an agent until its context ends, or until it is drained.
	Work func(ctx context.Context, a Agent) error
}

// Server is what `testmesh server` starts.
type Server struct {
	Dir, Address      string
	CertFile, KeyFile string
	AdminKey          string
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
	return []*cobra.Command{c.server(), c.agent(), c.agents(), c.runs(), c.logs()}
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

func (c *commands) server() *cobra.Command {
	s := Server{}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a control plane of one node",
		Long: "Run a control plane of one node: it stores flows and runs, gives runs to agents, and keeps what they stream.\n" +
			"The first start makes the administrator's key and prints it, this once; TESTMESH_KEY hands it to the other\n" +
			"commands.",
		Example: `  testmesh server --data /var/lib/testmesh --addr 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.AdminKey, _ = c.LookupEnv("TESTMESH_ADMIN_KEY")
			ctx, cancel := c.interruptible(cmd.Context())
			defer cancel()
			return c.Serve(ctx, s, func(address, key string) {
				fmt.Fprintf(c.Stdout, "Control plane  %s\n", address)
				if key != "" {
					fmt.Fprintf(c.Stdout, "Administrator  %s  (keep it: it is not shown again)\n", key)
				}
				fmt.Fprintf(c.Stdout, "Next           testmesh agents token --server %s\n", address)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&s.Dir, "data", ".testmesh/server", "data directory; one process uses it at a time")
	fl.StringVar(&s.Address, "addr", "127.0.0.1:7070", "address to listen at; port 0 takes a free one")
	fl.StringVar(&s.CertFile, "tls-cert", "", "certificate (PEM) for people and agents; without one they are spoken to in the clear")
	fl.StringVar(&s.KeyFile, "tls-key", "", "its key (PEM)")
	return cmd
}

func (c *commands) agent() *cobra.Command {
	a := Agent{}
	var labels []string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run an agent of a control plane",
		Long: "Run an agent: it connects to the control plane, takes runs that its labels fit, runs them here, and streams back\n" +
			"what happens. It needs a join token once; after that its own key, in its data directory, is what it is known by.\n" +
			"The first signal drains it: it takes nothing new and finishes what runs. The second cancels what runs; teardown\n" +
			"runs all the same.",
		Example: `  testmesh agent --server https://mesh.example.com --token tmj_… --data /var/lib/testmesh-agent`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.Token == "" {
				a.Token, _ = c.LookupEnv("TESTMESH_JOIN_TOKEN")
			}
			if a.Server == "" {
				a.Server, _ = c.LookupEnv("TESTMESH_SERVER")
			}
			if a.Server == "" {
				return errors.New("which control plane?\n  hint: --server http://127.0.0.1:7070, or TESTMESH_SERVER")
			}
			a.Labels = map[string]string{}
			for _, l := range labels {
				name, value, ok := strings.Cut(l, "=")
				if !ok {
					return fmt.Errorf("--label %q is no NAME=VALUE", l)
				}
				a.Labels[name] = value
			}
			drain := make(chan struct{})
			a.Drain = drain
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				for n := 0; ; n++ {
					select {
					case <-c.Signals:
						if n == 0 {
							fmt.Fprintln(c.Stderr, "draining: nothing new is taken, what runs is finished. Again to cancel it.")
							close(drain)
							continue
						}
						fmt.Fprintln(c.Stderr, "stopping: what runs is cancelled, and torn down")
						cancel()
						return
					case <-ctx.Done():
						return
					}
				}
			}()
			return refused(c.Work(ctx, a))
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&a.Server, "server", "", "address of the control plane (or TESTMESH_SERVER)")
	fl.StringVar(&a.Token, "token", "", "join token, needed once (or TESTMESH_JOIN_TOKEN)")
	fl.StringVar(&a.Dir, "data", ".testmesh/agent", "folder of the agent's key, bundles and spools")
	fl.StringVar(&a.Name, "name", "", "name that people see (default the machine's)")
	fl.StringVar(&a.CAFile, "ca-file", "", "certificate authority to trust beside the system's")
	fl.IntVar(&a.Slots, "slots", 4, "how many runs go side by side")
	fl.StringArrayVar(&labels, "label", nil, "a fact that the agent reports of itself, as NAME=VALUE; may be repeated")
	fl.StringArrayVar(&a.AllowEnv, "allow-env", nil, "a variable of this process that flows may read; may be repeated")
	return cmd
}

func (c *commands) agents() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "agents", Short: "List agents, let new ones join, pause, drain and revoke them", Args: cobra.NoArgs,
		Example: "  testmesh agents\n  testmesh agents token --pin env=staging\n  testmesh agents pause ID --note \"disk is being changed\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Agents.ListAgents(cmd.Context(), &apiv1.ListAgentsRequest{})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tSTATE\tRUNS\tLABELS\tSEEN")
				for _, a := range res.GetAgents() {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%s\n", a.GetId(), a.GetName(), word(a.GetState().String(), "AGENT_STATE_"), len(a.GetLeases()), a.GetSlots(), pairs(a.GetPins()), ago(a.GetSeen()))
				}
			})
		},
	}
	f.flags(cmd)
	cmd.AddCommand(c.token())
	cmd.AddCommand(
		c.setAgent("pause", apiv1.AgentChange_AGENT_CHANGE_PAUSE), c.setAgent("resume", apiv1.AgentChange_AGENT_CHANGE_RESUME),
		c.setAgent("drain", apiv1.AgentChange_AGENT_CHANGE_DRAIN), c.setAgent("revoke", apiv1.AgentChange_AGENT_CHANGE_REVOKE),
	)
	return cmd
}

func (c *commands) setAgent(name string, change apiv1.AgentChange) *cobra.Command {
	f := &connection{}
	var note string
	var length time.Duration
	about := map[string]string{
		"pause": "Give an agent no work for a while", "resume": "Give a paused agent work again",
		"drain": "Let an agent finish what it has, and end", "revoke": "Take an agent's right away, for good",
	}
	cmd := &cobra.Command{
		Use: name + " ID", Short: about[name], Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req := &apiv1.SetAgentRequest{Id: args[0], Change: change, Note: note}
			if length > 0 {
				req.Duration = durationpb.New(length)
			}
			res, err := cl.Agents.SetAgent(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%s is %s\n", res.GetAgent().GetName(), word(res.GetAgent().GetState().String(), "AGENT_STATE_"))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, for whoever looks")
	if name == "pause" {
		cmd.Flags().DurationVar(&length, "for", 0, "how long; without it until it is resumed")
	}
	return cmd
}

func (c *commands) token() *cobra.Command {
	f := &connection{}
	req := &apiv1.CreateJoinTokenRequest{}
	var pins []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "token", Short: "Make a join token for agents", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			req.Pins, req.Ttl = map[string]string{}, durationpb.New(ttl)
			for _, p := range pins {
				name, value, ok := strings.Cut(p, "=")
				if !ok {
					return fmt.Errorf("--pin %q is no NAME=VALUE", p)
				}
				req.Pins[name] = value
			}
			res, err := cl.Agents.CreateJoinToken(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", res.GetSecret())
				fmt.Fprintf(c.Stderr, "ends %s; on the agent's machine: testmesh agent --server … --token TOKEN\n", res.GetToken().GetExpires().AsTime().Local().Format(time.DateTime))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringArrayVar(&pins, "pin", nil, "a label that agents with this token have, as NAME=VALUE; may be repeated")
	cmd.Flags().StringArrayVar(&req.Reserved, "reserve", nil, "a label that runs must name for these agents to take them; may be repeated")
	cmd.Flags().Int32Var(&req.Uses, "uses", 1, "how many agents may join with it")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it can be used")
	return cmd
}

func (c *commands) runs() *cobra.Command {
	f := &connection{}
	req := &apiv1.ListRunsRequest{}
	cmd := &cobra.Command{
		Use: "runs [ID]", Short: "List runs of a control plane, or show one", Args: cobra.MaximumNArgs(1),
		Example: "  testmesh runs --tag smoke\n  testmesh runs 0198c5b2-…\n  testmesh runs cancel 0198c5b2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return c.run(cmd.Context(), cl, f, args[0])
			}
			res, err := cl.Runs.ListRuns(cmd.Context(), req)
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tFLOW\tSTATUS\tTIME\tAGENT\tCREATED")
				for _, r := range res.GetRuns() {
					agent := ""
					if n := len(r.GetAttempts()); n > 0 {
						agent = r.GetAttempts()[n-1].GetAgentName()
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.GetId(), title(r), word(r.GetStatus().String(), "RUN_STATUS_"), took(r), agent, ago(r.GetCreated()))
				}
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&req.Tags, "tag", "", "only runs of flows with these tags, as an expression")
	cmd.Flags().StringVar(&req.Flow, "flow", "", "only runs of the flow of this name")
	cmd.Flags().StringVar(&req.BatchId, "batch", "", "only runs of this batch")
	cmd.Flags().Int32Var(&req.PageSize, "limit", 50, "how many, the newest first")
	cmd.AddCommand(c.cancel())
	return cmd
}

func (c *commands) run(ctx context.Context, cl *client.Client, f *connection, id string) error {
	res, err := cl.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: id})
	if err != nil {
		return refused(err)
	}
	r := res.GetRun()
	var why *apiv1.WhyResponse
	if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED {
		if why, err = cl.Runs.Why(ctx, &apiv1.WhyRequest{RunId: id}); err != nil {
			return refused(err)
		}
	}
	return c.print(f, res, func(w io.Writer) {
		fmt.Fprintf(w, "run\t%s\nflow\t%s\nfile\t%s\nbatch\t%s\nstatus\t%s\n", r.GetId(), title(r), r.GetSpec().GetFile(), r.GetBatchId(), word(r.GetStatus().String(), "RUN_STATUS_"))
		if r.GetReason() != "" {
			fmt.Fprintf(w, "reason\t%s\n", r.GetReason())
		}
		if why != nil {
			fmt.Fprintf(w, "waits\t%s\n", why.GetReason())
			for _, a := range why.GetAgents() {
				fmt.Fprintf(w, "\t%s: %s\n", a.GetName(), strings.Join(a.GetLacks(), "; "))
			}
		}
		for _, a := range r.GetAttempts() {
			fmt.Fprintf(w, "attempt %d\t%s\t%s %s\n", a.GetNumber(), a.GetAgentName(), a.GetOutcome(), a.GetReason())
		}
		for _, s := range r.GetStepSummaries() {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", s.GetStepId(), s.GetStatus(), s.GetMessage())
		}
		for _, o := range r.GetOrphans() {
			fmt.Fprintf(w, "orphan\t%s\n", o)
		}
	})
}

func (c *commands) cancel() *cobra.Command {
	f := &connection{}
	var reason string
	cmd := &cobra.Command{
		Use: "cancel ID ...", Short: "Ask runs to end: teardown runs all the same", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			res, err := cl.Runs.Cancel(cmd.Context(), &apiv1.CancelRequest{RunIds: args, Reason: reason})
			if err != nil {
				return refused(err)
			}
			return c.print(f, res, func(w io.Writer) {
				fmt.Fprintf(w, "%d of %d asked to end; the others had ended\n", res.GetCancelled(), len(args))
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever looks")
	return cmd
}

func (c *commands) logs() *cobra.Command {
	f := &connection{}
	var follow, events bool
	cmd := &cobra.Command{
		Use: "logs RUN", Short: "Print what a run logs, from its beginning", Args: cobra.ExactArgs(1),
		Example: "  testmesh logs -f 0198c5b2-…",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			ctx, cancel := c.interruptible(cmd.Context())
			defer cancel()
			err = c.watch(ctx, cl, args[0], follow, events || f.output == "json")
			if ctx.Err() != nil {
				return nil // whoever reads has seen enough
			}
			return refused(err)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	cmd.Flags().BoolVar(&events, "events", false, "print the events as JSON Lines")
	return cmd
}

// watch prints a stream as it comes, resumed where the connection was cut.
func (c *commands) watch(ctx context.Context, cl *client.Client, run string, follow, events bool) error {
	offset := int64(0)
	var rest []byte
	for failures := 0; ; {
		s, err := cl.Runs.Watch(ctx, &apiv1.WatchRequest{RunId: run, Attempt: 0, Offset: offset, NoFollow: !follow})
		if err == nil {
			for s.Receive() {
				m := s.Msg()
				failures = 0
				if m.GetRestarted() {
					fmt.Fprintf(c.Stderr, "attempt %d begins: the agent of the one before was lost\n", m.GetAttempt())
					rest = nil
				}
				offset = m.GetOffset() + int64(len(m.GetData()))
				rest = c.lines(append(rest, m.GetData()...), events)
				if m.GetRun() != nil {
					return errors.Join(s.Err(), s.Close())
				}
			}
			err = errors.Join(s.Err(), s.Close())
		}
		if failures++; failures > 20 || ctx.Err() != nil || err == nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// lines prints the whole lines of a text, and gives what is left.
func (c *commands) lines(text []byte, events bool) (rest []byte) {
	out := bufio.NewWriter(c.Stdout)
	defer func() { _ = out.Flush() }() // a reader that has gone ends the next write too
	for {
		line, more, whole := strings.Cut(string(text), "\n")
		if !whole {
			return text
		}
		text = []byte(more)
		if events {
			fmt.Fprintln(out, line)
			continue
		}
		if e, err := event.Decode([]byte(line)); err == nil {
			show(out, e)
		} else if strings.Contains(line, `"stream.cut"`) {
			fmt.Fprintf(out, "… a part is missing here: %s\n", line)
		}
	}
}

// show prints an event as a line of a log.
func show(w io.Writer, e *event.Event) {
	at := e.Time.Local().Format("15:04:05.000")
	switch e.Type {
	case event.TypeRunStarted:
		fmt.Fprintf(w, "%s  run started  %s\n", at, e.Flow)
	case event.TypeStepLog:
		fmt.Fprintf(w, "%s  %s  %s  %s\n", at, e.Step.ID, e.Log.Level, e.Log.Message)
	case event.TypeStepFinished:
		fmt.Fprintf(w, "%s  %s  %s  %s\n", at, e.Step.ID, e.StepFinished.Status, reason(e.StepFinished))
	case event.TypeRunFinished:
		fmt.Fprintf(w, "%s  run %s  %s\n", at, e.RunFinished.Status, e.RunFinished.Reason)
	}
}

func reason(f *event.StepFinished) string {
	if f.Error != nil {
		return f.Error.Message
	}
	for _, a := range f.Assertions {
		if !a.Passed {
			return a.Expression + " " + a.Message
		}
	}
	return f.Reason
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
