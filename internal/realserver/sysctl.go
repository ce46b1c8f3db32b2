package realserver

import (
	"slices"

	"weir/internal/netlnk"
)

// setting is a sysctl of a device that keeps a real server from answering ARP for the
// VIP, or from announcing it.
type setting struct {
	device, name string
	// value is what Start sets where the present value does not suffice.
	value string
	// enough are the values that suffice (Documentation/networking/ip-sysctl.rst).
	enough []string
}

// wanted are the settings of a real server. For both sysctls the kernel uses the larger of
// the value of "all" and the device's own.
func wanted() []setting {
	var all []setting
	for _, device := range []string{"all", loopback} {
		all = append(all,
			// 1: answer ARP only for addresses of the device that the request came in on;
			// 2: and only to senders of the same subnet; 8: never.
			setting{device: device, name: "arp_ignore", value: "1", enough: []string{"1", "2", "8"}},
			// 2: send ARP requests from an address of the sending device, so that nobody
			// learns the VIP from a request.
			setting{device: device, name: "arp_announce", value: "2", enough: []string{"2"}})
	}
	return all
}

func (w setting) suffices(value string) bool { return slices.Contains(w.enough, value) }

// silence sets the sysctls whose present value does not suffice.
func silence() error {
	for _, w := range wanted() {
		got, err := netlnk.Sysctl(w.device, w.name)
		if err != nil {
			return err
		}
		if w.suffices(got) {
			continue
		}
		if err := netlnk.SetSysctl(w.device, w.name, w.value); err != nil {
			return err
		}
	}
	return nil
}

// restore sets a sysctl to its old value, unless somebody has changed it since Start.
func (c sysctlState) restore() error {
	got, err := netlnk.Sysctl(c.Device, c.Name)
	if err != nil || got != c.Set {
		return err
	}
	return netlnk.SetSysctl(c.Device, c.Name, c.Before)
}
