package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/sdk/client"
)

const (
	// checkWithin bounds one check, which may start a few plugins.
	checkWithin = 20 * time.Second
	// skewMost is how far the clock may be off: signatures are refused beyond it.
	skewMost = 30 * time.Second
)

// errSkipped is a check that another one stands in the way of.
var errSkipped = errors.New("not looked at")

// check is something that an agent needs. hint says what to do where it fails.
type check struct {
	name string
	run  func(ctx context.Context) (found string, err error)
	hint string
}

func (c *Config) doctor() *cobra.Command {
	return c.looking(&cobra.Command{
		Use: "doctor", Short: "Look for what keeps an agent from working here", Args: cobra.NoArgs,
		Long: "Look for what keeps an agent from working here: its folder, the way to the control plane (name, connection, TLS, proxy),\n" +
			"the clock, its key, the WebSocket or what stands in for it, plugins, labels. Each finding says what to do. A running agent\n" +
			"is not disturbed. It ends with 1 where something is wrong.",
		Example: "  " + c.Name + " doctor --config /etc/testmesh/agent.yaml",
	}, func(cmd *cobra.Command, _ []string, s Settings) error {
		if s.Server == "" {
			return errWhere
		}
		addresses, err := client.ReadAddresses(s.Server)
		if err != nil {
			return err
		}
		bad := 0
		for i, one := range addresses {
			s.Server = one.String()
			list := c.checks(s)
			if i > 0 { // what is not about the way there was looked at
				list = way(list)
			}
			if len(addresses) > 1 {
				fmt.Fprintf(c.Stdout, "%s\n", s.Server)
			}
			bad += c.try(cmd.Context(), list)
		}
		if bad > 0 {
			fmt.Fprintf(c.Stdout, "\n%d of these keep the agent from working\n", bad)
			return &exitError{1}
		}
		return nil
	})
}

// try looks at each, and counts what is wrong.
func (c *Config) try(ctx context.Context, list []check) (bad int) {
	for _, one := range list {
		within, cancel := context.WithTimeout(ctx, checkWithin)
		found, err := one.run(within)
		cancel()
		switch {
		case errors.Is(err, errSkipped):
			fmt.Fprintf(c.Stdout, "-  %s: %v\n", one.name, err)
		case err != nil:
			bad++
			fmt.Fprintf(c.Stdout, "✗  %s: %v\n   hint: %s\n", one.name, err, one.hint)
		default:
			fmt.Fprintf(c.Stdout, "✓  %s: %s\n", one.name, found)
		}
	}
	return bad
}

// way are the checks that differ from address to address.
func way(list []check) []check {
	return slices.DeleteFunc(list, func(c check) bool { return c.name == "folder" || c.name == "plugins" || c.name == "labels" })
}

func (c *Config) checks(s Settings) []check {
	t := &trip{settings: s, config: c}
	return []check{
		{"folder", t.folder, "give the user that the agent runs as the right to write there, or another folder (data)"},
		{"settings", t.read, "correct the setting"},
		{"name", t.name, "check the address of the control plane, and the DNS servers of this machine"},
		{"connection", t.connect, "is the control plane up? does a firewall let this machine out, or is a proxy needed (HTTPS_PROXY)?"},
		{"TLS", t.secure, "trust the authority of its certificate (ca_file), also where a proxy in between ends TLS"},
		{"control plane", t.answers, "is this the address of a control plane, and does the proxy let requests through?"},
		{"clock", t.clock, "set the clock of this machine (NTP): signatures are only taken within minutes"},
		{"key", t.key, "make a join token (testmesh agents token), and start the agent once with it"},
		{"stream", t.stream, "is this agent revoked? testmesh agents says how it is known"},
		{"plugins", t.plugins, "start the program by hand to see its words; a slim system may lack what it needs"},
		{"labels", t.labels, ""},
	}
}

// trip is one look at everything, in order: what a check found the later ones use.
type trip struct {
	settings Settings
	config   *Config
	address  *url.URL
	through  *url.URL
	date     time.Time
	asked    time.Time
	doctor   *agent.Doctor
	reached  bool
}

func (t *trip) folder(context.Context) (string, error) {
	return t.settings.Dir + " can be written", writable(t.settings.Dir)
}

func (t *trip) read(context.Context) (string, error) {
	address, err := url.Parse(t.settings.Server)
	if err != nil || address.Hostname() == "" || address.Scheme != "http" && address.Scheme != "https" {
		return "", fmt.Errorf("%q is no address of a control plane: https://mesh.example.com", t.settings.Server)
	}
	t.address = address
	if t.doctor, err = agent.Examine(agent.Config{Server: t.settings.Server, Dir: t.settings.Dir, CAFile: t.settings.CAFile, Version: t.config.Version}); err != nil {
		return "", err
	}
	if len(t.settings.Egress) == 0 {
		return "read; flows may reach every host (there are no egress rules)", nil
	}
	return fmt.Sprintf("read; %d egress rules", len(t.settings.Egress)), nil
}

// at is what is connected to: the control plane, or the proxy before it.
func (t *trip) at() (address, by string) {
	u, ports := t.address, map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	if t.through != nil {
		u, by = t.through, ", the proxy"
	}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), by
}

func (t *trip) name(ctx context.Context) (string, error) {
	if t.address == nil {
		return "", errSkipped
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.settings.Server, nil)
	if err != nil {
		return "", err
	}
	if t.through, err = http.ProxyFromEnvironment(req); err != nil {
		return "", fmt.Errorf("HTTPS_PROXY or HTTP_PROXY: %w", err)
	}
	at, by := t.at()
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		return "", err
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%s is %s", host, by, strings.Join(found, ", ")), nil
}

func (t *trip) connect(ctx context.Context) (string, error) {
	if t.address == nil {
		return "", errSkipped
	}
	at, by := t.at()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	if err != nil {
		return "", err
	}
	return at + by + " takes connections", conn.Close()
}

func (t *trip) secure(ctx context.Context) (string, error) {
	switch {
	case t.doctor == nil:
		return "", errSkipped
	case t.address.Scheme != "https":
		return "not used: the address is http", nil
	}
	state, err := t.doctor.TLS(ctx)
	if err != nil {
		return "", err
	}
	leaf := state.PeerCertificates[0]
	return fmt.Sprintf("%s, a certificate by %s until %s", tls.VersionName(state.Version), leaf.Issuer, leaf.NotAfter.Format(time.DateOnly)), nil
}

func (t *trip) answers(ctx context.Context) (string, error) {
	if t.doctor == nil {
		return "", errSkipped
	}
	t.asked = time.Now()
	status, date, err := t.doctor.Ask(ctx)
	if err != nil {
		return "", err
	}
	t.date, t.reached = date, true
	by := ""
	if t.through != nil {
		by = ", through the proxy " + t.through.Host
	}
	return fmt.Sprintf("something answers there (%s)%s", status, by), nil
}

func (t *trip) clock(context.Context) (string, error) {
	if t.date.IsZero() {
		return "", errSkipped
	}
	off := t.asked.Sub(t.date).Round(time.Second)
	if off.Abs() > skewMost {
		return "", fmt.Errorf("it is %s off the control plane's", off)
	}
	return fmt.Sprintf("within %s of the control plane's", max(off.Abs(), time.Second)), nil
}

func (t *trip) key(ctx context.Context) (string, error) {
	if !t.reached {
		return "", errSkipped
	}
	return t.doctor.Key(ctx, t.settings.Token)
}

func (t *trip) stream(ctx context.Context) (string, error) {
	if !t.reached {
		return "", errSkipped
	}
	found, err := t.doctor.Stream(ctx)
	if errors.Is(err, agent.ErrNotAsked) {
		return "", fmt.Errorf("%w: %w", errSkipped, err)
	}
	return found, err
}

func (t *trip) plugins(ctx context.Context) (string, error) {
	set, err := t.config.plugins(t.settings.Plugins)
	if err != nil {
		return "", err
	}
	var names []string
	for _, p := range set.programs {
		names = append(names, p.Name+" "+p.Version)
		if p.Dir != "" { // somebody else's is not started to look at it: its files are as the lock file says
			continue
		}
		text, err := exec.CommandContext(ctx, p.Command[0], append(slices.Clone(p.Command[1:]), "describe")...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("plugin %s does not start: %w: %s", p.Name, err, strings.TrimSpace(string(text)))
		}
	}
	for name := range set.resident {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", "), nil
}

func (t *trip) labels(context.Context) (string, error) {
	var list []string
	for name, value := range facts(t.config.Version, t.settings.Labels) {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, " ") + " (and the pins of its join token)", nil
}
