package vrrp

import (
	"net/netip"
	"time"
)

// Snapshot is the state of an instance at one moment.
type Snapshot struct {
	State    State
	Since    time.Time // when the state was entered; zero before the first change
	Priority uint8     // the effective one, as in adverts
	Fault    string    // why the instance cannot take part, as SetFault said; empty where it can
	Mute     string    // why it is in FAULT though SetFault says that it can take part: its adverts cannot be sent
	Config   Config    // the one in force
	Peer     Peer      // the sender of the last valid advert
	Other    OtherMaster
	Counters Counters
}

// Peer is another director of the same virtual router.
type Peer struct {
	Addr     netip.Addr // invalid before the first valid advert
	Priority uint8
	Heard    time.Time     // when its last advert was taken in
	Interval time.Duration // between its adverts, as the last one says
}

// Counters count from New on. They never decrease.
type Counters struct {
	Received             uint64 // valid adverts, those of priority 0 included
	Sent                 uint64 // adverts, those of priority 0 included
	PriorityZeroReceived uint64
	PriorityZeroSent     uint64
	SendErrors           uint64 // adverts that could be sent to nobody
	BecameMaster         uint64
	ReleasedMaster       uint64
	Drops                Drops // packets that were not valid
}

// Drops is the number of dropped packets by Drop.
type Drops [numDrops]uint64

// ByName returns the counts by the names of Drop.String, zeros included.
func (d Drops) ByName() map[string]uint64 {
	byName := make(map[string]uint64, numDrops)
	for reason, n := range d {
		byName[Drop(reason).String()] = n
	}
	return byName
}

// Snapshot returns the present state. It may be called from any goroutine, also before
// and after Run.
func (v *Instance) Snapshot() Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snap
}
