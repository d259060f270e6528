package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// Doctor looks at the way from an agent to its control plane, without being the agent.
type Doctor struct {
	agent  *Agent
	web    *http.Client
	secure *tls.Config
}

// ErrNotAsked says that the question would disturb the agent that runs.
var ErrNotAsked = errors.New("the agent runs, and is not disturbed: testmesh agent status says how it sends")

// Examine makes a Doctor for an agent with these settings. It connects to nothing.
func Examine(cfg Config) (*Doctor, error) {
	transport, err := transport(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	a, err := newCaller(cfg, transport)
	if err != nil {
		return nil, err
	}
	return &Doctor{agent: a, secure: transport.TLSClientConfig, web: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// answer is what of any answer is looked at.
type answer struct {
	status string
	code   int
	date   time.Time
	secure *tls.ConnectionState
}

func (d *Doctor) get(ctx context.Context) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.agent.nodes.Base()+"/", nil)
	if err != nil {
		return a, err
	}
	res, err := d.web.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a = answer{status: res.Status, code: res.StatusCode, secure: res.TLS}
	a.date, _ = http.ParseTime(res.Header.Get("Date")) // an answer without one says nothing of the clock
	return a, nil
}

// TLS is how connections to the control plane are secured.
func (d *Doctor) TLS(ctx context.Context) (*tls.ConnectionState, error) {
	res, err := d.get(ctx)
	switch {
	case err != nil:
		return nil, err
	case res.secure == nil:
		return nil, errors.New("the connection is not secured")
	}
	return res.secure, nil
}

// Ask asks for anything: what counts is that an answer comes, and what time it is there.
func (d *Doctor) Ask(ctx context.Context) (status string, date time.Time, err error) {
	res, err := d.get(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	if res.code >= http.StatusInternalServerError || res.code == http.StatusProxyAuthRequired {
		return "", time.Time{}, fmt.Errorf("the answer is %s", res.status)
	}
	return res.status, res.date, nil
}

// Key says whether the control plane knows the agent's key, or whether there is a token
// to join with.
func (d *Doctor) Key(ctx context.Context, token string) (string, error) {
	var me identity
	text, err := os.ReadFile(filepath.Join(d.agent.cfg.Dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(text, &me) == nil && me.AgentID == "" {
		if token == "" {
			return "", errors.New("this agent has not joined, and there is no join token")
		}
		return "it has not joined yet; there is a token, which is used at its start", nil
	}
	if err != nil {
		return "", err
	}
	if me.AgentID == "" {
		return "", fmt.Errorf("%s cannot be read", keyFile)
	}
	d.agent.signer.AgentID, d.agent.signer.Key = me.AgentID, me.Key
	// A session that never began: what is said of it says whether the key is right.
	_, err = d.agent.gateway.Renew(ctx, &apiv1.RenewRequest{Session: d.agent.signer.Session})
	if err == nil || connect.CodeOf(err) == connect.CodeUnauthenticated && strings.Contains(err.Error(), "has begun a session") {
		return fmt.Sprintf("the control plane knows it as %s (%s)", me.Name, me.AgentID), nil
	}
	return "", err
}

// Stream opens the WebSocket that events go over, where no agent runs that this would
// take the session from.
func (d *Doctor) Stream(ctx context.Context) (string, error) {
	if d.agent.signer.AgentID == "" {
		return "", fmt.Errorf("%w: it has not joined", ErrNotAsked)
	}
	lock, err := lockDir(filepath.Join(d.agent.cfg.Dir, lockFile))
	if err != nil {
		return "", ErrNotAsked
	}
	defer lock.Close()
	d.agent.cfg.Slots = 1
	if _, err := d.agent.gateway.Hello(ctx, &apiv1.HelloRequest{Session: d.agent.signer.Session, Version: d.agent.cfg.Version, Slots: 1}); err != nil {
		return "", err
	}
	address := d.agent.nodes.Base() + "/api/v1/agent/stream"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	if err := d.agent.signer.Sign(req); err != nil {
		return "", err
	}
	dialer := &websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: d.secure, HandshakeTimeout: 10 * time.Second}
	conn, res, err := dialer.DialContext(ctx, strings.Replace(address, "http", "ws", 1), req.Header)
	if res != nil {
		_ = res.Body.Close() // its status says enough
	}
	if err != nil {
		return "events will go as requests: no WebSocket can be opened (" + err.Error() + ")", nil
	}
	return "events will go over a WebSocket", conn.Close()
}
