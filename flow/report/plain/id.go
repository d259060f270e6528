package plain

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// ID is a UUID made of names: the same names give the same one, so that readers
// find a test again. It is of version 8 (RFC 9562 section 5.8).
func ID(names ...string) string {
	sum := sha256.Sum256([]byte("testmesh\x00" + strings.Join(names, "\x00")))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
