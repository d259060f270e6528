package command

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/testmesh/testmesh/sdk/client"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/setting"
)

// Settings are all that an agent can be told.
type Settings struct {
	Server, Dir, Name, Token, CAFile string
	Slots                            int
	Labels                           map[string]string
	AllowEnv, Egress                 []string
	Plugins, Listen, Stream          string
	Drain                            time.Duration
}

// How events are sent.
const (
	streamAuto = "auto"
	streamPost = "post"
)

// Table is where settings come from: flags, variables and a file.
func Table(s *Settings) *setting.Table {
	t := setting.New("TESTMESH_AGENT")
	t.String(&s.Server, setting.Spec{
		Key: "server", Env: "TESTMESH_SERVER", What: "address of the control plane, or of several of its nodes with commas between: the agent stays with one, and goes on to the next where it must",
		Check: func(value string) error { _, err := client.ReadAddresses(value); return err },
	})
	t.String(&s.Token, setting.Spec{Key: "token", Env: "TESTMESH_JOIN_TOKEN", Secret: true, What: "join token, needed once"})
	t.String(&s.Dir, setting.Spec{Key: "data", Default: ".testmesh/agent", What: "folder of the agent's key, bundles and spools; one process uses it at a time"})
	t.String(&s.Name, setting.Spec{Key: "name", What: "name that people see (default the machine's)"})
	t.String(&s.CAFile, setting.Spec{Key: "ca_file", What: "certificate authority (PEM) to trust beside the system's"})
	t.Int(&s.Slots, 1, 1000, setting.Spec{Key: "slots", Default: "4", What: "how many runs go side by side"})
	t.Map(&s.Labels, setting.Spec{Key: "label", What: "a fact that the agent reports of itself, as NAME=VALUE; may be repeated"})
	t.List(&s.AllowEnv, setting.Spec{Key: "allow_env", What: "a variable of this process that flows may read; may be repeated"})
	t.List(&s.Egress, setting.Spec{
		Key: "egress", What: "which hosts may be reached, as \"allow TARGET\" or \"deny TARGET\": the first that fits decides; the control plane cannot change it; may be repeated",
		Check: func(value string) error { _, err := plugin.NewEgress([]string{value}); return err },
	})
	t.String(&s.Plugins, setting.Spec{Key: "plugins", What: "folder with a plugins.lock and what testmesh plugin install has put beside it; without it only the built-in plugins run"})
	t.String(&s.Listen, setting.Spec{Key: "listen", What: "HOST:PORT for /healthz, /readyz, /status and /metrics; without it nothing listens", Check: address})
	t.String(&s.Stream, setting.Spec{Key: "stream", Default: streamAuto, What: "how events are sent: auto (a WebSocket, or requests where none can be opened) or post (requests only)", Check: func(value string) error {
		if value != streamAuto && value != streamPost {
			return errors.New("auto or post is wanted here")
		}
		return nil
	}})
	t.Duration(&s.Drain, 0, setting.Spec{Key: "drain", Default: "0s", What: "how long what runs may take to its end once the agent is told to end; then it is torn down, and given to others; 0s: as long as it takes"})
	return t
}

func address(value string) error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return fmt.Errorf("HOST:PORT is wanted here: %w", err)
	}
	return nil
}

// load gives settings their values, with the file that is named.
func (c *Config) load(t *setting.Table, file string) error {
	if file == "" {
		file, _ = c.LookupEnv("TESTMESH_AGENT_CONFIG")
	}
	src := setting.Sources{LookupEnv: c.LookupEnv, ReadFile: os.ReadFile}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read settings: %w", err)
		}
		src.File, src.Text = file, text
	}
	return t.Load(src)
}

// reload reads the settings again: flags as they were given, the file as it is now.
func (c *Config) reload(given *setting.Table, file string) (s Settings, err error) {
	table := Table(&s)
	if err := errors.Join(table.Flagged(given), c.load(table, file)); err != nil {
		return s, err
	}
	if s.Server == "" {
		return s, errWhere
	}
	_, err = c.plugins(s.Plugins)
	return s, err
}
