package store

// Waiting is how many reads wait for others to end.
func (s *Store) Waiting() int {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	return len(s.reads.waiting)
}
