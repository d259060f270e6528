package lease

import "time"

// started is where the clock of systems begins that cannot tell how long they slept.
var started = time.Now()
