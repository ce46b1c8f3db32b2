package attach

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/lvs"
)

func TestChoices(t *testing.T) {
	veth := netlnk.Link{Kind: "veth", Driver: "veth"}
	card := netlnk.Link{Kind: "device", Driver: "ixgbe"}
	virtio := netlnk.Link{Kind: "device", Driver: "virtio_net"}
	for _, tt := range []struct {
		name   string
		wanted lvs.Hook
		link   netlnk.Link
		want   string
	}{
		{"auto on a real card", lvs.HookAuto, card, "native tc"},
		{"auto on virtio", lvs.HookAuto, virtio, "native tc"},
		{"auto on veth", lvs.HookAuto, veth, "tc"},
		{"auto on a bridge", lvs.HookAuto, netlnk.Link{Kind: "bridge", Driver: "bridge"}, "tc"},
		{"auto on a device without Ethernet", lvs.HookAuto, netlnk.Link{Kind: "device", Driver: "wwan", Layer3: true}, "tc"},
		{"nothing said is auto", "", veth, "tc"},
		{"native wherever it is asked for", lvs.HookNative, veth, "native"},
		{"generic", lvs.HookGeneric, card, "generic"},
		{"tc", lvs.HookTC, card, "tc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range choices(tt.wanted, tt.link, "") {
				got = append(got, string(c.hook))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// Native XDP that was asked for says what it loses where frames come from this machine's own
// memory.
func TestChoicesSayWhatIsLost(t *testing.T) {
	for _, tt := range []struct {
		hook lvs.Hook
		link netlnk.Link
		want bool
	}{
		{lvs.HookNative, netlnk.Link{Kind: "veth", Driver: "veth"}, true},
		{lvs.HookNative, netlnk.Link{Kind: "device", Driver: "virtio_net"}, false},
		{lvs.HookGeneric, netlnk.Link{Kind: "veth", Driver: "veth"}, false},
		{lvs.HookTC, netlnk.Link{Kind: "veth", Driver: "veth"}, false},
	} {
		if why := choices(tt.hook, tt.link, "")[0].why; strings.Contains(why, "are lost") != tt.want {
			t.Errorf("%s on %s: %s", tt.hook, tt.link.Kind, why)
		}
	}
}

func TestUnfit(t *testing.T) {
	tun := netlnk.Link{Name: "tun0", Kind: "tun", Layer3: true}
	card := netlnk.Link{Name: "eth0", Kind: "device", MAC: make([]byte, 6)}
	infiniband := netlnk.Link{Name: "ib0", Kind: "device", MAC: make([]byte, 20)}
	for _, tt := range []struct {
		name   string
		wanted lvs.Hook
		link   netlnk.Link
		want   string
	}{
		{"auto without Ethernet", lvs.HookAuto, tun, ""},
		{"tc without Ethernet", lvs.HookTC, tun, ""},
		{"native XDP without Ethernet", lvs.HookNative, tun, "hook native needs Ethernet"},
		{"generic XDP without Ethernet", lvs.HookGeneric, tun, "hook generic needs Ethernet"},
		{"native XDP on a card", lvs.HookNative, card, ""},
		{"InfiniBand", lvs.HookAuto, infiniband, "not Ethernet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := unfit(tt.wanted, tt.link)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A hook that another program has is told with what to do; other errors are left alone.
func TestHookTaken(t *testing.T) {
	for want, err := range map[string]error{
		"create link: device or resource busy: another XDP program is attached there: take it off (ip link set DEVICE xdp off), or say hook auto": fmt.Errorf("create link: %w", unix.EBUSY),
		"create link: operation not supported": fmt.Errorf("create link: %w", unix.EOPNOTSUPP),
	} {
		if got := withRemedy(err); got.Error() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
