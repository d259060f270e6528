package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot counts also while the machine is suspended, which the clock of package time
// does not: a lease goes on ending while its agent sleeps.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(started)
	}
	return time.Duration(t.Nano())
}
