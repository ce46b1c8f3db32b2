package ha

import (
	"fmt"
	"slices"
	"sync"

	"weir/conf"
	"weir/vrrp"
)

// syncGroup keeps instances in the same state (keepalived's vrrp_sync_group). A member takes
// over once all members want to; when one has become master or backup, the others follow at
// once. Faults are the loop's to spread: it gives every member one where any member has one.
//
// The members' goroutines call it, and so does the loop. It waits for nobody: what it wants
// of a member it leaves with vrrp.Instance.Follow.
type syncGroup struct {
	mu      sync.Mutex
	members []*groupMember
	state   vrrp.State // Master or Backup: what the members are, or are becoming
	fault   bool       // the loop has put all members into fault, or is about to
}

// groupMember is a member as its group sees it.
type groupMember struct {
	group   *syncGroup
	machine *vrrp.Instance
	state   vrrp.State
	// wants says that it would be master without the group (keepalived's wantstate).
	wants bool
	// following is the state that it was told to enter and has not yet; Init is none.
	following vrrp.State
}

// add makes an instance a member.
func (g *syncGroup) add(in *instance) *groupMember {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, now := in.cfg, in.machine.Snapshot().State
	m := &groupMember{group: g, machine: in.machine, state: now, wants: now == vrrp.Master}
	if now == vrrp.Init {
		m.wants = c.State == conf.Master
	}
	g.members = append(g.members, m)
	if g.state = vrrp.Backup; !slices.ContainsFunc(g.members, func(m *groupMember) bool { return m.state != vrrp.Master }) {
		g.state = vrrp.Master
	}
	return m
}

// setFault notes whether the loop has the members in fault. It is called before they are told.
func (g *syncGroup) setFault(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault == yes {
		return
	}
	g.fault, g.state = yes, vrrp.Backup
	for _, m := range g.members {
		m.wants, m.following = false, vrrp.Init
	}
}

// mayTakeOver is what a member asks whose time has come.
func (m *groupMember) mayTakeOver() bool {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	m.wants = true
	return !g.fault && (g.state == vrrp.Master || !slices.ContainsFunc(g.members, func(o *groupMember) bool { return !o.wants || o.state == vrrp.Fault }))
}

// givesWay notes that a member leaves another director in place.
func (m *groupMember) givesWay() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.wants = false
}

// entered has the others follow a member that has changed its state, unless that is what it
// was told itself.
func (m *groupMember) entered(to vrrp.State) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	from, following := m.state, m.following
	m.state = to
	if to == following || to == vrrp.Fault || to == vrrp.Init {
		m.following = vrrp.Init
	}
	switch {
	case g.fault:
	case to == vrrp.Fault && from == vrrp.Master: // it cannot send: the loop does not know
		g.lead(m, vrrp.Backup)
	case following != vrrp.Init: // it is, or is to become, what the group is
	case to == vrrp.Master && g.state != vrrp.Master, to == vrrp.Backup && from == vrrp.Master:
		g.lead(m, to)
	}
}

// lead has the others enter a state. It is called with mu.
func (g *syncGroup) lead(leader *groupMember, to vrrp.State) {
	g.state = to
	for _, m := range g.members {
		m.wants = to == vrrp.Master
		opposite := to == vrrp.Master && m.state == vrrp.Backup || to == vrrp.Backup && m.state == vrrp.Master
		switch {
		case m == leader:
		case opposite || m.following != vrrp.Init:
			m.following = to
			m.machine.Follow(to)
		}
	}
}

// regroup makes the groups of the tracking. A group that has the same members as before goes
// on. It is called by the loop when the instances are those of the configuration.
func (s *Instances) regroup() {
	in := map[*instance]bool{}
	for _, cfg := range s.tracking.Groups {
		members := s.membersOf(cfg)
		for _, m := range members {
			in[m] = true
		}
		if len(members) == 0 || alreadySynced(members) {
			continue
		}
		g := &syncGroup{state: vrrp.Backup}
		for _, m := range members {
			m.synced = g
			m.owner.member.Store(g.add(m))
		}
	}
	for _, other := range s.list {
		if !in[other] && other.synced != nil {
			other.synced = nil
			other.owner.member.Store(nil)
		}
	}
}

// membersOf are the instances of a group.
func (s *Instances) membersOf(g *conf.SyncGroup) (list []*instance) {
	for _, name := range g.Members {
		i := slices.IndexFunc(s.list, func(in *instance) bool { return in.cfg.Name == name })
		if i >= 0 && s.list[i].machine != nil {
			list = append(list, s.list[i])
		}
	}
	return list
}

// alreadySynced says whether instances are exactly the members of one group.
func alreadySynced(members []*instance) bool {
	g := members[0].synced
	return g != nil && len(g.members) == len(members) &&
		!slices.ContainsFunc(members, func(in *instance) bool { return in.synced != g })
}

// spread gives the members of each group a fault where one of them has one. Faults are by the
// names of instances; empty is none.
func spread(groups []*conf.SyncGroup, faults map[string]string) {
	for _, g := range groups {
		of := ""
		for _, name := range g.Members {
			if faults[name] != "" && of == "" {
				of = name
			}
		}
		for _, name := range g.Members {
			if fault, known := faults[name]; known && fault == "" && of != "" {
				faults[name] = fmt.Sprintf("vrrp_instance %s of vrrp_sync_group %s: %s", of, g.Name, faults[of])
			}
		}
	}
}
