package agent

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/testmesh/testmesh/agent/stream"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// deliverWithin bounds how long the streams of lost runs are waited for before they are
// said to be lost: well below the end of their leases, so that nobody else is kept
// waiting longer than without.
const deliverWithin = 8 * time.Second

// leftovers are what an earlier process of this agent has not brought home.
type leftovers struct {
	// ended had come to their end, which was written down.
	ended []*leftover
	// cut had not: their streams are delivered as far as they go.
	cut []*stream.Spool
	// lost have no stream here.
	lost []*apiv1.Lease
}

type leftover struct {
	spool *stream.Spool
	end   *apiv1.FinishRequest
}

// sealer seals what is kept of a run's end, which may hold outputs that are secret, with
// a key made of the agent's own.
func (a *Agent) sealer() (cipher.AEAD, error) {
	sum := sha256.Sum256(append([]byte("testmesh agent: ends of runs\x00"), a.signer.Key.Seed()...))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

const endSuffix = ".end"

// keepEnd writes an end down beside its stream, before anybody is told of it.
func (a *Agent) keepEnd(end *apiv1.FinishRequest) error {
	data, err := proto.Marshal(end)
	if err != nil {
		return err
	}
	aead, err := a.sealer()
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	name := stream.Name(a.spools(), end.GetLease()) + endSuffix
	if err := os.WriteFile(name+".new", aead.Seal(nonce, nonce, data, nil), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (a *Agent) readEnd(name string) (*apiv1.FinishRequest, error) {
	sealed, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	aead, err := a.sealer()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("it is cut short")
	}
	data, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return nil, err
	}
	end := &apiv1.FinishRequest{}
	return end, proto.Unmarshal(data, end)
}

// forget removes what is kept of a run that is home.
func (a *Agent) forget(s *stream.Spool) {
	a.sender.Drop(s)
	if err := errors.Join(removed(stream.Name(a.spools(), s.Lease)+endSuffix), s.Remove()); err != nil {
		a.cfg.Logger.Warn("a spool could not be removed", "run", s.Lease.GetRunId(), "error", err)
	}
}

func removed(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// leftovers reads the folder. What can be read of it no more is lost, and removed.
func (a *Agent) leftovers() *leftovers {
	out := &leftovers{}
	var held []*apiv1.Lease
	if text, err := os.ReadFile(filepath.Join(a.cfg.Dir, leaseFile)); err == nil {
		_ = json.Unmarshal(text, &held) // half a file names nothing: those leases end by their time
	}
	files, err := filepath.Glob(filepath.Join(a.spools(), "*"))
	if err != nil {
		a.cfg.Logger.Warn("the streams of an earlier process cannot be listed", "error", err)
	}
	wanted := map[string]bool{}
	for _, name := range files {
		if !strings.HasSuffix(name, endSuffix) {
			continue
		}
		one, err := a.leftover(name)
		if err != nil {
			a.cfg.Logger.Warn("the end of a run that was written down cannot be told", "file", name, "error", err)
			continue
		}
		out.ended = append(out.ended, one)
		wanted[name], wanted[strings.TrimSuffix(name, endSuffix)] = true, true
	}
	for _, l := range held {
		name := stream.Name(a.spools(), l)
		if wanted[name] {
			continue
		}
		spool, _, err := stream.Open(a.spools(), l, a.budget)
		if err != nil {
			out.lost = append(out.lost, l)
			continue
		}
		out.cut = append(out.cut, spool)
		wanted[name] = true
	}
	for _, name := range files {
		if wanted[name] || !ours(name) {
			continue
		}
		if err := os.Remove(name); err != nil {
			a.cfg.Logger.Warn("what an earlier process left could not be removed", "error", err)
		}
	}
	return out
}

// ours: nothing else of the folder is touched.
func ours(name string) bool {
	return slices.Contains([]string{".jsonl", endSuffix, ".new"}, filepath.Ext(name))
}

// leftover opens the stream of an end, which must be the very one.
func (a *Agent) leftover(name string) (*leftover, error) {
	end, err := a.readEnd(name)
	if err != nil {
		return nil, err
	}
	spool, sum, err := stream.Open(a.spools(), end.GetLease(), a.budget)
	if err != nil {
		return nil, err
	}
	if spool.Size() != end.GetStreamBytes() || sum != end.GetStreamSha256() {
		return nil, errors.Join(fmt.Errorf("its stream is not whole: it has %d bytes of %d", spool.Size(), end.GetStreamBytes()), spool.Remove())
	}
	return &leftover{spool, end}, nil
}

// resume brings home what an earlier process has left: ends whose leases may still
// stand are kept and told; of runs that were cut off the stream is sent first, and then
// they are said to be lost.
func (a *Agent) resume(ctx context.Context, left *leftovers) error {
	for _, one := range left.ended {
		a.sender.Add(one.spool)
		a.manager.Adopt(one.end.GetLease(), func(ctx context.Context, _ <-chan struct{}) {
			telling, cancel := context.WithTimeout(ctx, reportWithin)
			defer cancel()
			a.cfg.Logger.Info("the end of a run that an earlier process ran is told", "run", one.end.GetLease().GetRunId())
			if a.tell(telling, one.spool, one.end) {
				a.forget(one.spool)
			}
		})
	}
	if len(left.cut) == 0 {
		return nil
	}
	delivering, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	var lost []*apiv1.Lease
	for _, spool := range left.cut {
		a.sender.Add(spool)
		lost = append(lost, spool.Lease)
	}
	for _, spool := range left.cut {
		if _, err := a.sender.Drained(delivering, spool); err != nil {
			a.cfg.Logger.Warn("what a run did before this agent ended could not be sent in time", "run", spool.Lease.GetRunId())
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := a.hello(ctx, lost); err != nil {
		return err
	}
	for _, spool := range left.cut {
		a.forget(spool)
	}
	return nil
}
