package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// tunnels are the tunnel devices that this machine needs: one for each director, or, where
// every sender is allowed, one for each of its own addresses. A device from any to any
// address already exists: it is the kernel's own tunl0, sit0 or ip6tnl0, which others may
// use.
func (s *state) tunnels(addrs []netip.Addr) (list []netlnk.Tunnel) {
	ends := make([]netlnk.Tunnel, 0, len(addrs))
	for _, a := range addrs {
		ends = append(ends, netlnk.Tunnel{Local: a})
	}
	if len(s.Decap.Directors) > 0 {
		ends = nil
		for _, d := range s.Decap.Directors {
			ends = append(ends, netlnk.Tunnel{Remote: d})
		}
	}
	for _, t := range ends {
		for _, t.Kind = range s.kinds(t.Local.Is6() || t.Remote.Is6()) {
			t.Name = s.tunnelName(t, list)
			list = append(list, t)
		}
	}
	return list
}

// kinds are the kinds of tunnel device that the VIPs need with an outer IPv4 or IPv6 header.
func (s *state) kinds(outer6 bool) (kinds []string) {
	if outer6 {
		return []string{"ip6tnl"}
	}
	vips := s.tunnelVIPs()
	if slices.ContainsFunc(vips, netip.Addr.Is4) {
		kinds = append(kinds, "ipip")
	}
	if slices.ContainsFunc(vips, netip.Addr.Is6) {
		kinds = append(kinds, "sit")
	}
	return kinds
}

// tunnelName is the name that this tunnel already has in the state, or one that is free.
func (s *state) tunnelName(t netlnk.Tunnel, others []netlnk.Tunnel) string {
	known := append(slices.Clone(s.Decap.Tunnels), others...)
	for _, k := range known {
		if t.Name = k.Name; t == k {
			return k.Name
		}
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("weir-%s%d", t.Kind, n)
		if !slices.ContainsFunc(known, func(k netlnk.Tunnel) bool { return k.Name == name }) {
			return name
		}
	}
}

// tunnelAddress is a loopback address that nothing else uses.
var tunnelAddress = netip.MustParsePrefix("127.127.0.1/32")

// addTunnels makes the tunnel devices and sets their rp_filter to 2 (loose): with 1
// (strict) the kernel drops packets of clients to whom the route does not lead through the
// tunnel. It uses the larger of the device's value and that of "all". Each device also gets
// tunnelAddress, since on a device without an IPv4 address loose drops the same packets as
// strict (__fib_validate_source, net/ipv4/fib_frontend.c).
func (s *state) addTunnels(want []netlnk.Tunnel) error {
	for _, t := range want {
		have, err := netlnk.TunnelByName(t.Name)
		if err == nil && have != t {
			err = netlnk.DeleteTunnel(have)
		}
		if err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			return err
		}
		if err := netlnk.AddTunnel(t); err != nil {
			return err
		}
		if err := netlnk.SetSysctl(t.Name, "rp_filter", "2"); err != nil {
			return err
		}
		if _, err := netlnk.AddAddress(t.Name, tunnelAddress); err != nil {
			return err
		}
		if err := netlnk.SetUp(t.Name); err != nil {
			return err
		}
	}
	return nil
}

// deleteOtherTunnels deletes the tunnel devices that may exist, except those to keep.
func (s *state) deleteOtherTunnels(keep []netlnk.Tunnel) error {
	for _, t := range s.Decap.Tunnels {
		if slices.Contains(keep, t) {
			continue
		}
		if err := netlnk.DeleteTunnel(t); err != nil {
			return err
		}
	}
	return nil
}
