// Package client calls a control plane: the typed services, the contents that are no
// method of one, and the signatures of agents. It never reads a flow.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/proto/testmesh/api/v1/apiv1connect"
)

// Config says which control plane, and as whom.
type Config struct {
	// Address of any node, or of several with commas between: https://mesh.example.com.
	// The next one is asked where one cannot be reached.
	Address string
	// Key is sent as "Authorization: Bearer"; empty: nothing is.
	Key string
	// CAFile is a certificate authority to trust beside the system's.
	CAFile string
	// Silence is how long nothing may come while something is asked, before it ends with
	// Silent; 0: 45 s.
	Silence time.Duration
}

// Client has a client of each service. It is safe for concurrent use.
type Client struct {
	Flows        apiv1connect.FlowServiceClient
	Environments apiv1connect.EnvironmentServiceClient
	Runs         apiv1connect.RunServiceClient
	Agents       apiv1connect.AgentServiceClient
	Logs         apiv1connect.LogServiceClient
	Plugins      apiv1connect.PluginServiceClient
	Cluster      apiv1connect.ClusterServiceClient

	address string
	http    *http.Client
}

// keptConnections stay open for the next call: who makes many calls at once would open
// one after the other with the standard library's two.
const keptConnections = 64

// New makes a client; it connects to nothing yet.
func New(cfg Config) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authority: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", cfg.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	transport.MaxIdleConnsPerHost = keptConnections
	transport.DialContext = impatient(cmp.Or(cfg.Silence, silence))
	nodes, err := NewNodes(cfg.Address, false, transport)
	if err != nil {
		return nil, err
	}
	address := nodes.Base()
	h := &http.Client{Transport: bearer{cfg.Key, nodes}}
	return &Client{
		Flows: apiv1connect.NewFlowServiceClient(h, address), Environments: apiv1connect.NewEnvironmentServiceClient(h, address),
		Runs: apiv1connect.NewRunServiceClient(h, address), Agents: apiv1connect.NewAgentServiceClient(h, address),
		Logs: apiv1connect.NewLogServiceClient(h, address), Plugins: apiv1connect.NewPluginServiceClient(h, address),
		Cluster: apiv1connect.NewClusterServiceClient(h, address), address: address, http: h,
	}, nil
}

// Address is that of the control plane, without a slash at its end.
func (c *Client) Address() string { return c.address }

type bearer struct {
	key  string
	next http.RoundTripper
}

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.key != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+b.key)
	}
	return b.next.RoundTrip(req)
}

// Upload stores files, of which those that are there already are not sent, and gives
// the digest of the bundle that they are. Paths are slash-separated, below the root.
func (c *Client) Upload(ctx context.Context, files map[string][]byte) (digest string, err error) {
	req, missing := &apiv1.PutBundleRequest{}, &apiv1.MissingBlobsRequest{}
	content := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		text := hex.EncodeToString(sum[:])
		content[text] = files[name]
		req.Files = append(req.Files, &apiv1.BundleFile{Path: name, Sha256: text, Size: int64(len(files[name]))})
	}
	missing.Sha256 = slices.Sorted(maps.Keys(content))
	lacks, err := c.Flows.MissingBlobs(ctx, missing)
	if err != nil {
		return "", fmt.Errorf("ask which files are missing: %w", err)
	}
	for _, sum := range lacks.GetMissing() {
		if err := c.PutBlob(ctx, sum, content[sum]); err != nil {
			return "", err
		}
	}
	res, err := c.Flows.PutBundle(ctx, req)
	if err != nil {
		return "", fmt.Errorf("store the list of files: %w", err)
	}
	return res.GetDigest(), nil
}

// PutBlob stores a content under its sha256 (hex).
func (c *Client) PutBlob(ctx context.Context, sum string, data []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.address+"/api/v1/blobs/"+sum, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("store a file: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("store a file: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("store a file: %w", Answered(res))
	}
	return nil
}

// Answered is the error that an answer of a control plane is, with what it says of
// itself. It reads the body.
func Answered(res *http.Response) error {
	var said struct {
		Message string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said); err != nil || said.Message == "" {
		return fmt.Errorf("the control plane answered %s", res.Status) // not of ours: a proxy's page
	}
	return fmt.Errorf("the control plane answered %s: %s", res.Status, said.Message)
}

// maxBlob bounds what GetBlob reads.
const maxBlob = 256 << 20

// GetBlob reads a content by its sha256 (hex), and checks it.
func (c *Client) GetBlob(ctx context.Context, sum string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+"/api/v1/blobs/"+sum, nil)
	if err != nil {
		return nil, fmt.Errorf("read a file: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read a file: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read a file: %w", Answered(res))
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBlob))
	if err != nil {
		return nil, fmt.Errorf("read a file: %w", err)
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return nil, errors.New("read a file: what came has another sha256")
	}
	return data, nil
}
