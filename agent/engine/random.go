package engine

import "hash/fnv"

// random is a stream of bits that depends on the seed and the place it is used
// at, never on what runs beside it.
type random struct {
	run   *run
	key   []string
	try   int
	state uint64
	ready bool
}

// Uint64 gives 64 bits (splitmix64).
func (r *random) Uint64() uint64 {
	if !r.ready {
		h := fnv.New64a()
		for _, k := range r.key {
			_, _ = h.Write([]byte(k))
			_, _ = h.Write([]byte{0})
		}
		_, _ = h.Write([]byte{byte(r.try), byte(r.try >> 8)})
		r.state = h.Sum64() ^ uint64(r.run.seed())*0x9E3779B97F4A7C15
		r.ready = true
	}
	r.state += 0x9E3779B97F4A7C15
	z := r.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// unit gives a number from 0 up to 1.
func (r *random) unit() float64 { return float64(r.Uint64()>>11) / (1 << 53) }
