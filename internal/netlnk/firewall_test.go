package netlnk_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

func TestFirewallChains(t *testing.T) {
	ns := nstest.New(t, "fw")
	ns.Do(func() {
		for _, tt := range []struct {
			rules string
			want  []string
		}{
			{"", nil},
			{`table inet filter {
				chain input { type filter hook input priority filter; policy accept; }
				chain output { type filter hook output priority filter; policy drop; }
			}
			table ip nat {
				chain post { type nat hook postrouting priority srcnat; masquerade; }
			}`, nil},
			{"add rule inet filter input ip saddr 203.0.113.1 drop", []string{"inet filter input"}},
			{`table ip raw {
				chain pre { type filter hook prerouting priority raw; policy drop; }
			}
			table ip6 six {
				chain pass { type filter hook forward priority filter; counter; }
			}
			table netdev early {
				chain in { type filter hook ingress device lo priority -500; drop; }
			}
			table inet ing {
				chain in { type filter hook ingress device lo priority -500; drop; }
			}`,
				[]string{"inet filter input", "inet ing in", "ip raw pre", "ip6 six pass", "netdev early in"}},
			{"flush ruleset", nil},
		} {
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader(tt.rules)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("nft: %v: %s", err, out)
			}
			got, err := netlnk.FirewallChains()
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("after\n%s\n%q, %v, want %q", tt.rules, got, err, tt.want)
			}
		}
	})
}
