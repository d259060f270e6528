package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"

	"github.com/testmesh/testmesh/controlplane/cluster"
)

// Joining is how a node joins a cluster for the first time.
type Joining struct {
	Dir string
	// Server is the API of any member, and Token from `testmesh cluster token`.
	Server, Token, CAFile string
	// Cluster is where the other nodes reach this one, API where clients do.
	Cluster, API string
	Version      string
}

// Joined says whether a data directory is that of a node which has joined a cluster,
// or begun one.
func Joined(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, identityDir, identityDone))
	return err == nil
}

// Join gets from a member what a node needs, and keeps it in the data directory. The
// node's log comes once it runs. Tried again after an error it goes on.
func Join(ctx context.Context, j Joining) (err error) {
	if err := j.check(); err != nil {
		return err
	}
	lock, err := openDir(j.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for _, name := range []string{stateDir, raftDir} {
		if _, err := os.Stat(filepath.Join(j.Dir, name)); err == nil {
			return fmt.Errorf("%s has a state of its own already, which joining another cluster would lose\n  hint: give an empty data directory, or leave --join out", j.Dir)
		}
	}
	id, err := once(filepath.Join(j.Dir, nodeFile), newID)
	if err != nil {
		return err
	}
	key, request, err := cluster.Request(id)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Address: j.Server, CAFile: j.CAFile})
	if err != nil {
		return err
	}
	res, err := c.Cluster.JoinNode(ctx, &apiv1.JoinNodeRequest{
		Token: j.Token, NodeId: id, ClusterAddress: j.Cluster, ApiAddress: j.API, CertificateRequest: string(request), Version: j.Version,
	})
	if err != nil {
		return fmt.Errorf("join the cluster at %s: %w", j.Server, err)
	}
	return j.keep(res, key)
}

// keep writes what was given; the identity is last, so that half of it is none.
func (j *Joining) keep(res *apiv1.JoinNodeResponse, key []byte) error {
	for name, data := range map[string][]byte{
		sealFile: res.GetSealingKey(), adminSumFile: res.GetAdminSha256(), clusterFile: []byte(res.GetClusterId() + "\n"),
	} {
		if len(data) == 0 {
			continue // nobody needs a key there
		}
		if err := writeFile(filepath.Join(j.Dir, name), data); err != nil {
			return err
		}
	}
	dir := filepath.Join(j.Dir, identityDir)
	if err := cluster.Install(dir, []byte(res.GetCertificate()), key, []byte(res.GetAuthority()), []byte(res.GetAuthorityKey())); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, identityDone), []byte("1\n"))
}

func (j *Joining) check() error {
	u, err := url.Parse(j.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--join %q is no http:// or https:// address of a member", j.Server)
	}
	if j.Token == "" {
		return errors.New("a node joins with a token\n  hint: testmesh cluster token prints one; give it with --node-token or TESTMESH_NODE_TOKEN")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("joining by %s would send the cluster's keys in the clear\n  hint: give the member a certificate (--tls-cert, --tls-key), and join it by https://", j.Server)
	}
	return nil
}

// identify gives this node what it proves itself by to the others: nothing where it is
// alone.
func (n *Node) identify() (err error) {
	dir := filepath.Join(n.cfg.Dir, identityDir)
	joined := Joined(n.cfg.Dir)
	switch c := n.cfg.Cluster; {
	case c == nil && joined:
		return fmt.Errorf("%s is the data of a node of a cluster, which the others must reach\n  hint: give its --cluster-addr", n.cfg.Dir)
	case c == nil:
		return nil
	case joined:
		n.identity, err = cluster.LoadIdentity(dir)
		return err
	case !c.Bootstrap:
		return errors.New("this node is of no cluster yet\n  hint: --bootstrap begins one with it, --join ADDRESS lets it into one")
	}
	if n.identity, err = cluster.Found(dir, n.id); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, identityDone), []byte("1\n"))
}

// writeFile replaces a file: by all of it, or not.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), ignore(os.Remove(f.Name()), fs.ErrNotExist))
	}
	return nil
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
