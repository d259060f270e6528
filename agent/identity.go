package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// identity is what an agent has joined as.
type identity struct {
	AgentID string             `json:"agent_id"`
	Name    string             `json:"name"`
	Server  string             `json:"server"`
	Key     ed25519.PrivateKey `json:"key"`
}

// ErrNoToken says that the agent has neither a key nor a token to get one by.
var ErrNoToken = errors.New("this agent has not joined yet: give it a join token, which testmesh agents token makes")

// join reads who the agent is, or becomes somebody by the token. A token that was used
// with this very key gives the same agent, so that an answer may get lost.
func (a *Agent) join(ctx context.Context) error {
	file := filepath.Join(a.cfg.Dir, keyFile)
	var me identity
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &me); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if a.cfg.Token == "" {
			return ErrNoToken
		}
		if _, me.Key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return fmt.Errorf("make the agent's key: %w", err)
		}
	default:
		return fmt.Errorf("read %s: %w", file, err)
	}
	if me.AgentID == "" {
		if err := a.write(keyFile, me); err != nil { // before it is told to anybody
			return err
		}
		public := me.Key.Public().(ed25519.PublicKey)
		var res *apiv1.JoinResponse
		err := a.insist(ctx, func(ctx context.Context) (err error) {
			res, err = a.gateway.Join(ctx, &apiv1.JoinRequest{Token: a.cfg.Token, PublicKey: public, Name: a.cfg.Name, Version: a.cfg.Version})
			return err
		})
		if err != nil {
			return fmt.Errorf("join %s: %w", a.cfg.Server, err)
		}
		me.AgentID, me.Name, me.Server = res.GetAgentId(), res.GetName(), a.cfg.Server
		if err := a.write(keyFile, me); err != nil {
			return err
		}
	}
	a.signer.AgentID, a.signer.Key = me.AgentID, me.Key
	a.health.id.Store(&me.AgentID)
	return nil
}

// write replaces a file of the agent's folder as a whole.
func (a *Agent) write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	file := filepath.Join(a.cfg.Dir, name)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// keep remembers the leases for a process after this one.
func (a *Agent) keep(leases []*apiv1.Lease) error { return a.write(leaseFile, leases) }

// facts are what the agent reports of itself, with its plugins.
func (a *Agent) facts() map[string]string {
	facts := maps.Clone(a.cfg.Facts)
	if facts == nil {
		facts = map[string]string{}
	}
	for _, d := range a.cfg.Descriptors {
		facts["plugin."+d.GetName()] = d.GetVersion()
	}
	return facts
}

// hello begins the session, and says which leases of an earlier process are lost.
func (a *Agent) hello(ctx context.Context, lost []*apiv1.Lease) error {
	req := &apiv1.HelloRequest{Session: a.signer.Session, Version: a.cfg.Version, Slots: int32(a.cfg.Slots), Facts: a.facts(), Lost: lost}
	bodies := map[string][]byte{}
	for _, d := range a.cfg.Descriptors {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
		if err != nil {
			return fmt.Errorf("describe plugin %s: %w", d.GetName(), err)
		}
		sum := sha256.Sum256(body)
		digest := hex.EncodeToString(sum[:])
		bodies[digest] = body
		req.Descriptors = append(req.Descriptors, digest)
	}
	err := a.insist(ctx, func(ctx context.Context) error {
		res, err := a.gateway.Hello(ctx, req)
		if err != nil {
			return err
		}
		return a.describe(ctx, res.GetMissingDescriptors(), bodies)
	})
	if err != nil {
		return fmt.Errorf("greet %s: %w", a.cfg.Server, err)
	}
	return nil
}

func (a *Agent) describe(ctx context.Context, missing []string, bodies map[string][]byte) error {
	if len(missing) == 0 {
		return nil
	}
	req := &apiv1.DescribeRequest{}
	for _, digest := range missing {
		req.Descriptors = append(req.Descriptors, bodies[digest])
	}
	if _, err := a.gateway.Describe(ctx, req); err != nil {
		return fmt.Errorf("describe plugins: %w", err)
	}
	return nil
}

// Look says what the folder of an agent tells without asking the agent: who it is, what
// it has, and whether a process uses the folder.
func Look(dir string) (s Status, running bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return s, false, fmt.Errorf("there is no agent in %s", dir)
	}
	var me identity
	text, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err == nil {
		err = json.Unmarshal(text, &me)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, false, fmt.Errorf("read %s: %w", keyFile, err)
	}
	s = Status{AgentID: me.AgentID, Name: me.Name, Server: me.Server, Runs: []string{}}
	lock, err := lockDir(filepath.Join(dir, lockFile))
	if err != nil {
		running = true
	} else {
		err = lock.Close()
	}
	var held []*apiv1.Lease
	if text, err := os.ReadFile(filepath.Join(dir, leaseFile)); err == nil && json.Unmarshal(text, &held) == nil {
		for _, l := range held {
			s.Runs = append(s.Runs, l.GetRunId())
		}
	}
	spools, _ := filepath.Glob(filepath.Join(dir, "spool", "*.jsonl")) // the pattern is right
	for _, name := range spools {
		if info, err := os.Stat(name); err == nil {
			s.SpoolBytes += info.Size()
		}
	}
	if running {
		err = nil
	}
	return s, running, err
}
