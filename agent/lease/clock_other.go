//go:build !linux

package lease

import "time"

// sinceBoot is monotonic: a time of day that jumps does not change it.
func sinceBoot() time.Duration { return time.Since(started) }
