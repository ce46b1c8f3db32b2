package conf

import (
	"strings"
	"testing"
)

// log_unknown_vrids has one instance of each interface and family listen for all.
func TestLogUnknownVRIDs(t *testing.T) {
	const instance = "vrrp_instance NAME {\ninterface DEV\nvirtual_router_id NAME\nvirtual_ipaddress {\nVIP\n}\n}\n"
	text := "global_defs {\nlog_unknown_vrids\n}\n"
	for _, i := range [][3]string{{"1", "eth0", "10.0.0.1"}, {"2", "eth0", "10.0.0.2"}, {"3", "eth0", "fd00::1"}, {"4", "eth1", "10.0.0.4"}} {
		text += strings.NewReplacer("NAME", i[0], "DEV", i[1], "VIP", i[2]).Replace(instance)
	}
	for _, on := range []bool{true, false} {
		if !on {
			text = strings.Replace(text, "log_unknown_vrids", "", 1)
		}
		cfg, diags := Parse("main.conf", []byte(text))
		if cfg == nil {
			t.Fatal(diags.All())
		}
		for n, want := range []bool{true, false, true, true} {
			if got := cfg.VRRPInstances[n].LogUnknownVRIDs; got != (want && on) {
				t.Errorf("instance %d listens for all: %v with the word %v", n+1, got, on)
			}
		}
	}
}
