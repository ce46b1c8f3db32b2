package conf

import (
	"fmt"
	"strings"
	"testing"
)

// track_quorum of the weir block reaches its instance; mistakes about it are told.
func TestTrackQuorum(t *testing.T) {
	const file = `vrrp_instance V {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress {
        10.0.0.1
    }
}
virtual_server 10.0.0.1 80 {
    protocol TCP
    real_server 10.0.0.2 80 {
    }
}
weir {
    BLOCK
}
`
	for _, tt := range []struct {
		block, want string // the weight, or what is said
	}{
		{"", ""},
		{"vrrp V {\ntrack_quorum -20\n}", "-20"},
		{"vrrp V {\ntrack_quorum 0\n}", "0"},
		{"vrrp V {\n}", ""},
		{"vrrp W {\ntrack_quorum 5\n}", "there is no vrrp_instance W"},
		{"vrrp V {\ntrack_quorum 5\n}\nvrrp V {\n}", "vrrp V is given twice"},
		{"vrrp V {\ntrack_quorum 254\n}", "out of range"},
		{"vrrp_instance V {\ntrack_quorum 25\n}", "write weir { vrrp NAME"},
	} {
		cfg, diags := Parse("main.conf", []byte(strings.Replace(file, "BLOCK", tt.block, 1)))
		said := fmt.Sprint(diags.All())
		switch {
		case cfg != nil && string(cfg.VRRPInstances[0].Beyond.TrackQuorum) != tt.want:
			t.Errorf("%q: %q, want %q", tt.block, cfg.VRRPInstances[0].Beyond.TrackQuorum, tt.want)
		case cfg == nil && !strings.Contains(said, tt.want):
			t.Errorf("%q: %s, want %q", tt.block, said, tt.want)
		}
	}
	alone := strings.Replace(strings.Replace(file, "BLOCK", "vrrp V {\ntrack_quorum 5\n}", 1), "virtual_server 10.0.0.1", "virtual_server 10.0.0.9", 1)
	if _, diags := Parse("main.conf", []byte(alone)); !strings.Contains(fmt.Sprint(diags.All()), "track_quorum has no effect") {
		t.Errorf("without a virtual_server: %s", fmt.Sprint(diags.All()))
	}
}
