package conf

import (
	"strings"
	"testing"
)

// A spare_tier names real servers of its virtual_server, each once.
func TestSpareTier(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"spare_tier 1 192.0.2.12", "1 192.0.2.12:80 192.0.2.12:81"},
		{"spare_tier 2 192.0.2.12:81 192.0.2.13", "2 192.0.2.12:81 192.0.2.13:80"},
		{"spare_tier 1 192.0.2.13\nspare_tier 2 192.0.2.12:80", "1 192.0.2.13:80, 2 192.0.2.12:80"},
		{"spare_tier 1 192.0.2.13 192.0.2.13", "spare_tier names 192.0.2.13:80 twice"},
		{"spare_tier 1 192.0.2.12:80\nspare_tier 1 192.0.2.12", "spare_tier names 192.0.2.12:80 twice"},
		{"spare_tier 1 192.0.2.99", "192.0.2.99 is no real_server of this virtual_server"},
		{"spare_tier 1 192.0.2.12:82", "192.0.2.12:82 is no real_server of this virtual_server"},
		{"spare_tier 1 x", `"x" is no IP, and no IP:PORT`},
		{"spare_tier 1", "spare_tier names no server"},
		{"spare_tier 0 192.0.2.12", "0 is out of range"},
		{"spare_tier", "spare_tier lacks its value"},
		{"spare_tier 1 192.0.2.11 192.0.2.12 192.0.2.13", "every real server of this virtual_server is a spare one"},
	} {
		text := "virtual_server 192.0.2.100 80 {\nprotocol TCP\nlb_kind NAT\nreal_server 192.0.2.11 80 {\n}\nreal_server 192.0.2.12 80 {\n}\nreal_server 192.0.2.12 81 {\n}\nreal_server 192.0.2.13 80 {\n}\n}\n" +
			"weir {\nservice TCP 192.0.2.100 80 {\n" + tt.words + "\n}\n}\n"
		c, diagnostics := Parse("k.conf", []byte(text))
		var got []string
		for _, d := range diagnostics.All() {
			if strings.Contains(d.Message, "spare") || strings.Contains(d.Message, "real_server of") || strings.Contains(d.Message, "range") || strings.Contains(d.Message, "no IP") {
				got = append(got, d.Message)
			}
		}
		if c != nil && len(got) == 0 {
			for _, tier := range c.VirtualServers[0].Beyond.Spares {
				got = append(got, tier.String())
			}
		}
		if got := strings.Join(got, ", "); !strings.Contains(got, tt.want) || got == "" {
			t.Errorf("%s: %q, want %q", tt.words, got, tt.want)
		}
	}
}
