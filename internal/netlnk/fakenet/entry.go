package fakenet

import (
	"slices"

	"weir/internal/netlnk"
)

// AddEntry adds a route or a rule.
func (m *Machine) AddEntry(e netlnk.Entry) (changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuses("add"); err != nil || slices.Contains(m.entries, e) {
		return false, err
	}
	m.note("add %s", e)
	m.entries = append(m.entries, e)
	return true, nil
}

// RemoveEntry removes a route or a rule.
func (m *Machine) RemoveEntry(e netlnk.Entry) (changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.entries, e)
	if err := m.refuses("remove"); err != nil || i < 0 {
		return false, err
	}
	m.note("remove %s", e)
	m.entries = slices.Delete(m.entries, i, i+1)
	return true, nil
}

// Entries are the routes and rules that there are.
func (m *Machine) Entries() []netlnk.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}
