package ha

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/lvs"
	"weir/vrrp"
)

// instance is a VRRP instance as the director's loop has it.
type instance struct {
	id    lvs.InstanceID
	with  *Machine
	file  conf.VRRPInstance // as the file has it
	cfg   conf.VRRPInstance // with the address that advertisements come from, once there was one
	bound Binding
	link  Transport
	// linked and device are what the link was opened for, and the number of the interface.
	linked  LinkConfig
	device  int
	machine *vrrp.Instance
	owner   *owner
	stop    context.CancelFunc // nil before it runs
	// unopened says that the link could not be opened, though nothing else is amiss.
	unopened bool
	// own is why it cannot take part by itself, in words; empty where it can.
	own string
	// broken is why the data plane does not work for it; empty where it does.
	broken string
	// synced is its sync group; nil is none.
	synced *syncGroup
	// weight is what its trackers add to its priority.
	weight int
	// delay is how long it waits once it runs.
	delay time.Duration
	// waits says that it begins, and takes no part before all its scripts have run once.
	waits bool
	// prepared is what a reload under way is to make of it; nil is nothing.
	prepared *prepared
}

// open opens what an instance needs.
func (s *Instances) open(c conf.VRRPInstance, b Binding) (in *instance, err error) {
	in = &instance{id: ID(c), with: &s.machine, file: c, cfg: b.on(c), bound: b, own: b.Fault, waits: true, link: silent{}}
	if b.Source.IsValid() {
		in.link, err = s.machine.Open(linkOf(in.cfg))
		in.linked, in.device = linkOf(in.cfg), b.Index
	}
	return in, err
}

// silent is the transport of an instance that has had nothing to speak by yet.
type silent struct{}

func (silent) Send(vrrp.Advertisement) error { return errors.New("there is no address to send from") }
func (silent) Received() <-chan vrrp.Packet  { return nil }
func (silent) Lost() bool                    { return false }
func (silent) Reopen() error                 { return nil }
func (silent) Close() error                  { return nil }

// linkOf is what the transport has to know.
func linkOf(c conf.VRRPInstance) LinkConfig {
	l := LinkConfig{
		Interface: c.Interface, Sender: c.Sender(), Ipvlan: c.IPVLAN.On, VRID: c.VRID, Source: c.SourceIP, Group: c.GroupIP,
		UnicastPeers: c.UnicastPeers(), UnicastTTL: uint8(c.UnicastTTL),
		AllVRIDs: c.LogUnknownVRIDs, PlainChecksum: c.ChecksumAsV2, OldChecksum: vrrp.OldChecksum(c.OldChecksum),
	}
	if c.Auth.Type == conf.AuthHeader {
		l.Auth = vrrp.Key(c.Auth.Password)
	}
	for _, k := range c.HMAC.Keys {
		l.HMAC.Keys = append(l.HMAC.Keys, vrrp.HMACKey{ID: uint8(k.ID), Value: k.Key})
	}
	if len(l.HMAC.Keys) > 0 {
		l.HMAC.Active, l.HMAC.Mode = uint8(c.HMAC.ActiveKey), vrrp.HMACMode(c.HMAC.Mode)
		l.HMAC.Window = c.HMAC.Window(c.AdvertInterval)
	}
	return l
}

// machineOf is what the state machine has to know.
func machineOf(c conf.VRRPInstance) vrrp.Config {
	m := vrrp.Config{
		Name: c.Name, Version: c.Version, VRID: c.VRID, Priority: c.Priority,
		AdvertInterval: interval(c), DownTimerAdverts: c.DownTimerAdverts, VIPs: Addrs(c.VIPs), Source: c.SourceIP,
		UnicastPeers: c.UnicastPeers(), CheckUnicastSource: c.CheckSource, StartMaster: c.State == conf.Master,
		NoPreempt: c.NoPreempt, PreemptDelay: c.PreemptDelay, GARPDelay: c.GARPDelay,
		HandOver: vrrp.MaxSkewTime, LowerDelay: c.GARPLowerDelay, GARPRefresh: c.GARPRefresh,
		SkipVIPCheck: c.SkipCheckAdvertAddr, LowerNoAdvert: c.LowerPrioNoAdvert,
		HigherSendAdvert: c.HigherPrioSendAdvert, OwnerIgnoresAdverts: c.OwnerIgnoreAdverts,
		OthersPriority: uint8(c.TimerExpiredBackup),
	}
	for _, p := range c.Peers {
		if limits := (vrrp.TTLRange{Min: uint8(p.MinTTL), Max: uint8(p.MaxTTL)}); limits.Min > 0 || limits.Max < vrrp.TTL {
			if m.PeerTTLs == nil {
				m.PeerTTLs = map[netip.Addr]vrrp.TTLRange{}
			}
			m.PeerTTLs[p.Addr] = limits
			m.CheckUnicastSource = true // as in keepalived
		}
	}
	switch {
	case m.Source.IsValid():
	case c.IPv6():
		m.Source = netip.IPv6Unspecified()
	default:
		m.Source = netip.IPv4Unspecified()
	}
	switch c.Auth.Type {
	case conf.AuthPass:
		m.Auth = vrrp.Password(c.Auth.Password)
	case conf.AuthHeader:
		m.Auth = vrrp.Key(c.Auth.Password)
	}
	return m
}

// machineOf is the state machine's configuration, with the priority that trackers make.
func (in *instance) machineOf(c conf.VRRPInstance) vrrp.Config {
	m := machineOf(c)
	m.Priority = in.effective(c)
	return m
}

// interval is advert_int as the protocol's version can say it.
func interval(c conf.VRRPInstance) time.Duration {
	if c.Version == vrrp.Version3 {
		return c.AdvertInterval.Truncate(10 * time.Millisecond)
	}
	return c.AdvertInterval
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
		// A lease that has run out was not given up: frames to a virtual router's Ethernet
		// address would still be this machine's.
		if err := errors.Join(in.with.VIPs.Clear(ownerOf(in.id)), in.with.Leases.Release(in.id)); err != nil {
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
	in.waits = false
	in.with.Tell(cluster.MasterResumed(in.cfg.Name))
	return true, nil
}

// termsOf are an owner's.
func termsOf(c conf.VRRPInstance, link Transport) terms {
	m := machineOf(c)
	return terms{name: c.Name, lease: m.Lease(), link: link, lowerRounds: c.GARPLowerRepeat, refreshRounds: c.GARPRefreshRepeat}
}

// build makes the state machine.
func (in *instance) build(resume bool) (err error) {
	c := in.machineOf(in.cfg)
	c.Resume, c.StartDelay = resume, in.delay
	in.owner = newOwner(in.id, in.with, termsOf(in.cfg, in.link))
	in.machine, err = vrrp.New(c, in.link, in.owner, in.with.Log)
	in.owner.machine = in.machine
	if err == nil {
		in.machine.SetFault(in.own)
		if c.Priority != in.cfg.Priority { // its trackers have said so already
			in.with.Log.Info("vrrp priority changed", "instance", in.cfg.Name, "from", int(in.cfg.Priority), "to", int(c.Priority))
		}
	}
	return err
}

// follow has the instance speak by what there is now. Instances.settle has to follow.
func (in *instance) follow(b Binding, ledger *drift.Ledger) {
	heardAs := in.bound.heardAs
	in.bound, in.unopened = b, false
	fault := b.Fault
	if fault == "" {
		if err := in.rebind(b, ledger); err != nil {
			in.unopened = true
			fault = fmt.Sprintf("interface %s cannot be spoken on: %v", in.id.Interface, err)
		}
	}
	in.own = fault
	if b.heardAs != heardAs { // does nothing unless the VIPs are here
		in.with.VIPs.Announce(ownerOf(in.id))
	}
}

// rebind opens what the instance speaks by, where that is not what it has.
func (in *instance) rebind(b Binding, ledger *drift.Ledger) error {
	c := b.on(in.file)
	if reflect.DeepEqual(in.linked, linkOf(c)) {
		if in.device == b.Index && !in.link.Lost() {
			return nil
		}
		err := in.link.Reopen()
		ledger.Note(DriftInterface, in.id.Interface, err)
		if err == nil {
			in.device = b.Index
		}
		return err
	}
	link, err := in.with.Open(linkOf(c))
	if err != nil {
		return err
	}
	if in.cfg.SourceIP != b.Source {
		in.with.Tell(cluster.SourceChanged(in.cfg.Name, in.id.Interface, in.cfg.SourceIP, b.Source))
	}
	in.prepared = &prepared{file: in.file, cfg: c, link: link, device: b.Index}
	in.commit()
	return nil
}
