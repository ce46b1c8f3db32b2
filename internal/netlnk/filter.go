package netlnk

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FilterPlace is one of our places among the filters of a device's clsact.
type FilterPlace int

const (
	// FilterIngress and FilterEgress are the data plane's.
	FilterIngress FilterPlace = iota
	FilterEgress
	// FilterDecap is the end of a real server's tunnels. It comes after
	// FilterIngress, so that a director there meets tunnelled packets only in
	// their tunnel, and never balances again what another has sent here.
	FilterDecap
)

// filterPlaces stand behind what others put first, and under a handle that tells
// them from others' ("weir").
var filterPlaces = [...]struct {
	parent   uint32
	priority uint16
}{
	FilterIngress: {netlink.HANDLE_MIN_INGRESS, 100},
	FilterEgress:  {netlink.HANDLE_MIN_EGRESS, 100},
	FilterDecap:   {netlink.HANDLE_MIN_INGRESS, 101},
}

const filterHandle = 0x77656972

// SetFilter has a BPF program, by its file descriptor, see the packets of a
// device. A program that was set before is replaced without a gap. The filter
// stays when the process ends.
func SetFilter(dev int, place FilterPlace, program int, name string) error {
	err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: dev, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact to device %d: %w", dev, err)
	}
	f := filter(dev, place)
	f.Fd, f.Name, f.DirectAction = program, name, true
	if err := netlink.FilterReplace(f); err != nil {
		return fmt.Errorf("set the filter on device %d: %w", dev, err)
	}
	return nil
}

// DeleteFilter takes our program off a device, if it is there. The clsact stays:
// others may use it, and alone it does nothing.
func DeleteFilter(dev int, place FilterPlace) error {
	err := netlink.FilterDel(filter(dev, place))
	if noFilter(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete the filter on device %d: %w", dev, err)
	}
	return nil
}

// FilterProgram is the number by which the kernel knows our program on a device;
// 0 where there is none.
func FilterProgram(dev int, place FilterPlace) (id int, err error) {
	want := filter(dev, place)
	all, err := dump(func() ([]netlink.Filter, error) {
		return netlink.FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: dev}}, want.Parent)
	})
	if err != nil && !noFilter(err) {
		return 0, fmt.Errorf("list the filters of device %d: %w", dev, err)
	}
	for _, f := range all {
		if bpf, ok := f.(*netlink.BpfFilter); ok && bpf.Priority == want.Priority && bpf.Handle == want.Handle {
			return bpf.Id, nil
		}
	}
	return 0, nil
}

// noFilter is what the kernel says without the device, its clsact (EINVAL), or
// the filter there.
func noFilter(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT)
}

func filter(dev int, place FilterPlace) *netlink.BpfFilter {
	p := filterPlaces[place]
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: dev, Parent: p.parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: p.priority,
		},
		Fd: -1,
	}
}
