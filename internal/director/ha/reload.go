package ha

import (
	"fmt"
	"net/netip"
	"reflect"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
	"weir/vrrp"
)

// prepared is what an instance becomes by a reload.
type prepared struct {
	cfg  conf.VRRPInstance
	link Transport // nil where the one that there is does
	// device is the interface's that the link was opened on.
	device int
}

// Prepare opens what another configuration needs, and notes how that is put back. It
// is followed by SetVIPs and Commit, or put back.
func (s *Instances) Prepare(cfgs []conf.VRRPInstance, undo *[]func() error) error {
	vips := allAddrs(cfgs)
	for _, c := range cfgs {
		if err := s.prepare(c, vips, undo); err != nil {
			return fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
		}
	}
	return nil
}

// prepare opens what a new or changed instance needs.
func (s *Instances) prepare(c conf.VRRPInstance, vips []netip.Addr, undo *[]func() error) error {
	c, err := s.machine.withSource(c, vips)
	if err != nil {
		return err
	}
	machine := machineOf(c)
	if err := machine.Validate(); err != nil {
		return err
	}
	if in := s.find(ID(c)); in != nil {
		return in.prepare(c, undo)
	}
	in, err := s.open(c, vips)
	if err != nil {
		return err
	}
	s.opened = append(s.opened, in)
	*undo = append(*undo, func() error {
		s.opened = nil
		return in.link.Close()
	})
	return in.build(false)
}

// prepare gets ready for another configuration, unless it is the same.
func (in *instance) prepare(c conf.VRRPInstance, undo *[]func() error) error {
	if len(conf.CompareVRRPInstance(&in.cfg, &c)) == 0 {
		return nil
	}
	p := &prepared{cfg: c}
	if !reflect.DeepEqual(linkOf(in.cfg), linkOf(c)) {
		var err error
		if p.link, p.device, err = in.with.openLink(c); err != nil {
			return err
		}
	}
	in.prepared = p
	*undo = append(*undo, func() error {
		in.prepared = nil
		if p.link != nil {
			return p.link.Close()
		}
		return nil
	})
	return nil
}

// SetVIPs has masters have the VIPs of this configuration, and no others. With an error
// they have those that they had.
func (s *Instances) SetVIPs(cfgs []conf.VRRPInstance) error {
	failed, err := s.machine.VIPs.Set(Wanted(cfgs))
	for _, f := range failed {
		if f.Removing {
			s.machine.Tell(cluster.VIPsRemoveFailed(f.Label, f.Err))
		} else {
			s.machine.Tell(cluster.VIPsAddFailed(f.Label, f.Err))
		}
	}
	return err
}

// Commit puts what was prepared in force. Nothing of it can fail.
func (s *Instances) Commit(cfgs []conf.VRRPInstance) {
	wanted := map[lvs.InstanceID]bool{}
	for _, c := range cfgs {
		wanted[ID(c)] = true
	}
	var stay []*instance
	for _, in := range s.list {
		if !wanted[in.id] {
			in.owner.retired.Store(true)
			in.stop()
			continue
		}
		in.commit()
		stay = append(stay, in)
	}
	for _, in := range s.opened {
		in.machine.SetFault(in.fault())
		in.stop = s.start(in.owner.run)
		stay = append(stay, in)
	}
	s.list, s.opened = stay, nil
	for peer := range s.directors {
		if !wanted[peer.Instance] {
			delete(s.directors, peer)
		}
	}
}

// commit goes on as prepared. The owner gets its new terms where the state machine
// takes up its configuration: a lease is as long as the advertisements' interval says.
func (in *instance) commit() {
	p := in.prepared
	if in.prepared = nil; p == nil {
		return
	}
	machine, o, oldLink := machineOf(p.cfg), in.owner, in.link
	in.cfg = p.cfg
	var transport vrrp.Transport
	if p.link != nil {
		in.link, in.device, transport = p.link, p.device, p.link
	}
	next := terms{p.cfg.Name, machine.Lease(), in.link}
	in.machine.Reconfigure(machine, transport, func() {
		if o.terms = next; next.link != oldLink {
			oldLink.Close()
		}
	})
}
