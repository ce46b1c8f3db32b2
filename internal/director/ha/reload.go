package ha

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
	"weir/vrrp"
)

// prepared is what an instance becomes by a reload, or by a change of its surroundings.
type prepared struct {
	file, cfg conf.VRRPInstance
	link      Transport // nil where the one that there is does
	// device is the interface's that the link was opened on.
	device int
}

// Check says in one error what of another configuration Prepare refuses, as far as that can
// be known before, and does nothing.
func (s *Instances) Check(cfgs []conf.VRRPInstance, bindings []Binding) error {
	var errs []error
	for i, c := range cfgs {
		if err := s.check(c, bindings[i]); err != nil {
			errs = append(errs, fmt.Errorf("vrrp_instance %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// check is Check for one instance. A device that does not exist is an error where it is new
// to the instance.
func (s *Instances) check(c conf.VRRPInstance, b Binding) error {
	machine := machineOf(b.on(c))
	if err := machine.Validate(); err != nil {
		return err
	}
	in := s.find(ID(c))
	if b.Missing != nil && (in == nil || !reflect.DeepEqual(devicesOf(in.file), devicesOf(c))) {
		return b.Missing
	}
	return nil
}

// Prepare opens what another configuration needs, with the bindings that each instance has
// on this machine, and notes how that is put back. It is followed by SetVIPs and Commit, or
// put back.
func (s *Instances) Prepare(cfgs []conf.VRRPInstance, bindings []Binding, undo *[]func() error) error {
	if err := s.Check(cfgs, bindings); err != nil {
		return err
	}
	for i, c := range cfgs {
		if err := s.prepare(c, bindings[i], undo); err != nil {
			return fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
		}
	}
	return nil
}

// prepare opens what a new or changed instance needs.
func (s *Instances) prepare(c conf.VRRPInstance, b Binding, undo *[]func() error) error {
	if in := s.find(ID(c)); in != nil {
		return in.prepare(c, b, undo)
	}
	in, err := s.open(c, b)
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

// devicesOf are the devices that an instance names.
func devicesOf(c conf.VRRPInstance) map[string]bool {
	names := map[string]bool{c.Interface: true}
	for _, a := range c.Addresses() {
		names[cmp.Or(a.Base, a.Device)] = true
	}
	return names
}

// prepare gets ready for another configuration.
func (in *instance) prepare(c conf.VRRPInstance, b Binding, undo *[]func() error) error {
	next := b.on(c)
	if !next.SourceIP.IsValid() { // in fault; Follow opens what is needed once there is one
		next.SourceIP = in.cfg.SourceIP
	}
	p := &prepared{file: c, cfg: next}
	if b.Source.IsValid() && !reflect.DeepEqual(in.linked, linkOf(next)) {
		var err error
		if p.link, err = in.with.Open(linkOf(next)); err != nil {
			return err
		}
		p.device = b.Index
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
	failed, err := s.machine.VIPs.Set(append(Wanted(cfgs), s.static))
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
	begin := s.opened
	s.list, s.opened = append(stay, begin...), nil
	s.regroup()
	s.settle()
	for _, in := range begin {
		in.stop = s.start(in.owner.run)
	}
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
	in.prepared = nil
	if p == nil {
		return
	}
	same := p.link == nil && len(conf.CompareVRRPInstance(&in.cfg, &p.cfg)) == 0
	in.file, in.cfg = p.file, p.cfg
	if same {
		return
	}
	machine, o, oldLink := in.machineOf(p.cfg), in.owner, in.link
	var transport vrrp.Transport
	if p.link != nil {
		in.link, in.linked, in.device, transport = p.link, linkOf(p.cfg), p.device, p.link
	}
	next := termsOf(p.cfg, in.link)
	in.machine.Reconfigure(machine, transport, func() {
		if o.terms = next; next.link != oldLink {
			oldLink.Close()
		}
	})
}
