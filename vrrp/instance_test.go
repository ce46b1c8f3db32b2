package vrrp

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// step is what happens to an instance at one moment after its start.
type step struct {
	at time.Duration
	do func(*node)
}

// hear is an advert of the seed's second director, 192.168.25.32.
func hear(priority uint8) func(*node) {
	return func(n *node) { n.inbox <- testPacket(priority) }
}

// hearFrom is an advert of the director with this address.
func hearFrom(source string, priority uint8) func(*node) {
	return func(n *node) {
		p := testPacket(priority)
		p.Source = netip.MustParseAddr(source)
		n.inbox <- p
	}
}

func fault(reason string) func(*node) { return func(n *node) { n.SetFault(reason) } }

// ms is a moment or a time in milliseconds.
func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// every repeats a step n times, one second apart, from first on.
func every(first time.Duration, n int, do func(*node)) []step {
	var steps []step
	for i := range n {
		steps = append(steps, step{first + time.Duration(i)*time.Second, do})
	}
	return steps
}

// play runs one instance through the steps, stops it at the end, and returns what it
// wrote down. A transport that sends by itself makes no difference, but where it cannot send: it
// tries beside the instance then.
func play(t *testing.T, change func(*Config), steps []step, end time.Duration) string {
	t.Helper()
	story := playOver(t, false, change, steps, end)
	if !strings.Contains(story, "no advert") {
		wantStory(t, "instance with a transport that sends by itself", playOver(t, true, change, steps, end), story)
	}
	return story
}

func playOver(t *testing.T, paced bool, change func(*Config), steps []step, end time.Duration) string {
	var story string
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		if change != nil {
			change(&cfg)
		}
		s := newSegment()
		s.paced = paced
		n := s.add(t, cfg, discard())
		start := time.Now()
		for len(steps) > 0 && steps[0].at < 0 { // before the start
			steps[0].do(n)
			steps = steps[1:]
		}
		n.run()
		for _, s := range steps {
			time.Sleep(s.at - time.Since(start))
			s.do(n)
		}
		time.Sleep(end - time.Since(start))
		n.stop()
		story = n.story()
	})
	return story
}

// TestStates: every clause of RFC 3768 section 6.4 at priority 100, skew time
// 0.609375 s, master-down interval 3.609375 s, the last line being the stop.
func TestStates(t *testing.T) {
	tests := []struct {
		name   string
		config func(*Config)
		steps  []step
		end    time.Duration
		want   string
	}{
		{
			name: "6.4.1 startup, priority below 255: wait Master_Down_Interval, then advert, gratuitous ARP, MASTER",
			end:  ms(5000),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4.609375s advert 100, lease
				5s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.1 startup, priority 255: MASTER at once",
			config: func(c *Config) { c.Priority = 255 },
			end:    ms(1500),
			want: `0s advert 255, lease, INIT > MASTER, announce
				1s advert 255, lease
				1.5s advert 0, MASTER > INIT`,
		},
		{
			name: "6.4.2 shutdown: INIT without an advert",
			end:  ms(2000),
			want: `0s INIT > BACKUP
				2s BACKUP > INIT`,
		},
		{
			name:  "6.4.2 priority 0: Skew_Time",
			steps: []step{{ms(1000), hear(200)}, {ms(2000), hear(0)}},
			end:   ms(3000),
			want: `0s INIT > BACKUP
				2.609375s advert 100, lease, BACKUP > MASTER, announce
				3s advert 0, MASTER > INIT`,
		},
		{
			name:  "6.4.2 higher priority: timer reset",
			steps: []step{{ms(1000), hear(101)}},
			end:   ms(5000),
			want: `0s INIT > BACKUP
				4.609375s advert 100, lease, BACKUP > MASTER, announce
				5s advert 0, MASTER > INIT`,
		},
		{
			name:  "6.4.2 equal priority: timer reset",
			steps: []step{{ms(1000), hearFrom("192.168.25.2", 100)}},
			end:   ms(5000),
			want: `0s INIT > BACKUP
				4.609375s advert 100, lease, BACKUP > MASTER, announce
				5s advert 0, MASTER > INIT`,
		},
		{
			name:  "6.4.2 lower priority, preempting: discarded",
			steps: every(ms(500), 4, hear(99)),
			end:   ms(4000),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.2 lower priority, Preempt_Mode false: timer reset",
			config: func(c *Config) { c.NoPreempt = true },
			steps:  every(ms(500), 4, hear(99)),
			end:    ms(8000),
			want: `0s INIT > BACKUP
				7.109375s advert 100, lease, BACKUP > MASTER, announce
				8s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.3 shutdown: advert of priority 0, INIT",
			config: func(c *Config) { c.Resume = true },
			end:    ms(100),
			want: `0s advert 100, lease, INIT > MASTER, announce
				100ms advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.3 Adver_Timer: an advert each interval",
			config: func(c *Config) { c.Resume = true; c.AdvertInterval = 3 * time.Second },
			end:    ms(7000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				3s advert 100, lease
				6s advert 100, lease
				7s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.3 priority 0: advert at once, timer reset",
			config: func(c *Config) { c.Resume = true },
			steps:  []step{{ms(300), hear(0)}},
			end:    ms(1500),
			want: `0s advert 100, lease, INIT > MASTER, announce
				300ms advert 100, lease
				1.3s advert 100, lease
				1.5s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.3 higher priority: BACKUP, master-down timer",
			config: func(c *Config) { c.Resume = true },
			steps:  []step{{ms(300), hear(101)}},
			end:    ms(4000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				300ms MASTER > BACKUP
				3.909375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
		},
		{
			name:   "6.4.3 equal priority from a higher address: BACKUP",
			config: func(c *Config) { c.Resume = true },
			steps:  []step{{ms(300), hearFrom("192.168.25.200", 100)}},
			end:    ms(400),
			want: `0s advert 100, lease, INIT > MASTER, announce
				300ms MASTER > BACKUP
				400ms BACKUP > INIT`,
		},
		{
			name:   "6.4.3 equal priority from a lower address: MASTER, answered",
			config: func(c *Config) { c.Resume = true },
			steps:  []step{{ms(300), hearFrom("192.168.25.4", 100)}},
			end:    ms(400),
			want: `0s advert 100, lease, INIT > MASTER, announce
				300ms advert 100, lease, announce
				400ms advert 0, MASTER > INIT`,
		},
		{
			name: "6.4.3 lower priority: MASTER, answered and announced again",
			config: func(c *Config) {
				c.Resume = true
				c.GARPDelay, c.LowerDelay = 700*time.Millisecond, 700*time.Millisecond
			},
			steps: []step{{ms(500), hear(99)}},
			end:   ms(2000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				500ms advert 100, lease, announce
				1.2s announce
				1.5s advert 100, lease
				2s advert 0, MASTER > INIT`,
		},
		{
			name:   "a lower master that is heard no more: announced again",
			config: func(c *Config) { c.Resume = true },
			steps:  []step{{ms(500), hear(99)}, {ms(550), hear(99)}},
			end:    ms(4000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				500ms advert 100, lease, announce
				1.5s advert 100, lease
				2.5s advert 100, lease
				3.5s advert 100, lease
				3.55s announce
				4s advert 0, MASTER > INIT`,
		},
		{
			name:   "owner of the addresses, other VIPs: believed (7.1)",
			config: func(c *Config) { c.Resume = true },
			steps: []step{{ms(300), func(n *node) {
				p := testPacket(255)
				p.Advertisement.VIPs = nil
				n.inbox <- p
			}}},
			end: ms(400),
			want: `0s advert 100, lease, INIT > MASTER, announce
				300ms MASTER > BACKUP
				400ms BACKUP > INIT`,
		},
		{
			name: "an invalid advert moves nothing (7.1)",
			steps: []step{{ms(1000), func(n *node) {
				p := testPacket(200)
				p.Advertisement.Auth = Password("wrong")
				n.inbox <- p
			}}},
			end: ms(4000),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStory(t, "instance", play(t, tt.config, tt.steps, tt.end), tt.want)
		})
	}
}

// TestKeepalivedWays: what keepalived adds to RFC 3768.
func TestKeepalivedWays(t *testing.T) {
	tests := []struct {
		name   string
		config func(*Config)
		steps  []step
		end    time.Duration
		want   string
	}{
		{
			name:   "state MASTER waits for one advert only",
			config: func(c *Config) { c.StartMaster = true },
			end:    ms(2000),
			want: `0s INIT > BACKUP
				1.609375s advert 100, lease, BACKUP > MASTER, announce
				2s advert 0, MASTER > INIT`,
		},
		{
			name:   "state MASTER stays BACKUP where a higher one is there",
			config: func(c *Config) { c.StartMaster = true },
			steps:  every(ms(900), 3, hear(200)),
			end:    ms(5000),
			want: `0s INIT > BACKUP
				5s BACKUP > INIT`,
		},
		{
			name:   "down_timer_adverts",
			config: func(c *Config) { c.DownTimerAdverts = 1 },
			end:    ms(2000),
			want: `0s INIT > BACKUP
				1.609375s advert 100, lease, BACKUP > MASTER, announce
				2s advert 0, MASTER > INIT`,
		},
		{
			name:   "garp_master_delay announces a second time",
			config: func(c *Config) { c.StartMaster = true; c.GARPDelay = ms(5200) },
			end:    ms(8000),
			want: `0s INIT > BACKUP
				1.609375s advert 100, lease, BACKUP > MASTER, announce
				2.609375s advert 100, lease
				3.609375s advert 100, lease
				4.609375s advert 100, lease
				5.609375s advert 100, lease
				6.609375s advert 100, lease
				6.809375s announce
				7.609375s advert 100, lease
				8s advert 0, MASTER > INIT`,
		},
		{
			name:   "no second announcement by who is master no more",
			config: func(c *Config) { c.Resume = true; c.GARPDelay = 2 * time.Second },
			steps:  []step{{ms(500), hear(200)}},
			end:    ms(4000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				500ms MASTER > BACKUP
				4s BACKUP > INIT`,
		},
		{
			name:   "preempt_delay: a lower master stays until it has passed",
			config: func(c *Config) { c.PreemptDelay = 10 * time.Second },
			steps:  every(ms(500), 10, hear(90)),
			end:    ms(10500),
			want: `0s INIT > BACKUP
				10s advert 100, lease, BACKUP > MASTER, announce
				10.5s advert 0, MASTER > INIT`,
		},
		{
			name:   "preempt_delay does not delay a take-over from a dead master",
			config: func(c *Config) { c.PreemptDelay = 100 * time.Second },
			steps:  every(ms(500), 3, hear(90)),
			end:    ms(6500),
			want: `0s INIT > BACKUP
				6.109375s advert 100, lease, BACKUP > MASTER, announce
				6.5s advert 0, MASTER > INIT`,
		},
		{
			name:   "preempt_delay shorter than the wait changes nothing",
			config: func(c *Config) { c.PreemptDelay = time.Second },
			steps:  every(ms(500), 3, hear(90)),
			end:    ms(4000),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
		},
		{
			name:   "preempt_delay begins anew with each lower master",
			config: func(c *Config) { c.PreemptDelay = ms(5200) },
			steps:  append([]step{{ms(3500), hear(200)}}, every(ms(4500), 6, hear(90))...),
			end:    ms(10000),
			want: `0s INIT > BACKUP
				9.7s advert 100, lease, BACKUP > MASTER, announce
				10s advert 0, MASTER > INIT`,
		},
		{
			name:  "fault in BACKUP, and back",
			steps: []step{{ms(1000), fault("ens160 is down")}, {ms(2000), hear(200)}, {ms(9000), fault("")}},
			end:   ms(13000),
			want: `0s INIT > BACKUP
				1s BACKUP > FAULT
				9s FAULT > BACKUP
				12.609375s advert 100, lease, BACKUP > MASTER, announce
				13s advert 0, MASTER > INIT`,
		},
		{
			name:   "fault in MASTER: advert of priority 0, then the VIPs go",
			config: func(c *Config) { c.Resume = true; c.GARPDelay = 5 * time.Second },
			steps:  []step{{ms(500), fault("no address")}, {ms(600), fault("still none")}},
			end:    ms(20000),
			want: `0s advert 100, lease, INIT > MASTER, announce
				500ms advert 0, MASTER > FAULT
				20s FAULT > INIT`,
		},
		{
			name:   "fault from the start; Resume and state MASTER are no longer true after it",
			config: func(c *Config) { c.Resume = true; c.StartMaster = true },
			steps:  []step{{-1, fault("ens160 is down")}, {ms(1000), fault("")}},
			end:    ms(5000),
			want: `0s INIT > FAULT
				1s FAULT > BACKUP
				4.609375s advert 100, lease, BACKUP > MASTER, announce
				5s advert 0, MASTER > INIT`,
		},
		{
			name:   "fault of the owner of the addresses",
			config: func(c *Config) { c.Priority = 255 },
			steps:  []step{{ms(500), fault("down")}, {ms(700), fault("")}},
			end:    ms(800),
			want: `0s advert 255, lease, INIT > MASTER, announce
				500ms advert 0, MASTER > FAULT
				700ms advert 255, lease, FAULT > MASTER, announce
				800ms advert 0, MASTER > INIT`,
		},
		{
			name:   "no lease without an advert",
			config: func(c *Config) { c.Resume = true },
			steps: []step{
				{ms(500), func(n *node) { n.failSends(errNoLink) }},
				{ms(2500), func(n *node) { n.failSends(nil) }},
			},
			end: ms(3500),
			want: `0s advert 100, lease, INIT > MASTER, announce
				1s no advert
				2s no advert
				3s advert 100, lease
				3.5s advert 0, MASTER > INIT`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStory(t, "instance", play(t, tt.config, tt.steps, tt.end), tt.want)
		})
	}
}

// TestLateBackup: a backup whose process was stopped for ten seconds continues with a
// timer that has run out. It must not take over from a master whose adverts it could not
// receive meanwhile.
func TestLateBackup(t *testing.T) {
	asleep := func(n *node) {
		n.mu.Lock()
		n.onHeard = func() { time.Sleep(10 * time.Second) }
		n.mu.Unlock()
	}
	tests := []struct {
		name  string
		steps []step
		end   time.Duration
		want  string
	}{
		{
			name:  "adverts wait in the queue",
			steps: append([]step{{ms(100), asleep}}, every(ms(1000), 14, hear(200))...),
			end:   ms(16000),
			want: `0s INIT > BACKUP
				16s BACKUP > INIT`,
		},
		{
			name: "adverts were lost, and the next one comes",
			// Its timer was to fire at 3.6 s while it slept from 3.1 s to 13.1 s.
			steps: []step{{ms(3000), asleep}, {ms(3100), hear(50)}, {ms(14000), hear(200)}},
			end:   ms(16000),
			want: `0s INIT > BACKUP
				16s BACKUP > INIT`,
		},
		{
			name:  "nobody is there: one advert interval and skew later",
			steps: []step{{ms(3000), asleep}, {ms(3100), hear(50)}},
			end:   ms(15000),
			want: `0s INIT > BACKUP
				14.709375s advert 100, lease, BACKUP > MASTER, announce
				15s advert 0, MASTER > INIT`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStory(t, "instance", play(t, nil, tt.steps, tt.end), tt.want)
		})
	}
}

// TestSnapshot reads an instance while it runs.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSegment().add(t, testConfig(), discard())
		n.run()
		start := time.Now()
		hear(200)(n)
		hear(0)(n)
		wrong := testPacket(200)
		wrong.Advertisement.Auth = Password("wrong")
		n.inbox <- wrong
		n.inbox <- wrong
		n.inbox <- Packet{Err: errNoLink}
		far := testPacket(0)
		far.TTL = 64
		n.inbox <- far
		time.Sleep(2 * time.Second)
		synctest.Wait()

		got := n.Snapshot()
		if got.State != Master || got.Since.Sub(start) != 609375*time.Microsecond || got.Priority != 100 {
			t.Errorf("got %s since %s at priority %d, want MASTER since 609.375ms at 100", got.State, got.Since.Sub(start), got.Priority)
		}
		if want := (Peer{netip.MustParseAddr("192.168.25.32"), 0, start, time.Second}); got.Peer != want {
			t.Errorf("got peer %v, want %v", got.Peer, want)
		}
		want := Counters{Received: 2, PriorityZeroReceived: 1, Sent: 2, BecameMaster: 1}
		want.Drops[DropAuthFailure], want.Drops[DropHeader], want.Drops[DropTTL] = 2, 1, 1
		if got.Counters != want {
			t.Errorf("got  %+v\nwant %+v", got.Counters, want)
		}
		if len(n.heard) != 1 || n.heard[0] != "192.168.25.32 02:00:00:00:00:20" {
			t.Errorf("heard %q", n.heard)
		}

		n.SetFault("ens160 is down")
		synctest.Wait()
		if got := n.Snapshot(); got.State != Fault || got.Fault != "ens160 is down" {
			t.Errorf("got %s, %q", got.State, got.Fault)
		}
		n.stop()
		got = n.Snapshot()
		if got.State != Init || got.Counters.ReleasedMaster != 1 || got.Counters.PriorityZeroSent != 1 || got.Counters.Sent != 3 {
			t.Errorf("after the stop: %s, %+v", got.State, got.Counters)
		}
	})
}

// TestRouterBetween: an advert that a router has forwarded carries the router's MAC
// address, which must not be taken for a director's.
func TestRouterBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.UnicastPeers = addrs("10.9.9.9")
		n := newSegment().add(t, cfg, discard())
		n.run()
		p := testPacket(200)
		p.Multicast, p.TTL = false, 62
		n.inbox <- p
		synctest.Wait()
		if n.Snapshot().Counters.Received != 1 || len(n.heard) != 0 {
			t.Errorf("received %d, heard %q, want 1 and nobody", n.Snapshot().Counters.Received, n.heard)
		}
		n.stop()
	})
}

// TestLogs: an error or a drop that repeats each second is not logged each second.
func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		plain := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		cfg := testConfig()
		cfg.Resume = true
		logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: plain}))
		n := newSegment().add(t, cfg, logger)
		n.run()
		time.Sleep(500 * time.Millisecond)
		for i := range 70 {
			wrong := testPacket(200)
			wrong.Advertisement.Auth = Password("wrong")
			n.inbox <- wrong
			foreign := testPacket(200)
			foreign.Advertisement.VRID = 52
			n.inbox <- foreign
			if i == 0 {
				n.failSends(errNoLink)
			}
			if i == 30 {
				n.failSends(nil)
			}
			time.Sleep(time.Second)
		}
		n.stop()
		want := `level=INFO msg="vrrp state changed" instance=VI_1 from=INIT to=MASTER why=resumed
level=WARN msg="vrrp packet dropped" instance=VI_1 source=192.168.25.32 why="auth-failure: the password differs"
level=WARN msg="vrrp advert not sent" instance=VI_1 error="network is down"
level=INFO msg="vrrp state changed" instance=VI_1 from=MASTER to=FAULT why="adverts cannot be sent: network is down"
level=INFO msg="vrrp adverts are sent again" instance=VI_1
level=INFO msg="vrrp state changed" instance=VI_1 from=FAULT to=MASTER why="adverts are sent again"
level=WARN msg="vrrp packet dropped" instance=VI_1 source=192.168.25.32 why="auth-failure: the password differs"
level=INFO msg="vrrp state changed" instance=VI_1 from=MASTER to=INIT why=stopped
`
		if text.String() != want {
			t.Errorf("got\n%swant\n%s", &text, want)
		}
		if got := n.Snapshot().Counters.Drops; got[DropAuthFailure] != 70 || got[DropVRID] != 70 {
			t.Errorf("counted %v, want 70 and 70", got.ByName())
		}
	})
}

// A master none of whose adverts can be sent gives the VIPs up when every backup has taken
// over, and is master again when one is sent, but never before.
func TestMasterThatCannotSend(t *testing.T) {
	down := func(n *node) { n.failSends(errNoLink) }
	up := func(n *node) { n.failSends(nil) }
	owner := func(c *Config) { c.Priority = 255 }
	for _, tt := range []struct {
		name   string
		config func(*Config)
		steps  []step
		end    time.Duration
		want   string
	}{
		{"it can again", owner, []step{{ms(500), down}, {ms(5500), up}}, ms(7500), `0s advert 255, lease, INIT > MASTER, announce
			1s no advert
			2s no advert
			3s no advert
			4s no advert, no advert, MASTER > FAULT
			5s no advert
			6s advert 255, lease, FAULT > MASTER, announce
			7s advert 255, lease
			7.5s advert 0, MASTER > INIT`},
		{"for a moment it could not", owner, []step{{ms(500), down}, {ms(3500), up}}, ms(4500), `0s advert 255, lease, INIT > MASTER, announce
			1s no advert
			2s no advert
			3s no advert
			4s advert 255, lease
			4.5s advert 0, MASTER > INIT`},
		{"another one is heard, and goes", func(c *Config) { c.Resume = true }, []step{{ms(500), down}, {ms(4500), hear(0)}, {ms(4600), hear(50)}, {ms(4700), hear(200)}}, ms(9500), `0s advert 100, lease, INIT > MASTER, announce
			1s no advert
			2s no advert
			3s no advert
			4s no advert, no advert, MASTER > FAULT
			4.7s FAULT > BACKUP
			8.309375s no advert, BACKUP > FAULT
			9.309375s no advert
			9.5s FAULT > INIT`},
		{"the interface goes meanwhile", owner, []step{{ms(500), down}, {ms(4500), fault("down")}, {ms(9500), fault("")}}, ms(9600), `0s advert 255, lease, INIT > MASTER, announce
			1s no advert
			2s no advert
			3s no advert
			4s no advert, no advert, MASTER > FAULT
			9.5s no advert, FAULT > MASTER, announce
			9.6s no advert, MASTER > INIT`},
	} {
		t.Run(tt.name, func(t *testing.T) { wantStory(t, "instance", play(t, tt.config, tt.steps, tt.end), tt.want) })
	}
}

// A lower master, whose adverts come just before those of this one are due, keeps a master that
// cannot send in place no longer: each answer to it sets the timer anew.
func TestMasterThatCannotSendHearsALowerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Resume = true
		n := newSegment().add(t, cfg, discard())
		n.run()
		time.Sleep(500 * time.Millisecond)
		n.failSends(errNoLink)
		for range 6 {
			time.Sleep(900 * time.Millisecond)
			n.inbox <- testPacket(1)
		}
		synctest.Wait()
		if got := n.Snapshot().State; got != Fault {
			t.Errorf("%s %s after its last advert, want %s", got, 5400*time.Millisecond, Fault)
		}
		n.stop()
	})
}

func TestRunAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newSegment().add(t, testConfig(), discard())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
		wantStory(t, "instance", n.story(), "0s INIT > BACKUP, BACKUP > INIT")
	})
}

// A storm of adverts is taken in before it is answered: at a bounded rate, and the highest
// counts, wherever it stands in the queue.
func TestStormOfAdverts(t *testing.T) {
	storm := func(n *node, priorities ...uint8) {
		for range 20 {
			for _, p := range priorities {
				hear(p)(n)
			}
		}
	}
	t.Run("lower masters", func(t *testing.T) {
		var adverts, announcements int
		story := play(t, nil, func() (steps []step) {
			for i := range 500 { // 2,000 a second for ten seconds
				steps = append(steps, step{4*time.Second + ms(20*i), func(n *node) { storm(n, 1, 2) }})
			}
			return steps
		}(), 14*time.Second)
		adverts, announcements = strings.Count(story, "advert 100"), strings.Count(story, "announce")
		if adverts < 20 || adverts > 125 || announcements > 25 || strings.Contains(story, "MASTER > BACKUP") {
			t.Errorf("%d adverts, %d announcements:\n%s", adverts, announcements, story)
		}
	})
	t.Run("a higher one among them", func(t *testing.T) {
		// The first of them may be answered before the others have come.
		yields := regexp.MustCompile(`\n4s (advert 100, lease, (announce, )?)?MASTER > BACKUP`)
		for _, paced := range []bool{false, true} {
			story := playOver(t, paced, nil, []step{{4 * time.Second, func(n *node) {
				storm(n, 1, 0)
				hear(150)(n)
				storm(n, 1)
			}}}, 5*time.Second)
			if !yields.MatchString(story) {
				t.Errorf("it has not yielded:\n%s", story)
			}
			if n := strings.Count(story, "4s advert"); n > 1 {
				t.Errorf("it has answered what it yields to:\n%s", story)
			}
		}
	})
}
