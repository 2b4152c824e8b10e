package hub

import "sync"

// pendingList holds the connections that are not registered, the one that has
// been silent longest first.
type pendingList struct {
	mu          sync.Mutex
	first, last *session
	n           int
}

type pendingLink struct {
	before, after *session
	listed        bool
}

// add lists s as the one heard last and returns how many there are.
func (l *pendingList) add(s *session) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(s)
	return l.n
}

// touch notes that s was heard.
func (l *pendingList) touch(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.pending.listed && l.last != s {
		l.unlink(s)
		l.append(s)
	}
}

// remove takes s out and reports whether it was in.
func (l *pendingList) remove(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	listed := s.pending.listed
	if listed {
		l.unlink(s)
	}
	return listed
}

// takeSilent takes out the one that has been silent longest, nil if there is none.
func (l *pendingList) takeSilent() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.first
	if s != nil {
		l.unlink(s)
	}
	return s
}

func (l *pendingList) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *pendingList) append(s *session) {
	s.pending = pendingLink{before: l.last, listed: true}
	if l.last == nil {
		l.first = s
	} else {
		l.last.pending.after = s
	}
	l.last = s
	l.n++
}

func (l *pendingList) unlink(s *session) {
	if s.pending.before == nil {
		l.first = s.pending.after
	} else {
		s.pending.before.pending.after = s.pending.after
	}
	if s.pending.after == nil {
		l.last = s.pending.before
	} else {
		s.pending.after.pending.before = s.pending.before
	}
	s.pending = pendingLink{}
	l.n--
}
