package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/netlnk"
)

// tunnels are the kernel's devices that this machine needs: one for each
// director, or, where anybody may send, one for each of its own addresses. One
// for any to any would be the kernel's own tunl0, sit0 or ip6tnl0, and others'.
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

// kinds are the kinds of tunnel that the VIPs need over an outer family.
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

// tunnelName is the name that the tunnel has had, or one that none had.
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

// tunnelAddress is nobody's, and never leaves the machine.
var tunnelAddress = netip.MustParsePrefix("127.127.0.1/32")

// addTunnels makes the devices, and has them take packets from everywhere: the
// way back to a client does not lead through the tunnel, which a strict
// rp_filter would want (2 is loose; the kernel takes the larger of it and all's).
// On a device without an IPv4 address, loose drops as much as strict does
// (__fib_validate_source, net/ipv4/fib_frontend.c).
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

// deleteOtherTunnels removes devices that may be there and need not.
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
