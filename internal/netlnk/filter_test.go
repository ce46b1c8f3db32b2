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

// At each place a filter is set, its program replaced, and the filter deleted, beside
// filters at the other places. Deleting where there is no filter, no clsact or no device
// is no error.
func TestFilter(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		dev := link(t, "ens160").Index
		others := map[string]int{}
		for _, tt := range []struct {
			side  string
			place netlnk.FilterPlace
		}{{"ingress", netlnk.FilterIngress}, {"egress", netlnk.FilterEgress}, {"ingress", netlnk.FilterDecap}} {
			side, place := tt.side, tt.place
			shown := func() string {
				out, err := exec.Command("tc", "-n", near.Name, "filter", "show", "dev", "ens160", side).CombinedOutput()
				if err != nil {
					t.Fatalf("tc: %v\n%s", err, out)
				}
				return string(out)
			}
			if err := netlnk.DeleteFilter(dev, place); err != nil {
				t.Errorf("delete none: %v", err)
			}
			wantProgram(t, dev, place, 0)
			for _, name := range []string{"first", "second"} {
				p := program(t)
				if err := netlnk.SetFilter(dev, place, p.FD(), name); err != nil {
					t.Fatal(err)
				}
				if got := shown(); strings.Count(got, "direct-action") != 1+others[side] || !strings.Contains(got, name) {
					t.Errorf("%s after %s:\n%s", side, name, got)
				}
				wantProgram(t, dev, place, idOf(t, p))
			}
			if err := netlnk.DeleteFilter(dev, place); err != nil {
				t.Error(err)
			}
			if got := shown(); strings.Count(got, "direct-action") != others[side] {
				t.Errorf("%s after the deletion:\n%s", side, got)
			}
			wantProgram(t, dev, place, 0)
			if err := netlnk.SetFilter(dev, place, program(t).FD(), "stays"); err != nil {
				t.Fatal(err)
			}
			others[side]++
		}
		if err := netlnk.SetFilter(dev+1000, netlnk.FilterIngress, program(t).FD(), "x"); err == nil {
			t.Error("set on no device: no error")
		}
		if err := netlnk.DeleteFilter(dev+1000, netlnk.FilterIngress); err != nil {
			t.Errorf("delete from no device: %v", err)
		}
		wantProgram(t, dev+1000, netlnk.FilterIngress, 0)
	})
}

func wantProgram(t *testing.T, dev int, place netlnk.FilterPlace, want int) {
	t.Helper()
	if got, err := netlnk.FilterProgram(dev, place); err != nil || got != want {
		t.Errorf("place %d of device %d has program %d, %v, want %d", place, dev, got, err, want)
	}
}

func idOf(t *testing.T, p *ebpf.Program) int {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return int(id)
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
