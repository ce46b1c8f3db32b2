package attach

import (
	"fmt"

	"weir/internal/netlnk"
	"weir/lvs"
)

// choice is a place on a device, and why it is the one.
type choice struct {
	hook lvs.Hook
	why  string
}

// choices are the places to try, in order. Auto takes native XDP on real cards
// and virtio, where it is fastest, and tc on software devices: there a local
// sender's unfinished checksums and 64 KB segments reach XDP and are lost
// beyond it, while tc carries them through. Avoid says why auto must not take native
// XDP; "" where it may.
func choices(wanted lvs.Hook, l netlnk.Link, avoid string) []choice {
	switch wanted {
	case lvs.HookNative, lvs.HookGeneric, lvs.HookTC:
		why := "the configuration says so"
		if avoid != "" && wanted != lvs.HookTC {
			why += ", but XDP loses packets: " + avoid
		}
		return []choice{{wanted, why}}
	}
	if software(l) {
		return []choice{{lvs.HookTC, fmt.Sprintf("%s is a software device", l.Kind)}}
	}
	if avoid != "" {
		return []choice{{lvs.HookTC, avoid}}
	}
	return []choice{
		{lvs.HookNative, fmt.Sprintf("driver %s", l.Driver)},
		{lvs.HookTC, "native XDP is not to be had"},
	}
}

// software says whether a device's packets come from this machine's own memory.
// Real cards and virtio have no rtnetlink kind, which is shown as "device".
func software(l netlnk.Link) bool { return l.Kind != "device" || l.Driver == "" }
