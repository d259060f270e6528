package mesh

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/command"
	"github.com/testmesh/testmesh/sdk/setting"
)

// Server is what `testmesh server` starts.
type Server struct {
	Dir, Address, Advertise string
	CertFile, KeyFile       string
	AdminKey                string
	Origins                 []string
	Cluster                 Cluster
	Blobs                   Blobs
	Leases                  Leases
	Retention               Retention
	// ReadyFile is written once the node listens.
	ReadyFile string
}

// Cluster is how a node is one of several; it is alone where Address is empty.
type Cluster struct {
	Address, Advertise  string
	Bootstrap           bool
	Join, Token, CAFile string
	Heartbeat, Steady   time.Duration
}

// Blobs is where files, streams and artifacts are kept.
type Blobs struct {
	URL                                        string
	AcceptLoss                                 bool
	AccessKey, SecretKey, SessionToken, CAFile string
}

// Retention says what is kept, and for how long.
type Retention struct{ HotRuns, Days int }

// Leases are the times of leases.
type Leases struct{ TTL, Grace, Renew, StartWithin, CancelGrace time.Duration }

// Ready is a node that listens.
type Ready struct {
	Node string `json:"node"`
	// API is where people and agents reach it, Cluster where other nodes do.
	API     string `json:"api"`
	Cluster string `json:"cluster,omitempty"`
	// AdminKey is the administrator's, where it was made just now.
	AdminKey string `json:"-"`
}

// ServerSettings is the table of all that a server can be told.
func ServerSettings(s *Server) *setting.Table {
	t := setting.New("TESTMESH_SERVER")
	t.String(&s.Dir, setting.Spec{Key: "data", Default: ".testmesh/server", What: "data directory; one process uses it at a time"})
	t.String(&s.Address, setting.Spec{Key: "addr", Default: "127.0.0.1:7070", What: "address to listen at; port 0 takes a free one"})
	t.String(&s.Advertise, setting.Spec{Key: "advertise", What: "address (http:// or https://) that others are told to reach this node by; else the one it listens at"})
	t.String(&s.CertFile, setting.Spec{Key: "tls.cert", What: "certificate (PEM) for people and agents, read again when its file changes; without one they are spoken to in the clear"})
	t.String(&s.KeyFile, setting.Spec{Key: "tls.key", What: "its key (PEM)"})
	t.String(&s.AdminKey, setting.Spec{Key: "admin_key", Env: "TESTMESH_ADMIN_KEY", Secret: true, What: "the administrator's key, better as a variable; else one is made at the first start"})
	t.List(&s.Origins, setting.Spec{Key: "origins", What: "pages that may call the API from a browser (https://mesh.example.com); may be repeated"})
	t.String(&s.ReadyFile, setting.Spec{Key: "ready_file", What: "file to write the node's id and addresses to (JSON) once it listens"})
	clusterSettings(t, &s.Cluster)
	b := &s.Blobs
	t.String(&b.URL, setting.Spec{Key: "blobs", Default: "dir", What: "where files, streams and artifacts are kept: dir, dir:/path or s3://bucket/prefix?endpoint=https://HOST&region=NAME"})
	t.Bool(&b.AcceptLoss, setting.Spec{Key: "accept_blob_loss", What: "several nodes, each with its own folder of blobs: what a node has is gone with its disk"})
	t.String(&b.AccessKey, setting.Spec{Key: "s3.access_key", Secret: true, What: "access key of the bucket"})
	t.String(&b.SecretKey, setting.Spec{Key: "s3.secret_key", Secret: true, What: "secret key of the bucket, better as a variable"})
	t.String(&b.SessionToken, setting.Spec{Key: "s3.session_token", Secret: true, What: "session token of the bucket, where its keys are temporary"})
	t.String(&b.CAFile, setting.Spec{Key: "s3.ca_file", What: "certificate authority (PEM) to trust beside the system's, for the bucket"})
	t.Int(&s.Retention.Days, 0, 36_500, setting.Spec{Key: "retention.days", Default: "90", What: "for how many days runs are kept, with their logs and artifacts; 0: for ever"})
	t.Int(&s.Retention.HotRuns, 1000, 10_000_000, setting.Spec{Key: "retention.hot_runs", Default: "200000", What: "how many ended runs stay in the state; older ones are read from files of the blob store"})
	l := &s.Leases
	t.Duration(&l.TTL, time.Second, setting.Spec{Key: "leases.ttl", Default: "30s", What: "how long an agent may go on without a renewal of its lease"})
	t.Duration(&l.Grace, 100*time.Millisecond, setting.Spec{Key: "leases.grace", Default: "15s", What: "how much longer the server waits before another agent has the run"})
	t.Duration(&l.Renew, 100*time.Millisecond, setting.Spec{Key: "leases.renew", Default: "10s", What: "how often agents renew; at most a third of leases.ttl"})
	t.Duration(&l.StartWithin, time.Second, setting.Spec{Key: "leases.start_within", Default: "15s", What: "how long an offer waits for its start"})
	t.Duration(&l.CancelGrace, time.Second, setting.Spec{Key: "leases.cancel_grace", Default: "2m", What: "how long a cancelled run may take for its teardown"})
	return t
}

func clusterSettings(t *setting.Table, c *Cluster) {
	t.String(&c.Address, setting.Spec{Key: "cluster.addr", What: "address to listen at for the other nodes, which makes this node one of several; port 0 takes a free one"})
	t.String(&c.Advertise, setting.Spec{Key: "cluster.advertise", What: "HOST:PORT that the other nodes reach it by; else the one it listens at"})
	t.Bool(&c.Bootstrap, setting.Spec{Key: "bootstrap", What: "begin a cluster with this node, where it is of none yet"})
	t.String(&c.Join, setting.Spec{Key: "join", What: "address (https://) of any member of the cluster to join, where this node is of none yet"})
	t.String(&c.Token, setting.Spec{Key: "node_token", Env: "TESTMESH_NODE_TOKEN", Secret: true, What: "token to join with, from testmesh cluster token"})
	t.String(&c.CAFile, setting.Spec{Key: "ca_file", What: "certificate authority (PEM) to trust beside the system's, for the member to join by"})
	t.Duration(&c.Heartbeat, 50*time.Millisecond, setting.Spec{Key: "cluster.heartbeat", Default: "500ms", What: "how long a node waits for its leader before it wants to be one; the same on all nodes"})
	t.Duration(&c.Steady, 0, setting.Spec{Key: "cluster.steady", Default: "10s", What: "how long a new node must keep up before it votes"})
}

// check refuses settings that contradict each other.
func (s *Server) check() error {
	c := s.Cluster
	switch {
	case (s.CertFile == "") != (s.KeyFile == ""):
		return errors.New("tls.cert and tls.key belong together: one of them is missing")
	case c.Bootstrap && c.Join != "":
		return errors.New("--bootstrap begins a cluster and --join lets into one: give one of them")
	case c.Address == "" && (c.Bootstrap || c.Join != ""):
		return errors.New("which address do the other nodes reach this one by?\n  hint: --cluster-addr 10.0.0.1:7072")
	case c.Address != "" && (s.Blobs.URL == "dir" || s.Blobs.URL == "" || len(s.Blobs.URL) > 4 && s.Blobs.URL[:4] == "dir:") && !s.Blobs.AcceptLoss:
		return errors.New("the nodes of a cluster keep blobs in a bucket, because a folder is gone with its node: the files of queued runs, logs and artifacts that it alone has\n" +
			"  hint: --blobs s3://BUCKET?endpoint=https://HOST, or --accept-blob-loss to take that risk")
	case s.Leases.Renew > s.Leases.TTL/3:
		return fmt.Errorf("leases.renew is %s, and may be a third of leases.ttl (%s) at most: a renewal may get lost", s.Leases.Renew, s.Leases.TTL)
	}
	return nil
}

func (c *commands) server() *cobra.Command {
	s := Server{}
	table := ServerSettings(&s)
	config, show := "", false
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node of the control plane",
		Long: "Run a node of the control plane: it stores flows and runs, gives runs to agents, and keeps what they stream. One\n" +
			"node is enough; three or five go on when one is lost (see docs/cluster.md). The first start makes the administrator's\n" +
			"key and prints it, this once; TESTMESH_KEY hands it to the other commands.\n\n" +
			"Every flag is also a variable and a key of the file that --config names: docs/server-settings.md has them all.",
		Example: "  testmesh server --data /var/lib/testmesh --addr 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem\n" +
			"  testmesh server --config /etc/testmesh/server.yaml --print-config",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(table, config, "TESTMESH_SERVER_CONFIG"); err != nil {
				return command.Lasting(err)
			}
			if show {
				return table.Print(c.Stdout)
			}
			if err := s.check(); err != nil {
				return command.Lasting(err)
			}
			ctx, cancel := c.interruptible(cmd.Context())
			defer cancel()
			return c.Serve(ctx, s, func(r Ready) { c.ready(r, s.Dir) })
		},
	}
	table.Flags(cmd.Flags())
	cmd.Flags().StringVar(&config, "config", "", "file of settings (YAML); flags and variables win over it (or TESTMESH_SERVER_CONFIG)")
	cmd.Flags().BoolVar(&show, "print-config", false, "print the settings as they are, each with where it is from, and end")
	return cmd
}

// load gives settings their values, with the file that is named.
func (c *commands) load(t *setting.Table, file, variable string) error {
	if file == "" {
		file, _ = c.LookupEnv(variable)
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

// ready says where a node is; the lines are for programs too, and so is their order.
func (c *commands) ready(r Ready, dir string) {
	fmt.Fprintf(c.Stdout, "Control plane  %s\n", r.API)
	fmt.Fprintf(c.Stdout, "Node           %s\n", r.Node)
	if r.Cluster != "" {
		fmt.Fprintf(c.Stdout, "Cluster        %s\n", r.Cluster)
	}
	_, service := c.LookupEnv("NOTIFY_SOCKET") // what it prints is kept in a log, which others may read
	switch {
	case r.AdminKey != "" && service:
		fmt.Fprintf(c.Stdout, "Administrator  the key is in %s\n", filepath.Join(dir, "admin.key"))
	case r.AdminKey != "":
		fmt.Fprintf(c.Stdout, "Administrator  %s  (keep it: it is not shown again)\n", r.AdminKey)
	}
	next := "agents"
	if r.Cluster != "" {
		next = "cluster"
	}
	fmt.Fprintf(c.Stdout, "Next           testmesh %s token --server %s\n", next, r.API)
}
