package vmac

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"weir/internal/netlnk"
)

// former are settings as they were before the first device of weir's needed others. Their names
// are those of sysctls in net.ipv4.conf: of the interface below, and rp_filter of all
// devices. Nil is of a device that needs none.
type former map[string]int

// mark begins the alias of a device that weir has made.
const mark = "weir"

// kept are the settings that an alias holds, in its order.
var kept = []string{"arp_ignore", "arp_filter", "rp_filter"}

// alias is the text that a device carries.
func (f former) alias() string {
	words := []string{mark}
	for _, name := range kept {
		if value, has := f[name]; has {
			words = append(words, name+"="+strconv.Itoa(value))
		}
	}
	return strings.Join(words, " ")
}

// readAlias reads a device's alias; ours is false for a device that weir has not made.
func readAlias(alias string) (f former, ours bool) {
	words := strings.Fields(alias)
	if len(words) == 0 || words[0] != mark {
		return nil, false
	}
	f = former{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		if n, err := strconv.Atoi(value); err == nil {
			f[name] = n
		}
	}
	return f, true
}

// deviceOf is whose sysctl a kept setting is, with this base.
func deviceOf(setting, base string) string {
	if setting == "rp_filter" {
		return "all"
	}
	return base
}

// formerOf is what the interface below was set to, and all devices, before any device of
// weir's: what these carry, or what is set now.
func formerOf(base string, have []netlnk.Upper) (former, error) {
	f := former{}
	for _, setting := range kept {
		for _, m := range have {
			known, ours := readAlias(m.Alias)
			value, has := known[setting]
			if ours && has && deviceOf(setting, base) == deviceOf(setting, m.Base) {
				f[setting] = value
			}
		}
		if _, known := f[setting]; known {
			continue
		}
		text, err := netlnk.Sysctl(deviceOf(setting, base), setting)
		if err != nil {
			return nil, err
		}
		if f[setting], err = strconv.Atoi(text); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// setSysctls has the device alone answer ARP for its addresses, and take packets whose route
// back leads by its base. Keepalived sets the same (vrrp_if_config.c).
func setSysctls(device, base string) error {
	if err := clearFilter(); err != nil {
		return err
	}
	return errors.Join(
		set(device, "arp_ignore", 1),
		set(device, "accept_local", 1),
		set(device, "rp_filter", 0),
		set(device, "promote_secondaries", 1),
		set(base, "arp_ignore", 1),
		set(base, "arp_filter", 1),
	)
}

func set(device, name string, value int) error {
	want := strconv.Itoa(value)
	if have, err := netlnk.Sysctl(device, name); err == nil && have == want {
		return nil
	}
	return netlnk.SetSysctl(device, name, want)
}

// clearFilter has each device check the route back to a source by its own setting: the kernel
// takes the larger of a device's rp_filter and that of all (IN_DEV_RPFILTER in
// linux/inetdevice.h), and a macvlan device needs 0. All other devices, and those that are to
// come, keep what was in force.
func clearFilter() error {
	text, err := netlnk.Sysctl("all", "rp_filter")
	if err != nil || text == "0" {
		return err
	}
	least, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	names, err := os.ReadDir("/proc/sys/net/ipv4/conf")
	if err != nil {
		return err
	}
	for _, n := range names {
		have, err := netlnk.Sysctl(n.Name(), "rp_filter")
		if err != nil {
			continue // it has gone meanwhile
		}
		if value, err := strconv.Atoi(have); err == nil && n.Name() != "all" && value < least {
			if err := netlnk.SetSysctl(n.Name(), "rp_filter", text); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
				return err
			}
		}
	}
	return netlnk.SetSysctl("all", "rp_filter", "0")
}

// putBack sets again what was set before a device that has gone, where none that stays needs
// what is set now.
func putBack(gone netlnk.Upper, stay []netlnk.Upper) error {
	was, _ := readAlias(gone.Alias)
	for _, m := range stay {
		known, _ := readAlias(m.Alias)
		for setting := range known {
			if deviceOf(setting, gone.Base) == deviceOf(setting, m.Base) {
				delete(was, setting)
			}
		}
	}
	var errs []error
	for setting, value := range was {
		device := deviceOf(setting, gone.Base)
		if device == "" {
			continue // in another namespace
		}
		if err := set(device, setting, value); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
