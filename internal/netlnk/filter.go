package netlnk

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FilterPlace is one of weir's places among the filters of a device's clsact qdisc.
type FilterPlace int

const (
	// FilterIngress and FilterEgress hold the data plane's programs.
	FilterIngress FilterPlace = iota
	FilterEgress
	// FilterDecap holds a real server's decapsulating program. It runs after
	// FilterIngress, so that a director on the same machine sees the packets of a
	// tunnel only in their outer header, and does not balance again what another
	// director has balanced.
	FilterDecap
)

// filterPlaces have high priority numbers, so that filters of others usually run first.
// filterHandle ("weir" in ASCII) tells weir's filters from others'.
var filterPlaces = [...]struct {
	parent   uint32
	priority uint16
}{
	FilterIngress: {netlink.HANDLE_MIN_INGRESS, 100},
	FilterEgress:  {netlink.HANDLE_MIN_EGRESS, 100},
	FilterDecap:   {netlink.HANDLE_MIN_INGRESS, 101},
}

const filterHandle = 0x77656972

// SetFilter attaches a BPF program, by its file descriptor, to a device as a
// direct-action filter, and adds the clsact qdisc where it is missing. Dev is the
// device's index. The kernel replaces a program that was set before without a gap. The
// filter stays when the process ends, and goes with its device.
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

// DeleteFilter removes weir's filter from a device. That there is none, or no such
// device, is no error. The clsact qdisc stays: others may use it, and without filters it
// does nothing.
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

// FilterProgram is the kernel's ID of weir's BPF program on a device; 0 where there is
// none, or no such device.
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

// noFilter says whether an error means that the device, its clsact qdisc (EINVAL) or the
// filter does not exist.
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
