package netlnk_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"weir/internal/netlnk"
)

// A filter is set, its program replaced, and taken off, on either side, and
// neither without clsact nor without the device is there anything to take off.
func TestFilter(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		dev := link(t, "ens160").Index
		for side, egress := range map[string]bool{"ingress": false, "egress": true} {
			shown := func() string {
				out, err := exec.Command("tc", "-n", near.Name, "filter", "show", "dev", "ens160", side).CombinedOutput()
				if err != nil {
					t.Fatalf("tc: %v\n%s", err, out)
				}
				return string(out)
			}
			if err := netlnk.DeleteFilter(dev, egress); err != nil {
				t.Errorf("delete none: %v", err)
			}
			for _, name := range []string{"first", "second"} {
				if err := netlnk.SetFilter(dev, egress, program(t).FD(), name); err != nil {
					t.Fatal(err)
				}
				if got := shown(); strings.Count(got, "direct-action") != 1 || !strings.Contains(got, name) {
					t.Errorf("%s after %s:\n%s", side, name, got)
				}
			}
			if err := netlnk.DeleteFilter(dev, egress); err != nil {
				t.Error(err)
			}
			if got := shown(); strings.Contains(got, "direct-action") {
				t.Errorf("%s after the deletion:\n%s", side, got)
			}
		}
		if err := netlnk.SetFilter(dev+1000, false, program(t).FD(), "x"); err == nil {
			t.Error("set on no device: no error")
		}
		if err := netlnk.DeleteFilter(dev+1000, false); err != nil {
			t.Errorf("delete from no device: %v", err)
		}
	})
}

// program is one that lets packets pass.
func program(t *testing.T) *ebpf.Program {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
