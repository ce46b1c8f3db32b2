package director

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/ndp"
	"weir/lvs"
	"weir/vrrp"
)

// instance is a VRRP instance with what it owns: VIPs, and a lease in the data
// plane. It is the vrrp.Owner, whose methods that instance's goroutine calls; reloads
// and repairs change it from the director's.
type instance struct {
	id    lvs.InstanceID
	name  string // for events
	plane DataPlane
	tell  func(cluster.Event)
	post  func(event)
	vrrp  *vrrp.Instance
	heard map[netip.Addr]net.HardwareAddr
	stop  context.CancelFunc // nil before it runs
	// prepared is what a reload under way is to make of it; nil is nothing.
	prepared *prepared
	// device is the number of the interface that the link was opened on.
	device int

	mu    sync.Mutex // guards what follows, and the VIPs on their devices
	cfg   conf.VRRPInstance
	link  *vrrp.Link
	lease time.Duration
	claim claim
	gone  bool // no plan has it any more
}

// openInstances opens the sockets of all instances. Nothing is sent yet.
func (d *Director) openInstances() error {
	for _, c := range d.cfg.VRRPInstances {
		in, err := d.openInstance(c)
		if err != nil {
			d.closeInstances()
			return err
		}
		d.instances = append(d.instances, in)
	}
	return nil
}

func (d *Director) openInstance(c conf.VRRPInstance) (in *instance, err error) {
	in = &instance{
		id: idOf(c), plane: d.plane, post: d.post,
		tell: d.stream.Publish, name: c.Name, heard: map[netip.Addr]net.HardwareAddr{},
	}
	if in.cfg, err = withSource(c); err == nil {
		in.device, err = deviceOf(c.Interface)
	}
	if err == nil {
		in.link, err = openLink(in.cfg, d.log)
	}
	if err != nil {
		return nil, fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
	}
	return in, nil
}

func (d *Director) closeInstances() {
	for _, in := range d.instances {
		in.close()
	}
}

func (in *instance) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.link.Close()
}

// withSource fills in the address that advertisements come from.
func withSource(c conf.VRRPInstance) (conf.VRRPInstance, error) {
	if c.SourceIP.IsValid() {
		return c, nil
	}
	source, err := netlnk.PrimaryAddr(c.Interface, addrsOf(c.Addresses()))
	if err != nil {
		return c, fmt.Errorf("address to send from: %w", err)
	}
	c.SourceIP = source
	return c, nil
}

// deviceOf is the number of an interface.
func deviceOf(name string) (int, error) {
	l, err := netlnk.LinkByName(name)
	return l.Index, err
}

func openLink(c conf.VRRPInstance, log *slog.Logger) (*vrrp.Link, error) {
	return vrrp.OpenLink(vrrp.LinkConfig{
		Interface: c.Interface, VRID: c.VRID, Source: c.SourceIP, UnicastPeers: c.UnicastPeers(),
	}, log)
}

// machineOf is what the state machine has to know.
func machineOf(c conf.VRRPInstance) vrrp.Config {
	m := vrrp.Config{
		Name: c.Name, VRID: c.VRID, Priority: c.Priority,
		AdvertInterval: c.AdvertInterval, VIPs: addrsOf(c.VIPs), Source: c.SourceIP,
		UnicastPeers: c.UnicastPeers(), StartMaster: c.State == conf.Master,
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
func (in *instance) takeUp(log *slog.Logger) error {
	resume, err := in.resumes()
	if err != nil {
		return err
	}
	if !resume {
		if err := in.removeVIPs(in.cfg.Addresses()); err != nil {
			return err
		}
	}
	return in.build(resume, log)
}

// build makes the state machine.
func (in *instance) build(resume bool, log *slog.Logger) (err error) {
	c := machineOf(in.cfg)
	c.Resume = resume
	in.lease = c.Lease()
	in.vrrp, err = vrrp.New(c, in.link, in, log)
	return err
}

func (in *instance) resumes() (bool, error) {
	leased, err := in.plane.Leased(in.id)
	if err != nil || !leased {
		return false, err
	}
	for _, vip := range in.cfg.Addresses() {
		if here, err := netlnk.HasAddress(vip.Device, vip.Prefix); err != nil || !here {
			return false, err
		}
	}
	in.tell(cluster.MasterResumed(in.name))
	return true, nil
}

// Enter adds the VIPs on becoming master and removes them on ceasing to be.
func (in *instance) Enter(from, to vrrp.State) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.claim = claimIn(to)
	if in.gone {
		in.claim = unclaimed
	}
	switch {
	case in.gone: // its VIPs have been taken away, its lease is no more
	case to == vrrp.Master:
		for _, vip := range in.cfg.Addresses() {
			if _, err := netlnk.AddAddress(vip.Device, vip.Prefix); err != nil {
				in.tell(cluster.VIPAddFailed(in.name, vip.Prefix, vip.Device, err))
			}
		}
	case from == vrrp.Master:
		if err := in.plane.Release(in.id); err != nil {
			in.tell(cluster.LeaseReleaseFailed(in.name, err))
		}
		if err := in.removeVIPs(in.cfg.Addresses()); err != nil {
			in.tell(cluster.VIPsRemoveFailed(in.name, err))
		}
	}
}

func (in *instance) removeVIPs(vips []conf.VIP) (err error) {
	for _, vip := range vips {
		if _, e := netlnk.DelAddress(vip.Device, vip.Prefix); e != nil {
			err = errors.Join(err, fmt.Errorf("remove %s from %s: %w", vip.Prefix, vip.Device, e))
		}
	}
	return err
}

// Announce sends the rounds of gratuitous ARP, and of neighbour advertisements.
func (in *instance) Announce() {
	in.mu.Lock()
	vips, rounds := in.cfg.Addresses(), max(in.cfg.GARPRepeat, 1)
	in.mu.Unlock()
	in.announce(vips, rounds)
}

func (in *instance) announce(vips []conf.VIP, rounds int) {
	for range rounds {
		for _, vip := range vips {
			if err := announceVIP(vip.Device, vip.Prefix.Addr()); err != nil {
				in.tell(cluster.VIPAnnounceFailed(in.name, vip.Prefix.Addr(), err))
			}
		}
	}
}

func announceVIP(dev string, vip netip.Addr) error {
	if vip.Is4() {
		return arp.Announce(dev, vip)
	}
	return ndp.Announce(dev, vip)
}

// Sent renews the lease: send first, then renew.
func (in *instance) Sent(at time.Time) {
	in.mu.Lock()
	lease, gone := in.lease, in.gone
	in.mu.Unlock()
	if gone {
		return
	}
	if err := in.plane.Renew(in.id, at, lease); err != nil {
		in.tell(cluster.LeaseRenewFailed(in.name, err))
	}
}

// Heard learns another director's Ethernet address.
func (in *instance) Heard(from netip.Addr, mac net.HardwareAddr) {
	if bytes.Equal(in.heard[from], mac) {
		return
	}
	in.heard[from] = mac
	in.post(func(d *Director) func() {
		d.directors[peer{in.id, from}] = mac
		return func() { in.tell(cluster.DirectorHeard(in.name, from, mac)) }
	})
}

// checkInterfaces puts each instance whose interface is down into fault, and
// back.
func (d *Director) checkInterfaces() {
	for _, in := range d.instances {
		in.vrrp.SetFault(in.fault())
	}
}

func (in *instance) fault() string {
	l, err := netlnk.LinkByName(in.id.Interface)
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

// config is the instance's configuration.
func (in *instance) config() conf.VRRPInstance {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.cfg
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
