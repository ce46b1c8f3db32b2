package pps

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/lvs"
)

// BenchmarkRouted sends to an address that is no service's, so that the kernel routes the
// frames. Weir's programs are at both devices of the director and let them pass; beside them
// stand empty programs at the same hooks.
func BenchmarkRouted(b *testing.B) {
	n := build(b)
	n.forward(b)
	n.director.IP("route", "add", "192.0.2.200/32", "via", "192.0.2.11", "dev", "out0")
	n.to = routedTo
	plane := n.plane(b, 1<<16)
	for _, v := range []struct {
		name  string
		setUp func(b *testing.B)
	}{
		{"none", func(*testing.B) {}},
		{"empty_tc", func(b *testing.B) { n.empty(b, false) }},
		{"weir_tc", func(b *testing.B) { n.balanceOn(b, plane, lvs.HookTC, entryDev, "out0") }},
		{"empty_native", func(b *testing.B) { n.empty(b, true) }},
		{"weir_native", func(b *testing.B) { n.balanceOn(b, plane, lvs.HookNative, entryDev, "out0") }},
	} {
		b.Run(v.name, func(b *testing.B) {
			v.setUp(b)
			n.measure(b)
			n.set(b, plane, lvs.Plan{})
		})
	}
}

// routedTo is the last byte of the address that is no service's, 192.0.2.200.
const routedTo = 200

// empty attaches programs that do nothing to both devices, where weir's would be.
func (n *network) empty(b *testing.B, xdp bool) {
	for _, dev := range []string{entryDev, "out0"} {
		links := []link.Link{
			n.attachTC(b, n.director, dev, n.programs.PassTC()),
			n.attachTCX(b, n.director, dev, n.programs.PassTC(), ebpf.AttachTCXEgress),
		}
		if xdp {
			links = append(links, n.attach(b, n.director, dev, n.programs.PassXDP()))
		}
		for _, l := range links {
			closeWith(b, l)
		}
	}
}
