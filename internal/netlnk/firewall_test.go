package netlnk_test

import (
	"context"
	"fmt"
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
			nft(t, tt.rules)
			got, err := netlnk.FirewallChains()
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("after\n%s\n%q, %v, want %q", tt.rules, got, err, tt.want)
			}
		}
	})
}

func TestLegacyTables(t *testing.T) {
	ns := nstest.New(t, "fwl")
	ns.Do(func() {
		for _, tt := range []struct {
			command string
			want    []string
		}{
			{"iptables-legacy -L -n", nil},
			{"iptables-legacy -t nat -A POSTROUTING -j MASQUERADE", nil},
			{"iptables-legacy -A INPUT -s 203.0.113.1 -j DROP", []string{"iptables-legacy filter"}},
			{"ip6tables-legacy -A FORWARD -s 2001:db8::1 -j DROP", []string{"ip6tables-legacy filter", "iptables-legacy filter"}},
			{"iptables-legacy -F", []string{"ip6tables-legacy filter"}},
		} {
			if out, err := exec.Command("sh", "-c", tt.command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", tt.command, err, out)
			}
			got, err := netlnk.FirewallChains()
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("after %s: %q, %v, want %q", tt.command, got, err, tt.want)
			}
		}
	})
}

// A change of nftables' rules is reported once, however many rules it has; changes elsewhere are
// none of it.
func TestWatchFirewall(t *testing.T) {
	ns, other := nstest.New(t, "fww"), nstest.New(t, "fwo")
	ctx, cancel := context.WithCancel(t.Context())
	var changes <-chan netlnk.Event
	ns.Do(func() {
		var err error
		if changes, err = netlnk.WatchFirewall(ctx); err != nil {
			t.Fatal(err)
		}
	})
	table := func(n int) string {
		return fmt.Sprintf("table inet t%d { chain input { type filter hook input priority 0; tcp dport 1 drop; tcp dport 2 drop; }; }", n)
	}
	other.Do(func() { nft(t, table(0)) })
	for n := range 3 {
		ns.Do(func() { nft(t, table(n)) })
		if e := <-changes; e.Kind != netlnk.FirewallChanged {
			t.Errorf("table %d: %s, want %s", n, e.Kind, netlnk.FirewallChanged)
		}
	}
	cancel()
	for e := range changes {
		t.Errorf("reported beyond: %s", e.Kind)
	}
}

func nft(t *testing.T, rules string) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}
