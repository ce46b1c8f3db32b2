package director

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/lvs"
	"weir/vrrp"
)

// instance is a VRRP instance with what it owns: VIPs, and a lease in the data
// plane. It is the vrrp.Owner, so its methods are called by that instance's
// goroutine, which alone changes the addresses, but for repairs.
type instance struct {
	id    lvs.InstanceID
	cfg   conf.VRRPInstance
	vips  []conf.VIP
	lease time.Duration
	plane DataPlane
	log   *slog.Logger
	post  func(event)
	link  *vrrp.Link
	// device is the number of the interface that the link was opened on.
	device int
	vrrp   *vrrp.Instance
	heard  map[netip.Addr]net.HardwareAddr

	mu    sync.Mutex // the VIPs on their devices, and what follows
	claim claim
}

// openInstances opens the sockets of all instances. Nothing is sent yet.
func (d *Director) openInstances() error {
	for _, c := range d.cfg.VRRPInstances {
		in := &instance{
			id:  lvs.InstanceID{Interface: c.Interface, VRID: c.VRID},
			cfg: c, vips: c.VIPs, plane: d.plane, post: d.post,
			log: d.log.With("instance", c.Name), heard: map[netip.Addr]net.HardwareAddr{},
		}
		if err := in.open(d.log); err != nil {
			d.closeInstances()
			return fmt.Errorf("vrrp_instance %s: %w", c.Name, err)
		}
		d.instances = append(d.instances, in)
	}
	return nil
}

func (d *Director) closeInstances() {
	for _, in := range d.instances {
		in.link.Close()
	}
}

func (in *instance) addrs() (list []netip.Addr) {
	for _, vip := range in.vips {
		list = append(list, vip.Prefix.Addr())
	}
	return list
}

func (in *instance) open(log *slog.Logger) (err error) {
	source := in.cfg.SourceIP
	if !source.IsValid() {
		if source, err = netlnk.PrimaryAddr(in.cfg.Interface, in.addrs()); err != nil {
			return fmt.Errorf("address to send from: %w", err)
		}
	}
	in.cfg.SourceIP = source
	device, err := netlnk.LinkByName(in.cfg.Interface)
	if err != nil {
		return err
	}
	in.device = device.Index
	in.link, err = vrrp.OpenLink(vrrp.LinkConfig{
		Interface: in.cfg.Interface, VRID: in.cfg.VRID, Source: source, UnicastPeers: in.cfg.UnicastPeers(),
	}, log)
	return err
}

// start makes the state machine. Where the lease of an earlier process still
// runs and the VIPs are here, this one goes on as the master that it was;
// otherwise VIPs that a dead process left are taken away.
func (in *instance) start(log *slog.Logger) (err error) {
	resume, err := in.resumes()
	if err != nil {
		return err
	}
	if !resume {
		if err := in.removeVIPs(); err != nil {
			return err
		}
	}
	c := vrrp.Config{
		Name: in.cfg.Name, VRID: in.cfg.VRID, Priority: in.cfg.Priority,
		AdvertInterval: in.cfg.AdvertInterval, VIPs: in.addrs(), Source: in.cfg.SourceIP,
		UnicastPeers: in.cfg.UnicastPeers(), StartMaster: in.cfg.State == conf.Master,
		NoPreempt: in.cfg.NoPreempt, PreemptDelay: in.cfg.PreemptDelay, GARPDelay: in.cfg.GARPDelay,
		HandOver: vrrp.MaxSkewTime, Resume: resume,
	}
	if in.cfg.Auth.Type == conf.AuthPass {
		c.Auth = vrrp.Password(in.cfg.Auth.Password)
	}
	in.lease = c.Lease()
	in.vrrp, err = vrrp.New(c, in.link, in, log)
	return err
}

func (in *instance) resumes() (bool, error) {
	leased, err := in.plane.Leased(in.id)
	if err != nil || !leased {
		return false, err
	}
	for _, vip := range in.vips {
		if here, err := netlnk.HasAddress(vip.Device, vip.Prefix); err != nil || !here {
			return false, err
		}
	}
	in.log.Info("lease still runs, going on as master")
	return true, nil
}

// Enter adds the VIPs on becoming master and removes them on ceasing to be.
func (in *instance) Enter(from, to vrrp.State) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.claim = claimIn(to)
	switch {
	case to == vrrp.Master:
		for _, vip := range in.vips {
			if _, err := netlnk.AddAddress(vip.Device, vip.Prefix); err != nil {
				in.log.Error("add VIP", "vip", vip.Prefix, "device", vip.Device, "error", err)
			}
		}
	case from == vrrp.Master:
		if err := in.plane.Release(in.id); err != nil {
			in.log.Error("release the lease", "error", err)
		}
		if err := in.removeVIPs(); err != nil {
			in.log.Error("remove VIPs", "error", err)
		}
	}
}

func (in *instance) removeVIPs() (err error) {
	for _, vip := range in.vips {
		if _, e := netlnk.DelAddress(vip.Device, vip.Prefix); e != nil {
			err = errors.Join(err, fmt.Errorf("remove %s from %s: %w", vip.Prefix, vip.Device, e))
		}
	}
	return err
}

// Announce sends the rounds of gratuitous ARP.
func (in *instance) Announce() {
	in.announce(in.vips...)
}

func (in *instance) announce(vips ...conf.VIP) {
	for range max(in.cfg.GARPRepeat, 1) {
		for _, vip := range vips {
			if err := arp.Announce(vip.Device, vip.Prefix.Addr()); err != nil {
				in.log.Warn("announce VIP", "vip", vip.Prefix.Addr(), "error", err)
			}
		}
	}
}

// Sent renews the lease: send first, then renew.
func (in *instance) Sent(at time.Time) {
	if err := in.plane.Renew(in.id, at, in.lease); err != nil {
		in.log.Error("renew the lease", "error", err)
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
		return func() { in.log.Info("another director", "peer", from, "mac", mac.String()) }
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
