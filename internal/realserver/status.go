package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// Report is the result of Status, as sentences for people.
type Report struct {
	// VIPs are the addresses that were checked.
	VIPs []netip.Addr
	// Problems are faults, each with the command that repairs it.
	Problems []string
	// Notes are facts that are no fault.
	Notes []string
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Status compares the kernel's state with the one that Start makes, for the given
// addresses or, without any, for all that were started. It changes nothing. Faults of the
// machine stand in the Report; the error says why it could not be looked at.
func (r *RealServer) Status(vips []netip.Addr) (Report, error) {
	vips, err := canonical(vips)
	if err != nil {
		return Report{}, err
	}
	s, err := r.load()
	if err != nil {
		return Report{}, err
	}
	if len(vips) == 0 {
		for _, v := range s.VIPs {
			vips = append(vips, v.Addr)
		}
	}
	rep := Report{VIPs: vips}
	if len(vips) == 0 {
		rep.problem("no virtual address has been started here: run weir realserver start --vip ADDRESS")
		return rep, nil
	}
	links, err := netlnk.Links()
	if err != nil {
		return Report{}, err
	}
	if !find(links, loopback).Up {
		rep.problem("lo is down, so this machine takes no packets for its addresses: run ip link set lo up")
	}
	for _, vip := range vips {
		if err := rep.lookAtAddress(vip, links, s.DirectorDevices); err != nil {
			return Report{}, err
		}
	}
	if slices.ContainsFunc(vips, netip.Addr.Is4) {
		if err := rep.lookAtSysctls(links); err != nil {
			return Report{}, err
		}
	}
	if err := rep.lookAtTunnels(s, links); err != nil {
		return Report{}, err
	}
	return rep, nil
}

// lookAtAddress verifies that the address is on lo without its subnet, and on other
// devices only where this machine may be the master director.
func (r *Report) lookAtAddress(vip netip.Addr, links []netlnk.Link, directs []string) error {
	holders, err := netlnk.Holders(vip)
	if err != nil {
		return err
	}
	if !slices.Contains(holders, netlnk.Holder{Dev: loopback, Prefix: host(vip)}) {
		r.problem("%s is not on lo: run weir realserver start --vip %s", vip, vip)
	}
	for _, h := range holders {
		link := find(links, h.Dev)
		switch {
		case h.Dev == loopback && h.Prefix != host(vip):
			r.problem("%s is on lo with its subnet, so this machine takes all of %s for its own: run ip address del %s dev lo",
				vip, h.Prefix.Masked(), h.Prefix)
		case h.Dev == loopback:
			// This is the address that Start adds.
		case len(link.MAC) == 0 || !link.Up:
			// Nobody can send ARP requests to such a device.
		case slices.Contains(directs, h.Dev):
			r.note("%s is on %s, too: this machine is the master director", vip, h.Dev)
		default:
			r.problem("%s is on %s, too, where this machine answers %s for it: unless it is the master director, run ip address del %s dev %s",
				vip, h.Dev, resolution(vip), h.Prefix, h.Dev)
		}
	}
	return nil
}

// lookAtSysctls verifies the wanted settings, and that no device's own value overrides
// that of "all": the kernel uses the larger of the two, and a larger one may have less
// effect (with arp_ignore 3 the machine answers for addresses of global scope).
func (r *Report) lookAtSysctls(links []netlnk.Link) error {
	for _, w := range wanted() {
		got, err := netlnk.Sysctl(w.device, w.name)
		if err != nil {
			return err
		}
		if !w.suffices(got) {
			r.problem("%s of %s is %s, expected %s: %s; run weir realserver start --vip ADDRESS",
				w.name, w.device, got, w.value, consequence(w))
			continue
		}
		if w.device != "all" {
			continue
		}
		for _, l := range links {
			own, err := netlnk.Sysctl(l.Name, w.name)
			if errors.Is(err, netlnk.ErrNoDevice) {
				continue // it was removed meanwhile
			}
			if err != nil {
				return err
			}
			if l.Name != loopback && larger(own, got) && !w.suffices(own) {
				r.problem("%s of %s is %s, which overrides %s of all: %s; run sysctl -w net/ipv4/conf/%s/%s=%s",
					w.name, l.Name, own, got, consequence(w), l.Name, w.name, w.value)
			}
		}
	}
	return nil
}

func consequence(w setting) string {
	if w.device == loopback {
		return "something has changed it since start"
	}
	if w.name == "arp_announce" {
		return "this machine's ARP requests may tell others that the VIP is here"
	}
	return "this machine answers ARP for the VIP"
}

// larger compares two decimal numbers without sign and leading zeros, as the kernel
// prints them.
func larger(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}

func resolution(a netip.Addr) string {
	if a.Is4() {
		return "ARP"
	}
	return "neighbour solicitations"
}

func find(links []netlnk.Link, dev string) netlnk.Link {
	for _, l := range links {
		if l.Name == dev {
			return l
		}
	}
	return netlnk.Link{}
}
