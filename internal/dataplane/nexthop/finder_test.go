package nexthop

import (
	"net"
	"testing"

	"weir/internal/netlnk"
)

func TestFreshest(t *testing.T) {
	known := netlnk.NextHop{Index: 2, Dst: net.HardwareAddr{2, 0, 0, 0, 0, 0x11}, Src: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Valid: true}
	lost := netlnk.NextHop{Index: 2, Src: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	renamed := netlnk.NextHop{Index: 2, Src: net.HardwareAddr{2, 0, 0, 0, 0, 9}, MTU: 1280}
	fromThere := netlnk.NextHop{Index: 2, Dst: known.Dst, Src: renamed.Src, MTU: 1280, Valid: true}
	refused := netlnk.NextHop{Index: 2, Src: known.Src, Refused: "no packet can be sent by it"}
	failed := netlnk.NextHop{Index: 2, Src: known.Src, Unreachable: true}
	noRoute := netlnk.NextHop{Unreachable: true}
	elsewhere := netlnk.NextHop{Index: 3, Src: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	local := netlnk.NextHop{Local: true}
	for _, tt := range []struct {
		name             string
		old, found, want netlnk.NextHop
	}{
		{"a forgotten neighbour keeps its address", known, lost, known},
		{"the device has another address and MTU", known, renamed, fromThere},
		{"the device sends nothing any more", known, refused, refused},
		{"another path is taken at once", known, elsewhere, elsewhere},
		{"an address that became ours", known, local, local},
		{"found", lost, known, known},
		{"it does not answer any more", known, failed, failed},
		{"it has not answered, and is asked again", failed, lost, failed},
		{"it answers again", failed, known, known},
		{"it has not answered, and another path is taken", failed, elsewhere, elsewhere},
		{"there was no route", noRoute, lost, lost},
		{"there is no route any more", known, noRoute, noRoute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Freshest(tt.old, tt.found); !Same(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
