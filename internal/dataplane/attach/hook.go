package attach

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/lvs"
)

// unfinished is why native XDP on a software device loses packets: what their sender has left
// to be done is not told along with a frame that XDP sends on.
const unfinished = ", but packets whose sender leaves checksums to its device are lost: turn that off there (ethtool -K DEVICE tx off)"

// option is a place on a device, and why it is the one.
type option struct {
	hook lvs.Hook
	why  string
}

// choices are the places to try, in order. Auto takes native XDP on real cards
// and virtio, where it is fastest, and tc on software devices: there a local
// sender's unfinished checksums and 64 KB segments reach XDP and are lost
// beyond it, while tc carries them through. Avoid says why auto must not take native
// XDP; "" where it may.
//
// On a device without Ethernet only tc may be asked for (see unfit).
func choices(wanted lvs.Hook, l netlnk.Link, avoid string) []option {
	switch wanted {
	case lvs.HookNative, lvs.HookGeneric, lvs.HookTC:
		why := "the configuration says so"
		if wanted == lvs.HookNative && software(l) {
			why += unfinished
		}
		if avoid != "" && wanted != lvs.HookTC {
			why += ", but XDP loses packets: " + avoid
		}
		return []option{{wanted, why}}
	}
	if l.Layer3 {
		return []option{{lvs.HookTC, fmt.Sprintf("%s has no Ethernet, which XDP needs", l.Name)}}
	}
	if software(l) {
		return []option{{lvs.HookTC, fmt.Sprintf("%s is a software device", l.Kind)}}
	}
	if avoid != "" {
		return []option{{lvs.HookTC, avoid}}
	}
	return []option{
		{lvs.HookNative, fmt.Sprintf("driver %s", l.Driver)},
		{lvs.HookTC, "native XDP is not to be had"},
	}
}

// withRemedy says what to do where another program has a device's XDP hook: a device has one.
func withRemedy(err error) error {
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: another XDP program is attached there: take it off (ip link set DEVICE xdp off), or say hook auto", err)
	}
	return err
}

// software says whether a device's packets come from this machine's own memory.
// Real cards and virtio have no rtnetlink kind, which is shown as "device".
func software(l netlnk.Link) bool { return l.Kind != "device" || l.Driver == "" }

// unfit says why the data plane cannot be attached to a device as it is asked for; nil
// where nothing is known against it.
func unfit(wanted lvs.Hook, l netlnk.Link) error {
	switch {
	case l.Layer3 && isXDP(wanted):
		return fmt.Errorf("hook %s needs Ethernet, which this device does not have: expected hook tc or auto", wanted)
	case !l.Layer3 && len(l.MAC) != 6 && wanted != hookEgress:
		return errors.New("its link layer is not Ethernet, and is not supported")
	}
	return nil
}
