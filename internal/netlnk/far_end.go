package netlnk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// xdpAttached is IFLA_XDP_ATTACHED of linux/if_link.h: 0 where there is no program.
const xdpAttached = 2

// FarEnd is the other end of a veth device, in another network namespace: its index there, and
// the number that this namespace has for that one.
type FarEnd struct{ Index, Namespace int }

// FarEndOf is the far end of a device, by its index; ok is false where it is no veth device,
// its far end is in this namespace, or a queue holds what leaves by it. The error wraps
// ErrNoDevice where there is no such device.
func FarEndOf(index int) (end FarEnd, ok bool, err error) {
	near, err := askLink(index, -1)
	if err != nil || near.kind != "veth" || near.namespace < 0 || near.queue != "noqueue" {
		return FarEnd{}, false, err
	}
	return FarEnd{near.far, near.namespace}, true, nil
}

// Takes says whether packets that leave by the device of an index may come in at this end of it
// at once, as bpf_redirect_peer has them: it is up, and has no XDP program, which would not see
// them; and no filter but weir's works on what leaves by the device.
func (e FarEnd) Takes(index int) (bool, error) {
	far, err := askLink(e.Index, e.Namespace)
	if err != nil || far.xdp || far.flags&unix.IFF_UP == 0 { // or it has just gone, or its namespace is closed to this process
		return false, nil
	}
	others, err := otherFilters(index, FilterEgress)
	return !others && err == nil, err
}

// wire is what the kernel tells of a device.
type wire struct {
	kind, queue    string
	flags          uint32
	far, namespace int // of a veth device: the index of its far end, and the number of that one's namespace; -1: this one
	xdp            bool
}

// askLink asks for a device in the namespace with a number, -1 for this one.
func askLink(index, namespace int) (w wire, err error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	request.AddData(header)
	if namespace >= 0 {
		request.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(namespace))))
	}
	messages, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENODEV) {
		return w, fmt.Errorf("device %d: %w", index, ErrNoDevice)
	}
	if err != nil {
		return w, fmt.Errorf("look up device %d: %w", index, err)
	}
	if len(messages) != 1 || len(messages[0]) < unix.SizeofIfInfomsg {
		return w, fmt.Errorf("look up device %d: unexpected answer of the kernel", index)
	}
	all := nested(messages[0][unix.SizeofIfInfomsg:])
	w = wire{
		kind: text(nested(all[unix.IFLA_LINKINFO])[nl.IFLA_INFO_KIND]), queue: text(all[unix.IFLA_QDISC]),
		flags: nl.DeserializeIfInfomsg(messages[0]).Flags, namespace: -1,
	}
	if far := all[unix.IFLA_LINK]; len(far) == 4 {
		w.far = int(binary.NativeEndian.Uint32(far))
	}
	if id := all[unix.IFLA_LINK_NETNSID]; len(id) == 4 {
		w.namespace = int(int32(binary.NativeEndian.Uint32(id)))
	}
	attached := nested(all[unix.IFLA_XDP])[xdpAttached]
	w.xdp = len(attached) > 0 && attached[0] != 0
	return w, nil
}

// otherFilters says whether a place of a device has filters that are not weir's.
func otherFilters(dev int, place FilterPlace) (bool, error) {
	own := filter(dev, place)
	all, err := dump(func() ([]netlink.Filter, error) {
		return netlink.FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: dev}}, own.Parent)
	})
	if err != nil && !noFilter(err) {
		return false, fmt.Errorf("list the filters of device %d: %w", dev, err)
	}
	for _, f := range all {
		if a := f.Attrs(); a.Priority != own.Priority || a.Handle != own.Handle {
			return true, nil
		}
	}
	return false, nil
}
