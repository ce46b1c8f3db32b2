package netlnk

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Our filters' place among those of a device's clsact: behind what others put
// first, and under a handle that tells them from others' ("weir").
const (
	filterPriority = 100
	filterHandle   = 0x77656972
)

// SetFilter has a BPF program, by its file descriptor, see the packets that come
// in by a device, or those that leave by it. A program that was set before is
// replaced without a gap. The filter stays when the process ends.
func SetFilter(dev int, egress bool, program int, name string) error {
	err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: dev, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact to device %d: %w", dev, err)
	}
	f := filter(dev, egress)
	f.Fd, f.Name, f.DirectAction = program, name, true
	if err := netlink.FilterReplace(f); err != nil {
		return fmt.Errorf("set the filter on device %d: %w", dev, err)
	}
	return nil
}

// DeleteFilter takes our program off a device, if it is there. The clsact stays:
// others may use it, and alone it does nothing.
func DeleteFilter(dev int, egress bool) error {
	err := netlink.FilterDel(filter(dev, egress))
	// Without the device, its clsact (EINVAL) or the filter there is nothing to do.
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete the filter on device %d: %w", dev, err)
	}
	return nil
}

func filter(dev int, egress bool) *netlink.BpfFilter {
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if egress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: dev, Parent: parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: filterPriority,
		},
		Fd: -1,
	}
}
