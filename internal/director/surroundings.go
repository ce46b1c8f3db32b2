package director

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
	"weir/internal/netlnk"
	"weir/internal/vmac"
	"weir/lvs"
)

// surroundings are what the kernel says of this machine's devices and routes. They
// are asked for once, until it reports a change.
type surroundings struct {
	routes   Routes
	picture  *netlnk.Picture // the last one; nil before the first
	fresh    bool            // nothing has been reported since
	links    map[int]string
	looks    uint64                // counts how often what is known of the routes was forgotten; from 1 on
	hops     map[netip.Addr]string // the device by which an address is reached, while that is asked for
	resolver Resolver              // nil while closed
	changed  bool                  // something has been reported that was not followed yet
	unmade   unmade
	failed   string        // why that was so, the last time
	took     time.Duration // the last look
	held     heldLinks
	log      *slog.Logger
	// shared is picture, for other goroutines than the loop's.
	shared atomic.Pointer[netlnk.Picture]
}

// unmade are the devices of instances that could not be made.
type unmade struct {
	err    error
	byName map[string]error
	at     time.Time // when that was tried
}

// unmadeAgain is how long devices that could not be made are not tried again: for a kind that the
// kernel lacks, each try starts modprobe.
const unmadeAgain = 5 * time.Second

// has says whether this machine had an address at the last look, such as a master's VIP. Any
// goroutine may call it.
func (s *surroundings) has(a netip.Addr) bool {
	picture := s.shared.Load()
	return picture != nil && picture.Has(a)
}

// ownMAC says whether a device of this machine has an Ethernet address. The kernel answers for
// an address by each of them that is on the address's segment.
func (s *surroundings) ownMAC(mac net.HardwareAddr) bool {
	return slices.ContainsFunc(s.picture.Links(), func(l netlnk.Link) bool { return bytes.Equal(l.MAC, mac) })
}

// heard forgets what a report of the kernel makes doubtful, and says whether it makes
// anything so. Neighbours, of which most reports are, do not count here.
func (s *surroundings) heard(kind netlnk.Kind) bool {
	if kind == netlnk.NeighbourChanged {
		return false
	}
	s.looks++
	s.hops, s.changed = nil, true
	if kind != netlnk.RouteChanged {
		s.fresh = false
	}
	return true
}

// look asks for the devices and their addresses, unless nothing has changed. With an error
// the picture is the one before.
func (s *surroundings) look() error {
	if s.fresh {
		return nil
	}
	picture, err := s.routes.Look()
	if err != nil {
		return err
	}
	s.held.hold(picture, time.Now(), s.log)
	s.looks++
	s.picture, s.fresh, s.hops = picture, true, nil
	s.shared.Store(picture)
	s.links = map[int]string{}
	for _, l := range picture.Links() {
		s.links[l.Index] = l.Name
	}
	return nil
}

// eachNetworkOf names the devices with an address in whose network this one is.
func (s *surroundings) eachNetworkOf(a netip.Addr, do func(name string)) {
	for _, l := range s.picture.Links() {
		if l.Name == "lo" {
			continue
		}
		for _, has := range s.picture.Addresses(l.Name) {
			if has.AddedBy != netlnk.AddedByWeir && has.Prefix.Contains(a) {
				do(l.Name)
			}
		}
	}
}

// deviceTo names the device by which a server is reached; its answers come there. ok is
// false where the kernel cannot be asked.
func (s *surroundings) deviceTo(a netip.Addr) (name string, ok bool) {
	name, known := s.hops[a]
	if known {
		return name, true
	}
	if s.resolver == nil {
		resolver, err := s.routes.Resolver()
		if err != nil {
			return "", false
		}
		s.resolver = resolver
	}
	if index, err := s.resolver.Device(a); err == nil { // no device has the index 0
		name = s.links[index]
	}
	if s.hops == nil {
		s.hops = map[netip.Addr]string{}
	}
	s.hops[a] = name
	return name, true
}

// find finds the devices to the servers of pools that answer by them, so that they are known
// when they are asked for.
func (s *surroundings) find(pools pool.Pools) error {
	if err := s.look(); err != nil {
		return fmt.Errorf("look at this machine's devices: %w", err)
	}
	defer s.close()
	for _, p := range pools {
		p.Exits(s.looks, s.deviceTo)
	}
	return nil
}

// close ends the asking for next hops.
func (s *surroundings) close() {
	s.hops = nil
	if s.resolver != nil {
		s.resolver.Close()
		s.resolver = nil
	}
}

// follow has everything follow the surroundings where they have changed, and tells of it.
// What cannot be done is tried again each second. While a reload holds instances ready, it
// waits for that.
func (d *Director) follow() {
	d.surroundings.release()
	if d.coming != nil && d.coming.prepared || !d.surroundings.changed && !d.instances.Unopened() {
		return
	}
	begun := time.Now()
	unmade := d.keepVMACs()
	w, err := d.want(d.picture)
	d.surroundings.took = time.Since(begun)
	if err != nil {
		return // somebody is changing a great deal: the next look finds what is left of it
	}
	d.surroundings.changed = false
	d.instances.Follow(w.instances, d.drift)
	d.watchConflicts()
	d.inForce.instances = w.instances
	if ha.Left(d.cfg.VRRPInstances, d.surroundings.picture) {
		d.retry(d.instances.ClearLeft())
	}
	if was := d.inForce.devices; !slices.Equal(was, w.devices) {
		d.inForce.devices = w.devices
		d.stream.Publish(cluster.SurroundingsChanged(differences(was, w.devices)))
		// What fails, the data plane tries again itself.
		d.following.soon(nil)
	}
	if !d.inForce.served.same(w.served) {
		err := d.serveHere(w.served)
		if d.retry(err); err == nil {
			d.inForce.served = w.served
		}
	}
	if unmade != nil {
		d.retry(unmade)
	}
}

// retry has the surroundings followed again at the next look where something could not be
// done, and tells of that once.
func (d *Director) retry(err error) {
	text := ""
	if err != nil {
		text = err.Error()
		d.surroundings.changed = true
	}
	if text != "" && text != d.surroundings.failed {
		d.stream.Publish(cluster.NotFollowed(err))
	}
	d.surroundings.failed = text
}

// differences names the devices that the data plane begins to take packets from, and those
// that it takes none from any more.
func differences(was, now []lvs.Device) (begins, ends []string) {
	names := func(list, others []lvs.Device) (names []string) {
		for _, d := range list {
			if !slices.Contains(others, d) {
				names = append(names, d.Name)
			}
		}
		return names
	}
	return names(now, was), names(was, now)
}

// makeVMACs makes the devices that instances need, where some are missing, and has those that
// are there keep further addresses where an instance says so. The next look at
// the surroundings finds them.
func (d *Director) makeVMACs(cfgs []conf.VRRPInstance) error {
	if err := d.machine.Secondaries.Promote(promoting(cfgs)); err != nil {
		return err
	}
	wanted := ha.OwnDevices(cfgs)
	if len(wanted) == 0 || d.surroundings.picture != nil && !vmac.Lacks(wanted, d.surroundings.picture) {
		d.surroundings.unmade = unmade{}
		return nil
	}
	err := d.machine.VMACs.Make(wanted)
	d.surroundings.heard(netlnk.Overrun)
	byName := vmac.UnmadeOf(err)
	if err != nil {
		err = fmt.Errorf("devices of instances: %w", err)
	}
	d.surroundings.unmade = unmade{err, byName, time.Now()}
	return err
}

// makeVMACsFor is makeVMACs for a start or a reload. Where the kernel has no devices of a kind the
// instances that need one are in FAULT, as in keepalived, and nothing else waits for them: it is
// tried again, and told.
func (d *Director) makeVMACsFor(cfgs []conf.VRRPInstance) error {
	err := d.makeVMACs(cfgs)
	byName := d.surroundings.unmade.byName
	for _, unmade := range byName {
		if !errors.Is(unmade, netlnk.ErrNoKind) {
			return err
		}
	}
	if len(byName) > 0 {
		d.retry(err)
		return nil
	}
	return err
}

// dropVMACs removes the devices that no instance needs.
func (d *Director) dropVMACs(cfgs []conf.VRRPInstance) {
	if _, err := d.machine.VMACs.RemoveOthers(ha.OwnDevices(cfgs)); err != nil {
		d.log.Warn("remove devices of instances", "error", err)
	}
	if err := d.machine.Secondaries.PutBack(promoting(cfgs)); err != nil {
		d.log.Warn("put back what devices do with further addresses", "error", err)
	}
}

// promoting are the devices of instances with promote_secondaries.
func promoting(cfgs []conf.VRRPInstance) (devices []string) {
	for _, c := range cfgs {
		if c.PromoteSecondaries {
			devices = append(devices, c.Interface)
		}
	}
	return devices
}

// keepVMACs has a device that somebody has deleted, or that came with its base, be there
// again. The error is of those that could not be made.
func (d *Director) keepVMACs() error {
	if err := d.surroundings.look(); err != nil {
		return nil // whoever follows looks again
	}
	if was := d.surroundings.unmade; was.err != nil && time.Since(was.at) < unmadeAgain {
		return was.err
	}
	return d.makeVMACs(d.cfg.VRRPInstances)
}

// setDelays gives devices other delays, which count for what is held back, too.
func (s *surroundings) setDelays(delays map[string]conf.InterfaceDelay) {
	if s.looks > 0 && maps.Equal(delays, s.held.delays) {
		return // a look takes long where there are many servers
	}
	links := map[string]*heldLink{}
	for name := range delays {
		if l, ok := s.held.links[name]; ok {
			links[name] = l
		}
	}
	s.held = heldLinks{delays, links}
	s.fresh, s.changed = false, true
}

// release has changes seen that were held back for long enough.
func (s *surroundings) release() {
	if next := s.held.next(); !next.IsZero() && time.Until(next) <= 0 {
		s.heard(netlnk.LinkChanged)
	}
}

// rest is for how long nothing that is held back is to be seen, at most this.
func (s *surroundings) rest(most time.Duration) time.Duration {
	if next := s.held.next(); !next.IsZero() {
		return max(0, min(most, time.Until(next)))
	}
	return most
}
