package vrrp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestCluster: several directors on one segment, with the exact time of each event.
func TestCluster(t *testing.T) {
	// The seed's directors: a is 100 at .31, b is 90 at .32 (skew 0.6484375 s).
	tests := []struct {
		name string
		play func(t *testing.T, s *segment, a, b *node)
		a, b string
	}{
		{
			name: "both start, the higher one wins and stays",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(6 * time.Second)
				b.stop()
				a.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4.609375s advert 100, lease
				5.609375s advert 100, lease
				6s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				6s BACKUP > INIT`,
		},
		{
			name: "the master dies: the backup takes over Master_Down_Interval after its last advert; it returns and preempts",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(4 * time.Second)
				s.separate(a, true)
				a.stop() // its last advert reaches nobody
				time.Sleep(4 * time.Second)
				s.separate(a, false)
				a.run()
				time.Sleep(4 * time.Second)
				b.stop()
				a.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT
				8s INIT > BACKUP
				11.609375s advert 100, lease, BACKUP > MASTER, announce
				12s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				7.2578125s advert 90, lease, BACKUP > MASTER, announce
				8.2578125s advert 90, lease
				9.2578125s advert 90, lease
				10.2578125s advert 90, lease
				11.2578125s advert 90, lease
				11.609375s MASTER > BACKUP
				12s BACKUP > INIT`,
		},
		{
			name: "the master stops cleanly: the backup takes over after its skew time",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(4 * time.Second)
				a.stop()
				time.Sleep(time.Second)
				b.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				4.6484375s advert 90, lease, BACKUP > MASTER, announce
				5s advert 0, MASTER > INIT`,
		},
		{
			name: "the process of the master dies and another resumes within the lease: the backup does not notice",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(4 * time.Second)
				s.separate(a, true)
				a.stop()
				time.Sleep(2 * time.Second)
				s.separate(a, false)
				cfg := testConfig()
				cfg.Resume = true
				again := s.add(t, cfg, discard())
				again.run()
				time.Sleep(1500 * time.Millisecond)
				wantStory(t, "again", again.story(), `6s advert 100, lease, INIT > MASTER, announce
					7s advert 100, lease`)
				b.stop()
				again.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				7.5s BACKUP > INIT`,
		},
		{
			name: "the segment falls apart and heals: two masters, then the higher one",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(4 * time.Second)
				s.separate(a, true)
				time.Sleep(4 * time.Second) // a at .609375, b at .2578125 of each second
				s.separate(a, false)
				time.Sleep(time.Second)
				b.stop()
				a.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4.609375s advert 100, lease
				5.609375s advert 100, lease
				6.609375s advert 100, lease
				7.609375s advert 100, lease
				8.2578125s advert 100, lease, announce
				9s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				7.2578125s advert 90, lease, BACKUP > MASTER, announce
				8.2578125s advert 90, lease, MASTER > BACKUP
				9s BACKUP > INIT`,
		},
		{
			name: "the master's link goes: its last advert reaches nobody, and it comes back as backup",
			play: func(t *testing.T, s *segment, a, b *node) {
				a.run()
				b.run()
				time.Sleep(4 * time.Second)
				s.separate(a, true)
				a.failSends(errNoLink)
				a.SetFault("ens160 is down")
				time.Sleep(5 * time.Second)
				s.separate(a, false)
				a.failSends(nil)
				a.SetFault("")
				time.Sleep(4 * time.Second)
				b.stop()
				a.stop()
			},
			a: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s no advert, MASTER > FAULT
				9s FAULT > BACKUP
				12.609375s advert 100, lease, BACKUP > MASTER, announce
				13s advert 0, MASTER > INIT`,
			b: `0s INIT > BACKUP
				7.2578125s advert 90, lease, BACKUP > MASTER, announce
				8.2578125s advert 90, lease
				9.2578125s advert 90, lease
				10.2578125s advert 90, lease
				11.2578125s advert 90, lease
				12.2578125s advert 90, lease
				12.609375s MASTER > BACKUP
				13s BACKUP > INIT`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSegment()
				a, b := s.add(t, testConfig(), discard()), s.add(t, secondConfig(), discard())
				tt.play(t, s, a, b)
				wantStory(t, "a", a.story(), tt.a)
				wantStory(t, "b", b.story(), tt.b)
			})
		})
	}
}

// secondConfig is the seed's second director.
func secondConfig() Config {
	cfg := testConfig()
	cfg.Priority, cfg.Source = 90, netip.MustParseAddr("192.168.25.32")
	return cfg
}

// TestThree: of three directors exactly one is master, whichever dies or returns, in
// every order of the priorities.
func TestThree(t *testing.T) {
	tests := []struct {
		name       string
		priorities [3]uint8
		order      [3]int // who is master while all, then fewer, are there
	}{
		{"different priorities", [3]uint8{100, 90, 80}, [3]int{0, 1, 2}},
		{"the other way round", [3]uint8{80, 90, 100}, [3]int{2, 1, 0}},
		{"with the owner of the addresses", [3]uint8{255, 254, 1}, [3]int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSegment()
				var nodes [3]*node
				for i := range nodes {
					cfg := testConfig()
					cfg.Priority = tt.priorities[i]
					cfg.Source = netip.AddrFrom4([4]byte{192, 168, 25, byte(31 + i)})
					nodes[i] = s.add(t, cfg, discard())
					nodes[i].run()
				}
				time.Sleep(10 * time.Second)
				onlyMaster(t, "all there", nodes, tt.order[0])
				// Each master in turn is cut off from the others.
				for i, next := range tt.order[1:] {
					s.separate(nodes[tt.order[i]], true)
					time.Sleep(10 * time.Second)
					onlyMaster(t, "one less", nodes, append(tt.order[:i+1:i+1], next)...)
				}
				// The parts are joined again.
				s.separate(nodes[tt.order[1]], false)
				s.separate(nodes[tt.order[0]], false)
				time.Sleep(10 * time.Second)
				onlyMaster(t, "healed", nodes, tt.order[0])
				for _, n := range nodes {
					n.stop()
				}
			})
		})
	}
}

// onlyMaster says whether exactly those nodes are master.
func onlyMaster(t *testing.T, when string, nodes [3]*node, want ...int) {
	t.Helper()
	synctest.Wait()
	var expected, got [3]bool
	for _, i := range want {
		expected[i] = true
	}
	for i, n := range nodes {
		got[i] = n.Snapshot().State == Master
	}
	if got != expected {
		t.Errorf("%s: master %v, want %v", when, got, expected)
	}
}

// TestNoPreemptReturns: an old master that comes back leaves the new one in place.
func TestNoPreemptReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment()
		first, second := testConfig(), secondConfig()
		first.NoPreempt = true
		a, b := s.add(t, first, discard()), s.add(t, second, discard())
		b.run()
		time.Sleep(5 * time.Second)
		a.run()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if a.Snapshot().State != Backup || b.Snapshot().State != Master {
			t.Errorf("a %s, b %s, want BACKUP and MASTER", a.Snapshot().State, b.Snapshot().State)
		}
		b.stop()
		time.Sleep(609376 * time.Microsecond)
		synctest.Wait()
		if a.Snapshot().State != Master {
			t.Errorf("after b has stopped: a %s, want MASTER", a.Snapshot().State)
		}
		a.stop()
	})
}

// TestEqualPriorities: after a segment was split and joined, of two masters of the same
// priority the one with the higher address stays master.
func TestEqualPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment()
		second := testConfig()
		second.Source = netip.MustParseAddr("192.168.25.32")
		a, b := s.add(t, testConfig(), discard()), s.add(t, second, discard())
		s.separate(a, true)
		a.run()
		time.Sleep(300 * time.Millisecond)
		b.run()
		time.Sleep(5 * time.Second)
		s.separate(a, false)
		time.Sleep(time.Second)
		wantStory(t, "a", a.story(), `0s INIT > BACKUP
			3.609375s advert 100, lease, BACKUP > MASTER, announce
			4.609375s advert 100, lease
			5.609375s advert 100, lease, MASTER > BACKUP`)
		wantStory(t, "b", b.story(), `300ms INIT > BACKUP
			3.909375s advert 100, lease, BACKUP > MASTER, announce
			4.909375s advert 100, lease
			5.609375s advert 100, lease, announce`)
		a.stop()
		b.stop()
	})
}
