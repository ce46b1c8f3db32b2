package attach

import (
	"strings"
	"testing"

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
