package netlnk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The generic netlink family of network devices (include/uapi/linux/netdev.h, Linux 6.3
// and later).
const (
	netdevFamily         = "netdev"
	netdevVersion        = 1
	netdevGet            = 1 // NETDEV_CMD_DEV_GET
	netdevIndex          = 1 // NETDEV_A_DEV_IFINDEX, 32 bits
	netdevXDPFeatures    = 3 // NETDEV_A_DEV_XDP_FEATURES, 64 bits
	netdevXDPRedirectOut = 4 // NETDEV_XDP_ACT_NDO_XMIT: it sends frames that XDP redirects to it
)

// XDPSends says whether a device, by its index, tells that it sends frames that XDP
// redirects to it. Known is false on kernels before 6.3, where no device tells. Some
// drivers tell it only while they have an XDP program of their own, and some tell it
// always and send only with such a program.
func XDPSends(index int) (sends, known bool, err error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if errors.Is(err, unix.ENOENT) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("look up the netlink family %s: %w", netdevFamily, err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(genlHeader{netdevGet, netdevVersion})
	req.AddData(nl.NewRtAttr(netdevIndex, binary.NativeEndian.AppendUint32(nil, uint32(index))))
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return false, false, fmt.Errorf("ask device %d for its XDP features: %w", index, err)
	}
	for _, m := range msgs {
		attributes, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return false, false, fmt.Errorf("read the XDP features of device %d: %w", index, err)
		}
		for _, a := range attributes {
			if a.Attr.Type == netdevXDPFeatures && len(a.Value) >= 8 {
				return binary.NativeEndian.Uint64(a.Value)&netdevXDPRedirectOut != 0, true, nil
			}
		}
	}
	return false, false, nil
}

// genlHeader is the header of a message of generic netlink: command, version, and two bytes
// that must be 0 (struct genlmsghdr in linux/genetlink.h), which nl.Genlmsg leaves to chance.
type genlHeader [4]byte

func (h genlHeader) Len() int          { return len(h) }
func (h genlHeader) Serialize() []byte { return h[:] }

// XDPProgram is the number of the program that a device, by its index, has at XDP, in native
// mode or in generic mode; 0 is none. The error wraps ErrNoDevice where there is no such device.
func XDPProgram(index int) (id int, err error) {
	l, err := netlink.LinkByIndex(index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return 0, fmt.Errorf("device %d: %w", index, ErrNoDevice)
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the program at XDP of device %d: %w", index, err)
	}
	if x := l.Attrs().Xdp; x != nil {
		id = int(x.ProgId)
	}
	return id, nil
}
