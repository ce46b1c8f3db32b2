package ha

import (
	"cmp"
	"net/netip"

	"weir/conf"
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
		Name: in.cfg.Name, ID: in.id, State: stateOf(now.State), Since: now.Since, Priority: int(now.Priority), Fault: cmp.Or(now.Fault, now.Mute),
		Sent: now.Counters.Sent, Received: now.Counters.Received, Dropped: map[string]uint64{},
	}
	s.Version, s.Authentication = int(in.cfg.Version), string(in.cfg.Auth.Type)
	if len(in.cfg.HMAC.Keys) > 0 {
		s.Authentication = "auth_hmac"
	}
	s.UnicastPeers = in.cfg.UnicastPeers()
	announced := in.with.VIPs.Counts(ownerOf(in.id))
	s.GratuitousARPs, s.UnsolicitedNAs = announced.GratuitousARPs, announced.UnsolicitedNAs
	for _, vip := range in.cfg.Addresses() {
		s.VIPs = append(s.VIPs, vip.Prefix)
	}
	if now.Peer.Addr.IsValid() {
		s.Peer = &cluster.Peer{Addr: now.Peer.Addr, Priority: int(now.Peer.Priority), Heard: now.Peer.Heard}
	}
	if o := now.Other; o.Addr.IsValid() {
		s.Other = &cluster.OtherMaster{Addr: o.Addr, Priority: int(o.Priority), Since: o.Since, Adverts: o.Adverts}
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

// Standing is how an instance stands on a machine: from where it speaks, or why it cannot.
type Standing struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	VRID      uint8  `json:"vrid"`
	// Index is the interface's number, and Source the address that advertisements come
	// from. Both are empty in fault.
	Index  int        `json:"index,omitempty"`
	Source netip.Addr `json:"source,omitzero"`
	Fault  string     `json:"fault,omitempty"`
	// VIPs are its addresses, each with its device.
	VIPs []string `json:"vips"`
}

// Standing is that of an instance which speaks by this binding.
func (b Binding) Standing(c conf.VRRPInstance) Standing {
	s := standing(c, b.Fault)
	if b.Fault == "" {
		s.Index, s.Source = b.Index, b.Source
	}
	return s
}

// Standings are those of the instances of these configurations, which are in force, as they
// are at the moment.
func (s *Instances) Standings(cfgs []conf.VRRPInstance) []Standing {
	all := make([]Standing, 0, len(s.list))
	for _, c := range cfgs {
		in := s.find(ID(c))
		now := standing(in.file, in.machine.Snapshot().Fault)
		if now.Fault == "" {
			now.Index, now.Source = in.device, in.linked.Source
		}
		all = append(all, now)
	}
	return all
}

func standing(c conf.VRRPInstance, fault string) Standing {
	s := Standing{Name: c.Name, Interface: c.Interface, VRID: c.VRID, Fault: fault}
	for _, w := range Wanted([]conf.VRRPInstance{c}) {
		for _, a := range w.Addresses {
			s.VIPs = append(s.VIPs, a.String())
		}
	}
	return s
}
