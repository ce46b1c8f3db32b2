package conf

import (
	"fmt"
	"time"

	"weir/lvs"
)

// resolve makes the typed Config of what the text says: inheritance, defaults,
// and the rules that span blocks.
func resolve(r *reader, raw *rawConfig) *Config {
	return &Config{
		Global: Global{
			NotificationEmail:  raw.global.mail,
			SMTPConnectTimeout: raw.global.timeout.value(30 * time.Second),
			RouterID:           raw.global.router.value(""),
		},
		VRRPInstances:  resolveInstances(r, raw.instances),
		VirtualServers: resolveServices(r, raw.services),
		Devices:        resolveDevices(&raw.weir),
	}
}

func resolveDevices(w *rawWeir) []lvs.Device {
	var devices []lvs.Device
	for _, d := range w.devices {
		devices = append(devices, lvs.Device{Name: d.name, Hook: d.hook.value(lvs.HookAuto)})
	}
	return devices
}

// unique tells whether a key is new, and gives a diagnostic naming the first
// place when it is not.
func unique[K comparable](r *reader, first map[K]place, key K, at place, what string) bool {
	before, taken := first[key]
	if taken {
		r.errorAt(at, what, "take one of them out", fmt.Sprintf("first given at %s", before))
		return false
	}
	first[key] = at
	return true
}
