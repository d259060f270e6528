package auth

import "sync"

// sessions are those in which agents were let in at this node, the newest of each. One
// that is used after another has begun belongs to a process that still lives: a process
// that was started anew has ended before. Which sessions there are is the state's to
// say; this only tells a copied key from a name that nobody had.
type sessions struct {
	mu     sync.Mutex
	newest map[string]string
	before map[string]string
}

// is notes that an agent was let in.
func (s *sessions) is(agent, session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		s.newest, s.before = map[string]string{}, map[string]string{}
	}
	if old := s.newest[agent]; old != session {
		s.newest[agent], s.before[agent] = session, old
	}
}

// was says whether an agent was let in with a session that it is refused with now.
func (s *sessions) was(agent, session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return session != "" && (s.newest[agent] == session || s.before[agent] == session)
}
