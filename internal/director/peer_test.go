package director

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/cluster"
)

// With peer_probe, the real server at a dead master's address is asked when the standby takes
// over, and out at once. One that still answers is never out, nor is any without the word, or
// when the master hands over.
func TestPeerProbe(t *testing.T) {
	for _, tt := range []struct {
		name              string
		word, dead, clean bool
		wantProbed        int
		want              string
	}{
		{"dead", true, true, false, 1, "192.0.2.12"},
		{"its server lives", true, false, false, 1, "192.0.2.1 192.0.2.12"},
		{"it hands over", true, false, true, 0, "192.0.2.1 192.0.2.12"},
		{"without the word", false, true, false, 0, "192.0.2.1 192.0.2.12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
				c := services(virtual(80, server("192.0.2.1", tcp("192.0.2.1:80")), server("192.0.2.12", tcp("192.0.2.12:80"))))
				c.Weir.PeerProbe = tt.word
				c1, c2 := *c, *c
				c1.VRRPInstances, c2.VRRPInstances = append(c1.VRRPInstances, vrrpOn(51, 150, theVIP)), append(c2.VRRPInstances, vrrpOn(51, 100, theVIP))
				first, second := s.add(m1, &c1).start(), s.add(m2, &c2).start()
				defer second.stop()
				time.Sleep(61*time.Second + 100*time.Millisecond) // right behind a check: the next one is after the take-over
				second.want(cluster.Backup, "")
				if tt.clean {
					first.stop()
				} else {
					defer first.stop()
					s.segment.Cut(m1, true)
					time.Sleep(2 * time.Second)
				}
				s.down.set("192.0.2.1:80", tt.dead)
				for second.logged("vrrp state changed instance=VI_51 from=BACKUP to=MASTER") == 0 {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if got := serving(m2); got != tt.want {
					t.Errorf("right behind the take-over %q serve, want %q", got, tt.want)
				}
				second.wantLogged("the master is lost, its real servers are probed instance=VI_51 peer=192.0.2.1 real_servers=1", tt.wantProbed)
				second.wantLogged("real server answers the probe", map[bool]int{true: tt.wantProbed}[!tt.dead])
				if !tt.word {
					return
				}
				s.down.set("192.0.2.1:80", false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := len(m2.Plan().Services[0].RealServers); got != 2 {
					t.Errorf("%d servers once it answers, want 2", got)
				}
			})
		})
	}
}
