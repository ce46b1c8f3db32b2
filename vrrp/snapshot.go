package vrrp

import (
	"net/netip"
	"time"
)

// Snapshot is what an instance is at one moment.
type Snapshot struct {
	State    State
	Since    time.Time // of the last change; zero before the first
	Priority uint8
	Fault    string // why it cannot take part; empty where it can
	Peer     Peer   // who sent the last valid advert
	Counters Counters
}

// Peer is another director of the same virtual router.
type Peer struct {
	Addr     netip.Addr // not valid while none was heard
	Priority uint8
	Heard    time.Time
}

// Counters count since the start.
type Counters struct {
	Received             uint64 // valid adverts
	Sent                 uint64
	PriorityZeroReceived uint64
	PriorityZeroSent     uint64
	SendErrors           uint64
	BecameMaster         uint64
	ReleasedMaster       uint64
	Drops                Drops
}

// Drops counts dropped packets by reason.
type Drops [numDrops]uint64

// ByName is the counts under the reasons' names, those of 0 included.
func (d Drops) ByName() map[string]uint64 {
	byName := make(map[string]uint64, numDrops)
	for reason, n := range d {
		byName[Drop(reason).String()] = n
	}
	return byName
}

// Snapshot may be called from any goroutine.
func (v *Instance) Snapshot() Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snap
}
