// Package blob keeps what is too large for the state: the files of bundles, event
// streams, artifacts, days of old runs; in a folder, or in a bucket of an S3 service.
// What it has acknowledged is durable there. It never looks inside.
package blob

import (
	"io/fs"
	"strings"
	"time"
)

// ErrNotFound is the error of a read of what is not there.
var ErrNotFound = fs.ErrNotExist

// MaxKey bounds a key.
const MaxKey = 300

// Valid says whether a key can be one: parts of letters, digits, `-`, `_` and `.`,
// joined by slashes, none of them dots alone.
func Valid(key string) bool {
	if key == "" || len(key) > MaxKey {
		return false
	}
	for part := range strings.SplitSeq(key, "/") {
		if strings.Trim(part, ".") == "" || strings.ContainsFunc(part, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
		}) {
			return false
		}
	}
	return true
}

// Info is what a store knows of a blob without reading it.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time // when it was last put or touched, by the store's clock
}
