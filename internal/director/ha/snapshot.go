package ha

import (
	"weir/internal/cluster"
	"weir/vrrp"
)

// Snapshot tells the instances as they are at the moment.
func (s *Instances) Snapshot() []cluster.Instance {
	all := make([]cluster.Instance, 0, len(s.list))
	for _, in := range s.list {
		all = append(all, in.snapshot())
	}
	return all
}

func (in *instance) snapshot() cluster.Instance {
	now := in.machine.Snapshot()
	s := cluster.Instance{
		Name: in.cfg.Name, ID: in.id, State: stateOf(now.State), Since: now.Since, Priority: int(now.Priority), Fault: now.Fault,
		Sent: now.Counters.Sent, Received: now.Counters.Received, Dropped: map[string]uint64{},
	}
	announced := in.with.VIPs.Counts(ownerOf(in.id))
	s.GratuitousARPs, s.UnsolicitedNAs = announced.GratuitousARPs, announced.UnsolicitedNAs
	for _, vip := range in.cfg.Addresses() {
		s.VIPs = append(s.VIPs, vip.Prefix)
	}
	if now.Peer.Addr.IsValid() {
		s.Peer = &cluster.Peer{Addr: now.Peer.Addr, Priority: int(now.Peer.Priority), Heard: now.Peer.Heard}
	}
	for reason, n := range now.Counters.Drops.ByName() {
		if n > 0 {
			s.Dropped[reason] = n
		}
	}
	return s
}

// stateOf is a state machine's state as a snapshot has it.
func stateOf(s vrrp.State) cluster.State {
	switch s {
	case vrrp.Backup:
		return cluster.Backup
	case vrrp.Master:
		return cluster.Master
	case vrrp.Fault:
		return cluster.Fault
	}
	return cluster.Init
}
