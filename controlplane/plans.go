package controlplane

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// plansBytes bounds the plans of each of two generations, as they are encoded.
	plansBytes = 4 << 20
	// planBytes bounds one plan: a large one takes longer to run than to make anew.
	planBytes = 256 << 10
)

// planKey is all that a plan depends on: what is planned, with which environment, and
// what the plugins can do. What bundles hold never changes.
type planKey [sha256.Size]byte

func keyOf(workspace string, s *apiv1.Source, environment, catalog string) (key planKey, err error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil {
		return key, fmt.Errorf("encode source: %w", err)
	}
	h := sha256.New()
	for _, part := range []string{workspace, environment, catalog} {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	h.Write(raw)
	return planKey(h.Sum(nil)), nil
}

// plans remembers which runs were made of a source: a schedule, a pipeline, a loop of a
// script ask for the same ones again and again, and reading and compiling their files
// takes longer than all else that it costs to queue them. Nobody changes a plan.
type plans struct {
	mu         sync.Mutex
	young, old map[planKey][]*apiv1.Spec
	bytes      int // of young
}

func (p *plans) get(key planKey) ([]*apiv1.Spec, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if specs, ok := p.young[key]; ok {
		return specs, true
	}
	specs, ok := p.old[key]
	if ok {
		p.keep(key, specs)
	}
	return specs, ok
}

func (p *plans) put(key planKey, specs []*apiv1.Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(key, specs)
}

// keep forgets what was not asked for since the generation before.
func (p *plans) keep(key planKey, specs []*apiv1.Spec) {
	const each = 64 // of a plan or a run beside what it is encoded as
	size := each
	for _, s := range specs {
		size += each + proto.Size(s)
	}
	if size > planBytes {
		return
	}
	if p.bytes += size; p.young == nil || p.bytes > plansBytes {
		p.young, p.old, p.bytes = map[planKey][]*apiv1.Spec{}, p.young, size
	}
	p.young[key] = specs
}
