package bfd

import (
	"cmp"
	"net/netip"
	"slices"
)

// Report is a session at one moment.
type Report struct {
	Name     string
	Neighbor netip.Addr
	Status   Status
}

// Report lists the sessions by their names. Any goroutine may call it.
func (s *Speaker) Report() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Report, 0, len(s.sessions))
	for name, r := range s.sessions {
		all = append(all, Report{name, r.want.Neighbor, s.status(name).Status})
	}
	slices.SortFunc(all, func(a, b Report) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
