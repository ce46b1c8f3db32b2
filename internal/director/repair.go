package director

import "weir/internal/drift"

// The kinds of drift that the director finds itself; vip, ha and the data plane have
// their own.
const (
	driftRealServer = "real_server" // what this machine needs as one
	driftCompare    = "comparisons" // what could not be looked at
)

// Drift counts, by kind, what somebody changed of this machine's addresses and of
// its settings as a real server.
func (d *Director) Drift() map[string]drift.Count { return d.drift.Counts() }

// repair puts back what somebody changed of the addresses.
func (d *Director) repair() {
	d.instances.Repair()
	drifted, err := d.machine.Real.Repair()
	for _, what := range drifted {
		d.drift.Note(driftRealServer, what, err)
	}
	if err != nil && len(drifted) == 0 {
		d.drift.Note(driftCompare, "real server", err)
	}
	d.drift.Done()
}
