package realserver

import (
	"slices"

	"weir/internal/netlnk"
)

// setting is an interface sysctl that keeps a real server silent.
type setting struct {
	device, name string
	// value is what Start sets where the present one does not suffice.
	value string
	// enough are the values that do (Documentation/networking/ip-sysctl.rst).
	enough []string
}

// wanted are the settings of a real server. For both names the kernel takes the
// larger of "all" and the device's own value.
func wanted() []setting {
	var all []setting
	for _, device := range []string{"all", loopback} {
		all = append(all,
			// Answer ARP only for addresses of the device that was asked (1),
			// of the asker's subnet besides (2), or never (8).
			setting{device: device, name: "arp_ignore", value: "1", enough: []string{"1", "2", "8"}},
			// Ask others in the name of the sending device's own address, so
			// that nobody learns the virtual address from a request.
			setting{device: device, name: "arp_announce", value: "2", enough: []string{"2"}})
	}
	return all
}

func (w setting) suffices(value string) bool { return slices.Contains(w.enough, value) }

// silence sets what does not suffice.
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

// restore gives a sysctl its old value back, unless somebody else has set it.
func (c sysctlState) restore() error {
	got, err := netlnk.Sysctl(c.Device, c.Name)
	if err != nil || got != c.Set {
		return err
	}
	return netlnk.SetSysctl(c.Device, c.Name, c.Before)
}
