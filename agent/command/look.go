package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/probe"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// exitError ends a command that has said all there is.
type exitError struct{ code int }

func (e *exitError) Error() string { return "" }

// ExitCode is the program's.
func (e *exitError) ExitCode() int { return e.code }

// looking makes a command that reads the settings of an agent and looks at it.
func (c *Config) looking(cmd *cobra.Command, run func(cmd *cobra.Command, args []string, s Settings) error) *cobra.Command {
	s := Settings{}
	table := Table(&s)
	config := ""
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := c.load(table, config); err != nil {
			return err
		}
		return run(cmd, args, s)
	}
	table.Flags(cmd.Flags())
	cmd.Flags().StringVar(&config, "config", "", "file of settings (YAML), as the agent has it (or TESTMESH_AGENT_CONFIG)")
	return cmd
}

// localWithin bounds a question to an agent of this machine.
const localWithin = 3 * time.Second

func (c *Config) status() *cobra.Command {
	output := ""
	cmd := c.looking(&cobra.Command{
		Use: "status", Short: "Say how the agent of this machine is doing", Args: cobra.NoArgs,
		Long: "Say how the agent of this machine is doing: from its address for health where it has one (listen), else from its folder.\n" +
			"It ends with 0 where the agent runs and is ready, else with 1.",
		Example: "  " + c.Name + " status --data /var/lib/testmesh-agent\n  " + c.Name + " status --listen 127.0.0.1:9101 -o json",
	}, func(cmd *cobra.Command, _ []string, s Settings) error {
		st, running, err := agent.Look(s.Dir)
		if err != nil {
			return err
		}
		if s.Listen != "" {
			switch asked, err := ask(cmd.Context(), s.Listen); {
			case err == nil:
				st, running = asked, true
			case running:
				fmt.Fprintf(c.Stderr, "it runs, and does not answer at %s: %v\n", s.Listen, err)
			}
		}
		if err := c.print(output, st, running, s); err != nil {
			return err
		}
		if !running || s.Listen != "" && !st.Ready {
			return &exitError{1}
		}
		return nil
	})
	cmd.Flags().StringVarP(&output, "output", "o", "text", "how to print: text or json")
	return cmd
}

func ask(ctx context.Context, address string) (st agent.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, localWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return st, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return st, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return st, fmt.Errorf("it answered %s", res.Status)
	}
	return st, json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&st)
}

func (c *Config) print(output string, st agent.Status, running bool, s Settings) error {
	switch output {
	case "json":
		return json.NewEncoder(c.Stdout).Encode(struct {
			agent.Status
			Running bool `json:"running"`
		}{st, running})
	case "text":
	default:
		return fmt.Errorf("-o %q is not known\n  hint: write text or json", output)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	line := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	state := "not running"
	switch {
	case running && st.Draining:
		state = "draining"
	case running && st.Paused:
		state = "paused by the control plane"
	case running && st.Ready:
		state = "ready"
	case running && s.Listen == "":
		state = "running"
	case running:
		state = "running, and not ready"
	}
	line("State", state)
	if st.AgentID == "" {
		line("Agent", "has not joined yet")
	} else {
		line("Agent", st.Name+"  "+st.AgentID)
		line("Server", st.Server)
	}
	if st.Trouble != "" {
		line("Trouble", st.Trouble)
	}
	line("Runs", fmt.Sprintf("%d  %s", len(st.Runs), strings.Join(st.Runs, " ")))
	line("Spool", fmt.Sprintf("%d bytes not acknowledged", st.SpoolBytes))
	if !st.Answered.IsZero() {
		line("Answered", time.Since(st.Answered).Round(time.Second).String()+" ago, events by "+st.Stream)
	}
	return w.Flush()
}

func (c *Config) probe() *cobra.Command {
	return c.looking(&cobra.Command{
		Use: "probe TARGET", Short: "See whether a host can be reached from this machine", Args: cobra.ExactArgs(1),
		Long: "See whether a host can be reached from this machine, as a step of a flow would: through the agent's egress rules. TARGET is\n" +
			"HOST:PORT, or an http, https, tcp or grpc URL. It ends with 0 where something answers, else with 1.",
		Example: "  " + c.Name + " probe db.internal:5432\n  " + c.Name + " probe https://orders.internal/health --config /etc/testmesh/agent.yaml",
	}, func(cmd *cobra.Command, args []string, s Settings) error {
		rules, err := plugin.NewEgress(s.Egress)
		if err != nil {
			return err
		}
		target := args[0]
		if !strings.Contains(target, "://") {
			if _, _, err := net.SplitHostPort(target); err != nil {
				return fmt.Errorf("HOST:PORT or a URL is wanted, and %q is neither", target)
			}
			target = "tcp://" + target
		}
		c.resolve(cmd.Context(), target)
		began := time.Now()
		err = probe.Within(rules).Probe(cmd.Context(), target)
		took := time.Since(began).Round(time.Millisecond)
		var refused *plugin.Error
		switch {
		case errors.As(err, &refused) && refused.Code == plugin.CodeEgress:
			fmt.Fprintf(c.Stdout, "refused  %s\n", refused.Message)
			return &exitError{1}
		case err != nil:
			fmt.Fprintf(c.Stdout, "no answer  after %s: %v\n", took, err)
			return &exitError{1}
		}
		fmt.Fprintf(c.Stdout, "answered  in %s\n", took)
		return nil
	})
}

// resolve says which addresses a name has here.
func (c *Config) resolve(ctx context.Context, target string) {
	_, rest, _ := strings.Cut(target, "://")
	rest, _, _ = strings.Cut(rest, "/")
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		host = rest
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		fmt.Fprintf(c.Stdout, "%s does not resolve: %v\n", host, err)
		return
	}
	var list []string
	for _, a := range found {
		list = append(list, a.Unmap().String())
	}
	fmt.Fprintf(c.Stdout, "%s is %s\n", host, strings.Join(list, ", "))
}

// writable says whether the agent's folder can be written.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, "doctor.tmp")
	return errors.Join(os.WriteFile(name, []byte("doctor"), 0o600), os.Remove(name))
}
