package vip

import (
	"slices"

	"weir/internal/netlnk"
)

// Entries is the kernel's table of routes and of policy rules. Changed is false where nothing
// was to be done: the entry is there, or is gone, already. A kernel that has no such methods
// has no entries.
type Entries interface {
	AddEntry(netlnk.Entry) (changed bool, err error)
	RemoveEntry(netlnk.Entry) (changed bool, err error)
}

// DriftEntry is the drift of a route or a rule that is to be here and is not.
const DriftEntry = "routes_and_rules"

// addEntries adds what goes with an owner's addresses, which are here, unless Move has said
// otherwise.
func (e *Engine) addEntries(h *holding, turn uint64) []Failure {
	e.work.Lock()
	defer e.work.Unlock()
	e.mu.Lock()
	label, list, same := h.Label, h.Entries, h.turn == turn && !h.gone
	e.mu.Unlock()
	if !same {
		return nil
	}
	return e.putEntries(label, list)
}

// removeEntries removes it, before the addresses go.
func (e *Engine) removeEntries(h *holding, turn uint64) []Failure {
	e.work.Lock()
	defer e.work.Unlock()
	e.mu.Lock()
	label, list, same := h.Label, h.Entries, h.turn == turn
	e.mu.Unlock()
	if !same {
		return nil
	}
	return e.takeEntries(label, list)
}

// putEntries and takeEntries are called with work.
func (e *Engine) putEntries(label string, list []netlnk.Entry) (failed []Failure) {
	table, ok := e.kernel.(Entries)
	if !ok {
		return nil
	}
	for _, entry := range list {
		if _, err := table.AddEntry(entry); err != nil {
			failed = append(failed, Failure{Label: label, Entry: entry, Err: err})
		}
	}
	return failed
}

// takeEntries goes backwards: a route may need another one.
func (e *Engine) takeEntries(label string, list []netlnk.Entry) (failed []Failure) {
	table, ok := e.kernel.(Entries)
	if !ok {
		return nil
	}
	for _, entry := range slices.Backward(list) {
		if _, err := table.RemoveEntry(entry); err != nil {
			failed = append(failed, Failure{Label: label, Entry: entry, Removing: true, Err: err})
		}
	}
	return failed
}

// entryChange is what Set changes of an owner that is here.
type entryChange struct {
	label    string
	put, old []netlnk.Entry
}

// compareEntries works out what Set changes of the entries of owners that are here.
func (e *Engine) compareEntries(all []Wanted) (changes []entryChange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := map[Owner]Wanted{}
	for _, w := range all {
		next[w.Owner] = w
	}
	for _, h := range e.owners {
		if h.place != Here && !h.busy {
			continue
		}
		w := next[h.Owner]
		c := entryChange{label: h.Label}
		for _, entry := range h.Entries {
			if !slices.Contains(w.Entries, entry) {
				c.old = append(c.old, entry)
			}
		}
		for _, entry := range w.Entries {
			if h.place == Here && !slices.Contains(h.Entries, entry) {
				c.put = append(c.put, entry)
			}
		}
		if len(c.old)+len(c.put) > 0 {
			changes = append(changes, c)
		}
	}
	return changes
}

// repairEntries adds an owner's entries that are missing, and lists those that it cannot add.
// It is called with work.
func (e *Engine) repairEntries(label string, list []netlnk.Entry) (missing []Failure) {
	table, ok := e.kernel.(Entries)
	if !ok {
		return nil
	}
	for _, entry := range list {
		changed, err := table.AddEntry(entry)
		if changed || err != nil {
			e.drift.Note(DriftEntry, entry.String(), err)
		}
		if err != nil {
			missing = append(missing, Failure{Label: label, Entry: entry, Err: err})
		}
	}
	return missing
}
