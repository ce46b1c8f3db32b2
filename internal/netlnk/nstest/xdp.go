package nstest

import (
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// PassXDP attaches an XDP program that passes all frames to a device of the calling
// thread's namespace, until the test ends. A veth device accepts a frame that was sent to
// it by XDP only while it runs an XDP program itself.
func PassXDP(t testing.TB, device string) {
	t.Helper()
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatalf("load a program that passes: %v", err)
	}
	defer pass.Close()
	dev, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: dev.Index, Flags: link.XDPDriverMode})
	if err != nil {
		t.Fatalf("attach a program that passes to %s: %v", device, err)
	}
	t.Cleanup(func() { l.Close() })
}
