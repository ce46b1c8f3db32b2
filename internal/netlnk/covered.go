package netlnk

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// covered says whether a device reaches the network of an IPv4 VIP by a larger network of the
// machine's own. A VIP with a smaller network than that, such as 10.9.0.100/24 on a device with
// 10.9.0.1/16, brings a route of its own, by which the kernel takes the VIP as the source of
// all that it sends to its neighbours there: checks and ARP requests, which real servers that
// have the VIP on lo do not answer. Index is the device's.
func covered(index int, p netip.Prefix) (bool, error) {
	if !p.Addr().Is4() || p.IsSingleIP() {
		return false, nil
	}
	source, err := largerNetwork(index, p)
	if err != nil || !source.IsValid() {
		return false, err
	}
	own, err := addressesOf(map[int]string{index: ""})
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range own {
		if a.Prefix.Addr() == source {
			return a.AddedBy != AddedByWeir && a.AddedBy != addedByKeepalived, nil
		}
	}
	return false, nil
}

// largerNetwork is the source of packets to the address of p where the routing tables have
// the device lead there without a router, by a route to a larger network than p's; invalid
// where they do not.
func largerNetwork(index int, p netip.Prefix) (source netip.Addr, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Dst_len: 32, Flags: unix.RTM_F_LOOKUP_TABLE | unix.RTM_F_FIB_MATCH}})
	req.AddData(nl.NewRtAttr(unix.RTA_DST, p.Addr().AsSlice()))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil || len(messages) == 0 || len(messages[0]) < unix.SizeofRtMsg {
		return source, nil // no route leads there
	}
	route := nl.DeserializeRtMsg(messages[0])
	if route.Type != unix.RTN_UNICAST || route.Dst_len == 0 || int(route.Dst_len) >= p.Bits() {
		return source, nil
	}
	attributes, err := nl.ParseRouteAttr(messages[0][unix.SizeofRtMsg:])
	if err != nil {
		return source, fmt.Errorf("read the route to %s: %w", p.Addr(), err)
	}
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH:
			return netip.Addr{}, nil
		case unix.RTA_OIF:
			if int(binary.NativeEndian.Uint32(a.Value)) != index {
				return netip.Addr{}, nil
			}
		case unix.RTA_PREFSRC:
			source, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return source, nil
}
