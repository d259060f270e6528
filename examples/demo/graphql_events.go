package demo

import (
	"slices"
	"sync"
)

const (
	// maxListeners bounds the subscriptions of a tenant.
	maxListeners = 1000
	// maxUnread bounds what a listener has not read; one that falls further behind
	// is let go.
	maxUnread = 1000
)

// orderEvent is an order that was placed or changed.
type orderEvent struct {
	order  order
	placed bool
}

// listeners are told of a tenant's orders.
type listeners struct {
	mu  sync.Mutex
	all []chan orderEvent
}

// listen gives what happens from now on, until stop is called. It is closed
// where the listener is too slow; nil: there are too many.
func (l *listeners) listen() (events chan orderEvent, stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= maxListeners {
		return nil, func() {}
	}
	events = make(chan orderEvent, maxUnread)
	l.all = append(l.all, events)
	return events, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(other chan orderEvent) bool { return other == events })
	}
}

// tell never waits.
func (l *listeners) tell(e orderEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(events chan orderEvent) bool {
		select {
		case events <- e:
			return false
		default:
			close(events)
			return true
		}
	})
}
