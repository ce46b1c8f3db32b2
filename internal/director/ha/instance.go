package ha

import (
	"context"
	"fmt"
	"net/netip"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/lvs"
	"weir/vrrp"
)

// instance is a VRRP instance as the director's loop has it.
type instance struct {
	id      lvs.InstanceID
	with    *Machine
	cfg     conf.VRRPInstance // with the address that advertisements come from
	link    Transport
	device  int // the number of the interface that the link was opened on
	machine *vrrp.Instance
	owner   *owner
	stop    context.CancelFunc // nil before it runs
	// prepared is what a reload under way is to make of it; nil is nothing.
	prepared *prepared
}

// open opens what an instance needs. The VIPs are those of all instances.
func (s *Instances) open(c conf.VRRPInstance, vips []netip.Addr) (in *instance, err error) {
	in = &instance{id: ID(c), with: &s.machine}
	if in.cfg, err = s.machine.withSource(c, vips); err == nil {
		in.link, in.device, err = s.machine.openLink(in.cfg)
	}
	return in, err
}

// withSource fills in the address that advertisements come from, which is no VIP of any
// instance.
func (m *Machine) withSource(c conf.VRRPInstance, vips []netip.Addr) (conf.VRRPInstance, error) {
	if c.SourceIP.IsValid() {
		return c, nil
	}
	source, err := m.Interfaces.PrimaryAddr(c.Interface, vips)
	if err != nil {
		return c, fmt.Errorf("address to send from: %w", err)
	}
	c.SourceIP = source
	return c, nil
}

// openLink opens a transport, and tells the number of the interface that it is on.
func (m *Machine) openLink(c conf.VRRPInstance) (Transport, int, error) {
	l, err := m.Interfaces.LinkByName(c.Interface)
	if err != nil {
		return nil, 0, err
	}
	link, err := m.Open(linkOf(c))
	return link, l.Index, err
}

// linkOf is what the transport has to know.
func linkOf(c conf.VRRPInstance) LinkConfig {
	return LinkConfig{Interface: c.Interface, VRID: c.VRID, Source: c.SourceIP, UnicastPeers: c.UnicastPeers()}
}

// machineOf is what the state machine has to know.
func machineOf(c conf.VRRPInstance) vrrp.Config {
	m := vrrp.Config{
		Name: c.Name, VRID: c.VRID, Priority: c.Priority,
		AdvertInterval: c.AdvertInterval, VIPs: Addrs(c.VIPs), Source: c.SourceIP,
		UnicastPeers: c.UnicastPeers(), CheckUnicastSource: c.CheckSource, StartMaster: c.State == conf.Master,
		NoPreempt: c.NoPreempt, PreemptDelay: c.PreemptDelay, GARPDelay: c.GARPDelay,
		HandOver: vrrp.MaxSkewTime,
	}
	if c.Auth.Type == conf.AuthPass {
		m.Auth = vrrp.Password(c.Auth.Password)
	}
	return m
}

// takeUp makes the state machine of a process that begins. Where the lease of an
// earlier one still runs and the VIPs are here, this one goes on as the master
// that it was; otherwise VIPs that a dead process left are taken away.
func (in *instance) takeUp() error {
	resume, err := in.resumes()
	if err != nil {
		return err
	}
	if !resume {
		if err := in.with.VIPs.Clear(ownerOf(in.id)); err != nil {
			return err
		}
	}
	return in.build(resume)
}

func (in *instance) resumes() (bool, error) {
	leased, err := in.with.Leases.Leased(in.id)
	if err != nil || !leased {
		return false, err
	}
	if here, err := in.with.VIPs.Complete(ownerOf(in.id)); err != nil || !here {
		return false, err
	}
	in.with.Tell(cluster.MasterResumed(in.cfg.Name))
	return true, nil
}

// build makes the state machine.
func (in *instance) build(resume bool) (err error) {
	c := machineOf(in.cfg)
	c.Resume = resume
	in.owner = newOwner(in.id, in.with, terms{in.cfg.Name, c.Lease(), in.link})
	in.machine, err = vrrp.New(c, in.link, in.owner, in.with.Log)
	in.owner.machine = in.machine
	return err
}

// fault is why the instance cannot take part; empty where it can.
func (in *instance) fault() string {
	l, err := in.with.Interfaces.LinkByName(in.id.Interface)
	switch {
	case err != nil:
		return err.Error()
	case !l.Up:
		return fmt.Sprintf("interface %s is down", l.Name)
	case l.Index != in.device:
		return fmt.Sprintf("interface %s was made anew, and cannot be spoken on yet", l.Name)
	}
	return ""
}

// repairLink follows an interface that was made anew, once it has its address again.
func (in *instance) repairLink(ledger *drift.Ledger) {
	l, err := in.with.Interfaces.LinkByName(in.id.Interface)
	if err != nil || l.Index == in.device {
		return
	}
	err = in.link.Reopen()
	ledger.Note(DriftInterface, l.Name, err)
	if err == nil {
		in.device = l.Index
		in.machine.SetFault(in.fault())
	}
}
