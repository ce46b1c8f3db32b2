package director

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/lvs"
)

// With passive, a real server whose new connections get no answer is asked at once and out
// where it gives none. One that answers stays in, and without the word nobody asks.
func TestPassive(t *testing.T) {
	for _, tt := range []struct {
		name       string
		word, dead bool
		want       string
	}{
		{"dead", true, true, "192.0.2.12"},
		{"it answers", true, false, "192.0.2.11 192.0.2.12"},
		{"without the word", false, true, "192.0.2.11 192.0.2.12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m := s.segment.Machine("192.0.2.1/24")
				c := cfg(vrrpOn(51, 150, theVIP))
				for i := range c.VirtualServers[0].RealServers {
					c.VirtualServers[0].RealServers[i].Checks[0].DelayLoop = time.Minute
				}
				c.VirtualServers[0].Beyond.Passive = tt.word
				n := s.add(m, c)
				var mu sync.Mutex
				var opened []lvs.Opened
				n.Director.machine.Plane.Opened = func() ([]lvs.Opened, error) {
					mu.Lock()
					defer mu.Unlock()
					return opened, nil
				}
				n.start()
				defer n.stop()
				time.Sleep(61*time.Second + 100*time.Millisecond) // right behind a check
				s.down.set("192.0.2.11:80", tt.dead)
				mu.Lock()
				opened = []lvs.Opened{
					{Service: web, Server: netip.MustParseAddrPort("192.0.2.11:80"), Unanswered: 2},
					{Service: web, Server: netip.MustParseAddrPort("192.0.2.12:80"), Unanswered: 2, Answered: 1},
				}
				mu.Unlock()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := serving(m); got != tt.want {
					t.Errorf("%q serve, want %q", got, tt.want)
				}
				n.wantLogged(fmt.Sprintf("real server answers no new connections, it is probed virtual_server=%s real_server=192.0.2.11:80 connections=4", web), map[bool]int{true: 1}[tt.word])
				n.wantLogged("real server answers no new connections, it is probed virtual_server="+web.String()+" real_server=192.0.2.12:80", 0)
			})
		})
	}
}
