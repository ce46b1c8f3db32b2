package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// bfdPeer is BIRD's side of a session with the director.
const bfdPeer = `
router id 1.1.1.1;
protocol device {}
protocol bfd {
	interface "ens160" { interval 50 ms; idle tx interval 1 s; multiplier 5; };
	neighbor 192.168.25.31 dev "ens160" local 192.168.25.32;
}
`

// TestTrackBFDLikeKeepalived gives weir and keepalived the same file, which tracks a session
// with BIRD, and wants the VIPs of both to come and go with the session in the same way.
func TestTrackBFDLikeKeepalived(t *testing.T) {
	t.Parallel()
	const session = "bfd_instance B {\nneighbor_ip 192.168.25.32\nsource_ip 192.168.25.31\nmin_rx 50\nmin_tx 50\n%s}\n"
	const here, both = "192.168.25.101", "192.168.25.101 192.168.26.102"
	group := "vrrp_sync_group G {\ngroup {\nVI_1\nVI_2\n}\ntrack_bfd {\nB\n}\n}\n"
	for _, tt := range []struct {
		name, conf, rival string
		down, up          string // what the director has while the session is down, and up
		short             bool   // it is part of short runs, too
	}{
		{"a fault", fmt.Sprintf(session, "") + instance(1, "ens160", 100, "track_bfd {\nB\n}"), "", "", here, true},
		{"in reverse", fmt.Sprintf(session, "") + instance(1, "ens160", 100, "track_bfd {\nB weight 0 reverse\n}"), "", here, "", false},
		{"a weight of the session", fmt.Sprintf(session, "weight -20\n") + instance(1, "ens160", 100, "track_bfd {\nB\n}"), instance(1, "ens160", 90, ""), "", here, true},
		{"a weight of the line", fmt.Sprintf(session, "") + instance(1, "ens160", 80, "track_bfd {\nB weight 20\n}"), instance(1, "ens160", 90, ""), "", here, false},
		{"a group", fmt.Sprintf(session, "vrrp\n") + group + twoOf(""), "", "", both, false},
	} {
		if !tt.short && !*all {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"weir", "keepalived"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					st := newStage(t, &story{conf: tt.conf})
					text := tt.conf
					if name == "weir" {
						text = smallTables + text
					}
					if tt.rival != "" {
						startProgram(t, st.other, "keepalived", tt.rival)
						eventually(t, "the rival is master", patience, func() bool { return st.other.owns(t, netip.MustParseAddr(here)) })
					}
					d := startProgram(t, st.host, name, text)
					has := func(vips string) {
						t.Helper()
						eventually(t, fmt.Sprintf("%s has %q", name, vips), patience, func() bool { return d.vips(t) == strings.TrimSpace(vips) })
					}
					eventually(t, name+" tells its states", patience, func() bool { return strings.Contains(d.log(t), "VI_1") })
					has(tt.down)
					for range 2 {
						bird := startProgram(t, st.other, "bird", bfdPeer)
						has(tt.up)
						bird.cmd.Process.Kill()
						<-bird.done
						has(tt.down)
					}
				})
			}
		})
	}
}
