package plain

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
)

// ID is a UUID made of names: the same names give the same one, so that readers
// find a test again. It is of version 8 (RFC 9562 section 5.8).
func ID(names ...string) string {
	sum := sha256.Sum256([]byte("testmesh\x00" + strings.Join(names, "\x00")))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// RunID is the id of what a run is a run of: a flow, its row, its environment. It
// is the same in every batch, wherever the run goes.
func RunID(started *event.Event) string {
	s := started.RunStarted
	names := []string{"run of", s.File, started.Flow, s.Environment}
	switch {
	case s.Row != nil:
		names = append(names, "row", strconv.Itoa(s.Row.Index), s.Row.Name)
	case s.Iteration > 1:
		names = append(names, "iteration", strconv.Itoa(s.Iteration))
	}
	return ID(names...)
}
