package director

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/cluster"
)

// With ha_suspend a standby, which has none of its service's addresses, asks no real server, and
// each is as it was last. A master asks, and once it is a standby again it does not. A reload
// that takes the word away has it ask at once, and one that gives it, no more.
func TestHASuspend(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		of := func(priority uint8, suspend bool) *conf.Config {
			c := cfg(vrrpOn(51, priority, theVIP))
			c.VirtualServers[0].HASuspend = suspend
			return c
		}
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		first := s.add(m1, of(150, true)).start()
		defer func() { first.stop() }()
		standby := s.add(m2, of(100, true)).start()
		defer standby.stop()
		const all, one = "192.0.2.11 192.0.2.12", "192.0.2.12"
		// want waits for what many rounds of checks lead to.
		want := func(what string, onFirst, onStandby string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := serving(m1); got != onFirst {
				t.Errorf("%s: on the first director %q serve, want %q", what, got, onFirst)
			}
			if got := serving(m2); got != onStandby {
				t.Errorf("%s: on the second director %q serve, want %q", what, got, onStandby)
			}
		}
		want("at the start", all, all)
		standby.want(cluster.Backup, "")
		s.down.set("192.0.2.11:80", true)
		want("a server is down", one, all)
		s.segment.Cut(m1, true)
		want("both are master", one, one)
		standby.want(cluster.Master, theVIP)
		s.segment.Cut(m1, false)
		s.down.set("192.0.2.11:80", false)
		time.Sleep(5 * time.Second) // the second director is a standby again before its next check
		standby.want(cluster.Backup, "")
		want("it is up again", all, serving(m2))
		if _, err := standby.Reload(of(100, false)); err != nil {
			t.Fatal(err)
		}
		want("without the word", all, all)
		if _, err := standby.Reload(of(100, true)); err != nil {
			t.Fatal(err)
		}
		s.down.set("192.0.2.12:80", true)
		want("with the word again", "192.0.2.11", all)
	})
}
