package grpc

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// came is what a look for the next message gave.
type came int

const (
	aMessage came = iota
	noMore        // the stream has ended: see recvErr
	tooLate
)

// next gives the next message. What came at the last moment came.
func (s *stream) next(timer <-chan time.Time) ([]byte, came) {
	select {
	case message, ok := <-s.inbox:
		return message, open(ok)
	default:
	}
	select {
	case message, ok := <-s.inbox:
		return message, open(ok)
	case <-timer:
	}
	select {
	case message, ok := <-s.inbox:
		return message, open(ok)
	default:
		return nil, tooLate
	}
}

func open(ok bool) came {
	if ok {
		return aMessage
	}
	return noMore
}

// take judges a message, and keeps it where it is to be kept.
func (s *stream) take(data []byte) (json.RawMessage, error) {
	number := s.out.Seen
	s.out.Seen++
	text, err := s.decode(s.method.Output(), data)
	if err != nil {
		return nil, err
	}
	differences, _, err := s.where.judge(text)
	if err != nil {
		return nil, plugin.Definitionf("where", "cannot be compared: %s", err)
	}
	if differences == 0 {
		s.keep(text)
	}
	if s.until != nil && s.over == "" {
		differences, miss, err := s.until.judge(text)
		switch {
		case err != nil:
			return nil, plugin.Definitionf("until", "cannot be compared: %s", err)
		case differences == 0:
			s.over = "until"
		default:
			s.nearest.take(number, differences, text, miss)
		}
	}
	if s.over == "" && s.in.MaxReceive > 0 && s.out.Count >= s.in.MaxReceive {
		s.over = "max_receive"
	}
	return text, nil
}

// count takes a message of which nobody will see more than that it came.
func (s *stream) count() {
	s.out.Seen++
	s.out.Count++
	if s.in.MaxReceive > 0 && s.out.Count >= s.in.MaxReceive {
		s.over = "max_receive"
	}
}

// unseen tells whether nothing of a message will be looked at.
func (s *stream) unseen() bool { return s.full && s.where == nil && s.until == nil }

func (s *stream) keep(text json.RawMessage) {
	s.out.Count++
	if s.full = s.full || len(s.out.Messages) >= maxKept || s.size+len(text) > maxKeptBytes; s.full {
		s.call.Limited(fmt.Sprintf("messages over %d, or %d MiB", maxKept, maxKeptBytes>>20))
		return
	}
	s.size += len(text)
	s.out.Messages = append(s.out.Messages, text)
}

// expect waits for what a line of the script wants.
func (s *stream) expect(a action) error {
	timer := time.NewTimer(a.line.Expect.Within)
	defer timer.Stop()
	found, looked := 0, 0
	var nearest near
	for found < a.line.Expect.Count {
		data, what := s.next(timer.C)
		wanted := fmt.Sprintf("%s.expect: %d of the %d that are wanted came", a.at, found, a.line.Expect.Count)
		switch what {
		case tooLate:
			return nearest.on(plugin.Failf("%s within %s, and %s that %s not fit", wanted, a.line.Expect.Within, messages(looked-found), do(looked-found)))
		case noMore:
			if err := s.ended(s.recvErr); err != nil {
				return err
			}
			return nearest.on(plugin.Failf("%s before %s ended the stream with %s%s", wanted, s.name(), s.out.Status.Name, because(s.out.Status)))
		}
		text, err := s.take(data)
		if err != nil {
			return err
		}
		looked++
		differences, miss, err := a.pattern.judge(text)
		switch {
		case err != nil:
			return plugin.Definitionf(a.at+".expect.where", "cannot be compared: %s", err)
		case differences == 0:
			found++
		default:
			nearest.take(s.out.Seen-1, differences, text, miss)
		}
	}
	return nil
}

// collect reads until what the step says ends it, or the server does.
func (s *stream) collect() error {
	var timer <-chan time.Time
	if s.in.Within > 0 {
		t := time.NewTimer(s.in.Within)
		defer t.Stop()
		timer = t.C
	}
	for s.over == "" {
		data, what := s.next(timer)
		switch what {
		case noMore:
			if err := s.ended(s.recvErr); err != nil || s.until == nil {
				return err
			}
			return s.nearest.on(plugin.Failf("%s ended the stream with %s%s after %s, and none matches until", s.name(), s.out.Status.Name, because(s.out.Status), messages(s.out.Seen)))
		case tooLate:
			s.stop("within")
			if s.until == nil {
				return nil
			}
			return s.nearest.on(plugin.Failf("%s came from %s within %s, and none matches until", messages(s.out.Seen), s.name(), s.in.Within))
		}
		if s.unseen() {
			s.count()
		} else if _, err := s.take(data); err != nil {
			return err
		}
	}
	s.stop(s.over)
	return nil
}
