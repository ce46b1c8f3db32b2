package pps

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"weir/lvs"
)

// ipvsRounds is the number of rounds of one run, besides one to warm up: the guest with IPVS
// is slow, above all while the verifier checks the programs.
const ipvsRounds, ipvsFrames = 7, 40_000

// BenchmarkIPVS is `make bench-vm`: BenchmarkPPS beside the kernel's IPVS, by direct routing
// and NAT. Each figure is the median of interleaved rounds.
func BenchmarkIPVS(b *testing.B) {
	loadIPVS(b)
	n := build(b)
	n.forward(b)
	n.director.IP("addr", "add", "192.0.2.100/32", "dev", "lo")
	plane := n.plane(b, 1<<16)
	rounds := map[string][]float64{}
	measure := func(name string, port byte) {
		rounds[name] = append(rounds[name], n.perPacket(b, port, ipvsFrames))
	}
	both := func(name string) {
		for _, port := range []byte{direct, masqueraded} {
			n.establish(b, port)
			measure(map[byte]string{direct: "dr/", masqueraded: "nat/"}[port]+name, port)
		}
	}
	for round := range 1 + ipvsRounds {
		n.set(b, plane, lvs.Plan{})
		dropping := n.attach(b, n.director, "in0", n.programs.Sink())
		measure("floor", direct)
		dropping.Close()
		n.ipvs(b)
		both("ipvs")
		n.ipvsadm(b, "-C")
		n.balance(b, plane, lvs.HookNative)
		both("weir_native")
		n.balance(b, plane, lvs.HookTC)
		both("weir_tc")
		if round == 0 {
			clear(rounds)
		}
	}
	report(b, rounds)
}

// loadIPVS loads IPVS, of which a namespace has its own only where that is done before the
// namespace is made.
func loadIPVS(b *testing.B) {
	if out, err := exec.Command("modprobe", "ip_vs").CombinedOutput(); err != nil {
		b.Fatalf("this kernel has no IPVS; make bench-vm starts a guest that has: %v\n%s", err, out)
	}
}

// ipvs gives the kernel's IPVS the same services as weir's.
func (n *network) ipvs(b *testing.B) {
	for port, method := range map[int]string{direct: "-g", masqueraded: "-m"} {
		n.ipvsadm(b, "-A", "-t", fmt.Sprintf("192.0.2.100:%d", port), "-s", "rr")
		n.ipvsadm(b, "-a", "-t", fmt.Sprintf("192.0.2.100:%d", port), "-r", fmt.Sprintf("192.0.2.11:%d", port), method)
	}
}

// ipvsadmLines runs ipvsadm once for several commands.
func (n *network) ipvsadmLines(b *testing.B, lines []string) {
	n.director.Do(func() {
		restore := exec.Command("ipvsadm", "-R")
		restore.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := restore.CombinedOutput(); err != nil {
			b.Fatalf("ipvsadm -R: %v\n%s", err, out)
		}
	})
}

func (n *network) ipvsadm(b *testing.B, args ...string) {
	n.director.Do(func() {
		if out, err := exec.Command("ipvsadm", args...).CombinedOutput(); err != nil {
			b.Fatalf("ipvsadm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	})
}
