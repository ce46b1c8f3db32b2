package conf

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// The preferred lifetime of a VIP: an IPv6 address of which nothing is said is deprecated.
// The word has its effect, so that nothing is noted of it.
func TestPreferredLifetime(t *testing.T) {
	lines := []struct {
		text string
		want uint32
	}{
		{"2001:db8::1", 0},
		{"2001:db8::2/64", 0},
		{"2001:db8::3 preferred_lft 0", 0},
		{"2001:db8::4 preferred_lft 20", 20},
		{"2001:db8::5/64 preferred_lft forever", math.MaxUint32},
		{"192.0.2.1", math.MaxUint32},
		{"192.0.2.2/24 preferred_lft forever", math.MaxUint32},
	}
	var block strings.Builder
	for _, l := range lines {
		block.WriteString(l.text + "\n")
	}
	cfg, diags := parseMemory(memory{"main.conf": bareInstance + "virtual_ipaddress_excluded {\n" + block.String() + "}\n}\n"}, "main.conf")
	if text := fmt.Sprint(diags.All()); cfg == nil || strings.Contains(text, "preferred_lft") {
		t.Fatal(text)
	}
	for i, v := range cfg.VRRPInstances[0].Excluded {
		if got := v.Preferred(); got != lines[i].want {
			t.Errorf("%s: %d s, want %d", lines[i].text, got, lines[i].want)
		}
	}
}
