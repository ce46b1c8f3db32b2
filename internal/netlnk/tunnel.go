package netlnk

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Tunnel is a device that decapsulates IP in IP.
type Tunnel struct {
	Name string `json:"name"`
	// Kind is "ipip" for IPv4 in IPv4, "sit" for IPv6 in IPv4, "ip6tnl" for both in
	// IPv6.
	Kind string `json:"kind"`
	// Local and Remote are the outer destination and source addresses of the packets
	// that it takes; an invalid one stands for any.
	Local  netip.Addr `json:"local"`
	Remote netip.Addr `json:"remote"`
}

// tunnelProtocols are the protocols that each kind of tunnel takes; 0 stands for both.
var tunnelProtocols = map[string]uint8{"ipip": unix.IPPROTO_IPIP, "sit": unix.IPPROTO_IPV6, "ip6tnl": 0}

// HasTunnelKind says whether the kernel knows a kind of tunnel device, by itself or by a
// module that it can load. It asks for a device with a protocol that does not exist: a
// kernel that knows the kind refuses the protocol (ipip_tunnel_validate and the like),
// one that does not refuses the kind. No device is made.
func HasTunnelKind(kind string) (bool, error) {
	const noProtocol = 255
	err := netlink.LinkAdd(tunnelLink(Tunnel{Name: "weir-probe", Kind: kind}, noProtocol))
	switch {
	case errors.Is(err, unix.EINVAL):
		return true, nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	}
	return false, fmt.Errorf("find out whether the kernel has tunnel devices of kind %s: unexpected answer: %w", kind, err)
}

// AddTunnel makes a tunnel device, which is down. A device of this name that exists is
// left as it is. That another device of the kind has the same addresses is an error.
func AddTunnel(t Tunnel) error {
	_, err := LinkByName(t.Name)
	if err == nil || !errors.Is(err, ErrNoDevice) {
		return err
	}
	err = netlink.LinkAdd(tunnelLink(t, tunnelProtocols[t.Kind]))
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add tunnel device %s: another %s device has the same addresses (ip -d link show type %s): remove it, or leave decapsulation to it",
			t.Name, t.Kind, t.Kind)
	}
	if err != nil {
		return fmt.Errorf("add tunnel device %s: %w", t.Name, err)
	}
	return nil
}

// DeleteTunnel removes the tunnel device of this name and kind. That there is none is no
// error.
func DeleteTunnel(t Tunnel) error {
	l, err := linkByName(t.Name)
	if errors.Is(err, ErrNoDevice) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.Type() != t.Kind {
		return nil
	}
	if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete tunnel device %s: %w", t.Name, err)
	}
	return nil
}

// TunnelByName describes a tunnel device; the error wraps ErrNoDevice where no device has
// this name. A device that is no tunnel is returned with its kind and without addresses.
func TunnelByName(name string) (Tunnel, error) {
	l, err := linkByName(name)
	if err != nil {
		return Tunnel{}, err
	}
	t := Tunnel{Name: name, Kind: l.Type()}
	switch d := l.(type) {
	case *netlink.Iptun:
		t.Local, t.Remote = addrOf(d.Local), addrOf(d.Remote)
	case *netlink.Sittun:
		t.Local, t.Remote = addrOf(d.Local), addrOf(d.Remote)
	case *netlink.Ip6tnl:
		t.Local, t.Remote = addrOf(d.Local), addrOf(d.Remote)
	}
	return t, nil
}

func tunnelLink(t Tunnel, protocol uint8) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = t.Name
	local, remote := t.Local.AsSlice(), t.Remote.AsSlice()
	switch t.Kind {
	case "ipip":
		return &netlink.Iptun{LinkAttrs: attrs, Local: local, Remote: remote, Proto: protocol}
	case "sit":
		return &netlink.Sittun{LinkAttrs: attrs, Local: local, Remote: remote, Proto: protocol}
	}
	return &netlink.Ip6tnl{LinkAttrs: attrs, Local: local, Remote: remote, Proto: protocol}
}

// addrOf is an outer address; the kernel's unspecified address becomes an invalid one.
func addrOf(ip []byte) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
