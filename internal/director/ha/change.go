package ha

import (
	"fmt"

	"weir/conf"
	"weir/internal/director/diff"
	"weir/lvs"
	"weir/vrrp"
)

// Change is what a reload changes of a VRRP instance.
type Change struct {
	Instance string         `json:"instance"`
	Kind     diff.Kind      `json:"kind"`
	Settings []diff.Setting `json:"settings,omitempty"`
	// State is the one that it is in, and Next says what becomes of it; it is
	// empty where the state stays.
	State string `json:"state,omitempty"`
	Next  string `json:"next,omitempty"`

	id lvs.InstanceID
}

// Compare lists the instances that one configuration has otherwise than another.
func Compare(was, now []conf.VRRPInstance) (all []Change) {
	old := map[lvs.InstanceID]conf.VRRPInstance{}
	for _, c := range was {
		old[ID(c)] = c
	}
	for _, c := range now {
		before, stays := old[ID(c)]
		delete(old, ID(c))
		change := Change{Instance: c.Name, Kind: diff.Added, id: ID(c)}
		if stays {
			change.Kind, change.Settings = diff.Changed, diff.Settings(conf.CompareVRRPInstance(&before, &c))
		}
		if !stays || len(change.Settings) > 0 {
			all = append(all, change)
		}
	}
	for _, c := range was {
		if _, gone := old[ID(c)]; gone {
			all = append(all, Change{Instance: c.Name, Kind: diff.Removed, id: ID(c)})
		}
	}
	return all
}

// Describe fills in what is so at the moment: the state, and what becomes of it.
func (s *Instances) Describe(c *Change, cfgs []conf.VRRPInstance) {
	in := s.find(c.id)
	if in == nil {
		c.Next = "begins as BACKUP, and becomes MASTER unless it hears a higher one"
		return
	}
	now := in.machine.Snapshot()
	c.State = now.State.String()
	if c.Kind == diff.Removed {
		c.Next = "leaves"
		if now.State == vrrp.Master {
			c.Next = "leaves, and gives its addresses up"
		}
		return
	}
	for _, to := range cfgs {
		if ID(to) == c.id {
			c.Next = becomes(now, to)
		}
	}
}

// becomes says how another priority would change an instance's state. A master
// does not know which backups listen.
func becomes(now vrrp.Snapshot, to conf.VRRPInstance) string {
	switch {
	case now.State == vrrp.Master && to.Priority < now.Priority:
		return fmt.Sprintf("becomes BACKUP if another director has more than %d", to.Priority)
	case now.State == vrrp.Backup && to.Priority > now.Peer.Priority && !to.NoPreempt && now.Peer.Addr.IsValid():
		return fmt.Sprintf("becomes MASTER: %s has %d", now.Peer.Addr, now.Peer.Priority)
	case now.State == vrrp.Backup && to.Priority == vrrp.PriorityOwner:
		return "becomes MASTER: it owns the addresses"
	}
	return ""
}
