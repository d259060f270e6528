// Package auth knows who calls, and what each may do. It never looks at what is asked
// beyond that: whose a lease is, the state says.
package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
	"github.com/testmesh/testmesh/sdk/loopback"
)

// Kind is what somebody is.
type Kind int

// The kinds. The zero Kind is nobody.
const (
	Nobody Kind = iota
	Administrator
	Agent
	Run
)

// Identity is who calls.
type Identity struct {
	Kind Kind
	// ID of the agent or run.
	ID string
	// Session of the agent.
	Session string
}

// String is the identity as the actor of a command.
func (i Identity) String() string {
	switch i.Kind {
	case Administrator:
		return "admin"
	case Agent:
		return "agent " + i.ID
	case Run:
		return "run " + i.ID
	}
	return "nobody"
}

// may says what each kind has. What is not listed it has not: a node proves itself on
// another port.
var may = map[Kind]map[apiv1.Permission]bool{
	Administrator: {
		apiv1.Permission_PERMISSION_READ: true, apiv1.Permission_PERMISSION_RUN: true,
		apiv1.Permission_PERMISSION_ADMIN: true, apiv1.Permission_PERMISSION_OPERATE: true,
	},
	Agent: {apiv1.Permission_PERMISSION_AGENT: true},
	Run:   {apiv1.Permission_PERMISSION_LEASE: true},
}

// May says whether somebody has a permission.
func (i Identity) May(p apiv1.Permission) bool {
	return p == apiv1.Permission_PERMISSION_NONE || may[i.Kind][p]
}

type contextKey struct{}

// From is who calls; nobody where the request was not authenticated.
func From(ctx context.Context) Identity {
	i, _ := ctx.Value(contextKey{}).(Identity)
	return i
}

// With makes a context of somebody's call.
func With(ctx context.Context, i Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, i)
}

// Keys are what callers are known by.
type Keys interface {
	// AgentKey is an agent's public key, and the session that is its only one.
	AgentKey(ctx context.Context, id string) (key []byte, session string, err error)
	// RunOfToken finds the run whose lease has the token with this sha256.
	RunOfToken(ctx context.Context, sha256 []byte) (run string, err error)
	// Fresh returns once the answers above are those of the whole cluster.
	Fresh(ctx context.Context) error
}

// ErrBehind is the error of Keys that cannot say at the moment: nobody is refused for it.
var ErrBehind = errors.New("this node cannot say who calls, because it does not hear from the others: try again")

// Config says who is let in.
type Config struct {
	Keys Keys
	// AdminSHA256 is that of the administrator's key; nil: there is none.
	AdminSHA256 []byte
	// Open lets everybody be the administrator who comes from this machine, as a
	// browser or a program: for `testmesh dev`.
	Open bool
	// Copied is told of an agent that goes on in a session after another has begun: two
	// processes have its key. Nil: nobody is. It returns at once.
	Copied func(agent string)
	Now    func() time.Time
}

// Prefixes of what stands behind "Bearer ".
const (
	AdminPrefix = "tma_"
	RunPrefix   = "tmr_"
)

// Guard authenticates requests.
type Guard struct {
	cfg      Config
	nonces   nonces
	sessions sessions
}

// New makes a guard.
func New(cfg Config) *Guard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Guard{cfg: cfg, nonces: nonces{seen: map[string]time.Time{}}}
}

// Authenticate finds out who calls and hands the request on. Somebody who claims to be
// what he is not is refused here; nobody at all is not.
func (g *Guard) Authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		who, err := g.identify(req)
		if err != nil {
			code := http.StatusUnauthorized
			switch {
			case errors.Is(err, errForeign):
				code = http.StatusForbidden
			case errors.Is(err, ErrBehind):
				code, err = http.StatusServiceUnavailable, ErrBehind
			}
			refuse(w, req, code, err)
			return
		}
		next.ServeHTTP(w, req.WithContext(With(req.Context(), who)))
	})
}

// refuse answers as Connect does, which every client of the API reads.
func refuse(w http.ResponseWriter, req *http.Request, status int, err error) {
	code := connect.CodeUnauthenticated
	switch status {
	case http.StatusForbidden:
		code = connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		code = connect.CodeUnavailable
	}
	writer := connect.NewErrorWriter()
	refused := connect.NewError(code, err)
	if writer.IsSupported(req) {
		_ = writer.Write(w, req, refused) // the caller has gone
		return
	}
	w.Header().Set("Content-Type", "application/json") // as REST has it
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code.String(), "message": err.Error()}) // the caller has gone
}

var errForeign = errors.New("this address is for programs and pages of this machine")

func (g *Guard) identify(req *http.Request) (Identity, error) {
	if req.Header.Get(client.HeaderAgent) != "" {
		return g.agent(req)
	}
	if g.cfg.Open {
		if !local(req) {
			return Identity{}, errForeign
		}
	}
	token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	switch {
	case bearer && strings.HasPrefix(token, RunPrefix):
		sum := sha256.Sum256([]byte(token))
		run, err := g.cfg.Keys.RunOfToken(req.Context(), sum[:])
		if errors.Is(err, ErrBehind) {
			return Identity{}, err
		}
		if err != nil {
			return Identity{}, errors.New("the token is of no run that runs")
		}
		return Identity{Kind: Run, ID: run}, nil
	case bearer:
		sum := sha256.Sum256([]byte(token))
		if g.cfg.AdminSHA256 == nil || subtle.ConstantTimeCompare(sum[:], g.cfg.AdminSHA256) != 1 {
			return Identity{}, errors.New("the key is not known here: TESTMESH_KEY says which one is sent")
		}
		return Identity{Kind: Administrator}, nil
	case g.cfg.Open:
		return Identity{Kind: Administrator}, nil
	}
	return Identity{}, nil
}

// local: the name that was asked for, and the page that asked, are of this machine. A
// page of elsewhere cannot read what is on this one by a name that points here.
func local(req *http.Request) bool {
	if !loopback.Host(req.Host) {
		return false
	}
	origin := req.Header.Get("Origin")
	if origin == "" {
		return req.Header.Get("Sec-Fetch-Site") != "cross-site"
	}
	u, err := url.Parse(origin)
	return err == nil && loopback.Host(u.Hostname())
}

func (g *Guard) agent(req *http.Request) (Identity, error) {
	session := ""
	s, err := client.Verify(req, g.cfg.Now(), func(id string) (ed25519.PublicKey, error) {
		key, newest, err := g.cfg.Keys.AgentKey(req.Context(), id)
		if errors.Is(err, ErrBehind) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("there is no agent %s: it was never here, or its data was lost; let it join anew", id)
		}
		session = newest
		return key, nil
	})
	if err != nil {
		return Identity{}, err
	}
	if !g.nonces.fresh(s.AgentID+s.Nonce, g.cfg.Now()) {
		return Identity{}, errors.New("this request was made before")
	}
	// Only Hello comes from a session that is not the newest: it makes it so.
	if s.Session != session && !strings.HasSuffix(req.URL.Path, "/Hello") {
		// Another node may have begun it a moment ago.
		if err := g.cfg.Keys.Fresh(req.Context()); err != nil {
			return Identity{}, ErrBehind
		}
		if _, session, err = g.cfg.Keys.AgentKey(req.Context(), s.AgentID); err != nil || s.Session != session {
			if g.cfg.Copied != nil && g.sessions.was(s.AgentID, s.Session) {
				g.cfg.Copied(s.AgentID)
			}
			return Identity{}, &SessionError{}
		}
	}
	g.sessions.is(s.AgentID, s.Session)
	return Identity{Kind: Agent, ID: s.AgentID, Session: s.Session}, nil
}

// SessionError is a call of a session that is not the agent's newest.
type SessionError struct{}

func (*SessionError) Error() string {
	return "another process with this agent's key has begun a session: if that is not this agent started anew, its key was copied"
}

// nonces remembers requests for as long as their time is accepted.
type nonces struct {
	mu    sync.Mutex
	seen  map[string]time.Time
	swept time.Time
}

func (n *nonces) fresh(nonce string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.swept) > client.MaxSkew {
		for old, at := range n.seen {
			if now.Sub(at) > 2*client.MaxSkew {
				delete(n.seen, old)
			}
		}
		n.swept = now
	}
	if _, known := n.seen[nonce]; known {
		return false
	}
	n.seen[nonce] = now
	return true
}

// Rules are the permissions of every method of some services, read from the proto.
type Rules map[string]apiv1.Permission

// ReadRules reads the permissions of all services of some files. A method without one
// is an error, with which a server does not start.
func ReadRules(files ...protoreflect.FileDescriptor) (Rules, error) {
	rules := Rules{}
	var missing []string
	for _, f := range files {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				name := fmt.Sprintf("/%s/%s", s.FullName(), m.Name())
				p, _ := proto.GetExtension(m.Options(), apiv1.E_Permission).(apiv1.Permission)
				if p == apiv1.Permission_PERMISSION_UNSPECIFIED {
					missing = append(missing, name)
				}
				rules[name] = p
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("these methods declare no permission: %s", strings.Join(missing, ", "))
	}
	return rules, nil
}

// Check refuses a caller without the permission of a method.
func (r Rules) Check(ctx context.Context, procedure string) error {
	p, known := r[procedure]
	who := From(ctx)
	switch {
	case !known:
		return connect.NewError(connect.CodeUnimplemented, fmt.Errorf("there is no method %s", procedure))
	case who.May(p):
		return nil
	case who.Kind == Nobody:
		return connect.NewError(connect.CodeUnauthenticated, errors.New("a key is wanted: set TESTMESH_KEY, or send the header Authorization: Bearer KEY"))
	}
	return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s may not do this", who))
}

// Require checks the permission of an address that is no method.
func Require(p apiv1.Permission, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		switch who := From(req.Context()); {
		case who.May(p):
			next(w, req)
		case who.Kind == Nobody:
			refuse(w, req, http.StatusUnauthorized, errors.New("a key is wanted: set TESTMESH_KEY, or send the header Authorization: Bearer KEY"))
		default:
			refuse(w, req, http.StatusForbidden, fmt.Errorf("%s may not do this", who))
		}
	}
}
