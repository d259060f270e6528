package lease

import "time"

const (
	// holdMost is how long a poll may be held; holdLeast is asked for whatever the path
	// does to it.
	holdMost  = 30 * time.Second
	holdLeast = time.Second
	// probeAfter is how many whole holds it takes until a longer one is tried again: a
	// proxy that was between is gone.
	probeAfter = 20
)

// hold is how long polls are held: as long as what lies between lets them be. A proxy
// that cuts a quiet request after 20 s makes it 15 s.
type hold struct {
	now   time.Duration
	whole int // held to the end since it last changed
}

func newHold() *hold { return &hold{now: holdMost} }

func (h *hold) length() time.Duration { return h.now }

// answered takes in how long a poll was held until its answer came.
func (h *hold) answered(after time.Duration) {
	if after < h.now*9/10 {
		return // there was work or news
	}
	if h.whole++; h.whole >= probeAfter && h.now < holdMost {
		h.now, h.whole = min(h.now*5/4, holdMost), 0
	}
}

// cut takes in how long a poll was held until the connection was lost. One that is lost
// at once says nothing of the path: nobody listens there.
func (h *hold) cut(after time.Duration) {
	if after >= holdLeast && after < h.now+h.now/10 {
		h.now, h.whole = max(min(after*3/4, h.now), holdLeast), 0
	}
}
