package netlnk_test

import (
	"os/exec"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// The far end of a veth device takes packets at once where it is in another namespace, up and
// without an XDP program, and nothing works on what leaves by the device.
func TestFarEndTakes(t *testing.T) {
	near, far := pair(t)
	command := func(words ...string) {
		t.Helper()
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", words, err, out)
		}
	}
	takes := func(device string) (takes bool) {
		index := link(t, device).Index
		end, ok, err := netlnk.FarEndOf(index)
		if err == nil && ok {
			takes, err = end.Takes(index)
		}
		if err != nil {
			t.Fatal(err)
		}
		return takes
	}
	for _, step := range []struct {
		name   string
		in     *nstest.Namespace
		change []string
		want   bool
	}{
		{"as it is made", near, []string{"true"}, true},
		{"a queue", near, []string{"tc", "qdisc", "add", "dev", "ens160", "root", "pfifo"}, false},
		{"without it", near, []string{"tc", "qdisc", "del", "dev", "ens160", "root"}, true},
		{"clsact alone", near, []string{"tc", "qdisc", "add", "dev", "ens160", "clsact"}, true},
		{"a filter of what comes in", near, []string{"tc", "filter", "add", "dev", "ens160", "ingress", "bpf", "bytecode", "1,6 0 0 4294967295,"}, true},
		{"a filter of what leaves", near, []string{"tc", "filter", "add", "dev", "ens160", "egress", "bpf", "bytecode", "1,6 0 0 4294967295,"}, false},
		{"without it", near, []string{"tc", "filter", "del", "dev", "ens160", "egress"}, true},
		{"the far end down", far, []string{"ip", "link", "set", "ens160", "down"}, false},
		{"and up", far, []string{"ip", "link", "set", "ens160", "up"}, true},
	} {
		step.in.Do(func() { command(step.change...) })
		near.Do(func() {
			if got := takes("ens160"); got != step.want {
				t.Errorf("%s: %t, want %t", step.name, got, step.want)
			}
		})
	}
	far.Do(func() { nstest.PassXDP(t, "ens160") })
	near.Batch("link add here type veth peer name there", "link set here up", "link set there up", "link add br0 type bridge")
	near.Do(func() {
		for device, why := range map[string]string{
			"ens160": "its far end has an XDP program", "here": "its far end is here, too", "br0": "it is a bridge", "lo": "it is lo",
		} {
			if takes(device) {
				t.Errorf("the far end of %s takes packets, though %s", device, why)
			}
		}
	})
}

// A chain of nftables works on what leaves by a device.
func TestChainsAtEgress(t *testing.T) {
	near, _ := pair(t)
	near.Do(func() {
		for _, step := range []struct {
			rules string
			want  bool
		}{
			{"table inet filter { chain out { type filter hook output priority 0; policy accept; }\n}", false},
			{"table netdev in { chain in { type filter hook ingress device ens160 priority 0; policy accept; }\n}", false},
			{"table netdev out { chain out { type filter hook egress device ens160 priority 0; policy accept; }\n}", true},
			{"delete table netdev out", false},
		} {
			nft := exec.Command("nft", "-f", "-")
			nft.Stdin = strings.NewReader(step.rules + "\n")
			if out, err := nft.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", step.rules, err, out)
			}
			if got, err := netlnk.ChainsAtEgress(); got != step.want || err != nil {
				t.Errorf("after %q: %t, %v, want %t", step.rules, got, err, step.want)
			}
		}
	})
}
