package vrrp

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/vrrp/pace"
)

// pacedNode is a node that sends by itself. Its goroutine does what the thread of package pace
// does.
type pacedNode struct {
	*node
	mu     sync.Mutex // guards what follows
	end    func()
	report pace.Report
	held   time.Duration // how long the next advert is held up
}

func (n *pacedNode) Pace(p Pacing) bool {
	stop, done := make(chan struct{}), make(chan struct{})
	n.mu.Lock()
	n.report = pace.Report{}
	n.end = sync.OnceFunc(func() { close(stop); <-done })
	n.mu.Unlock()
	go func() {
		defer close(done)
		for last := p.Last; ; {
			n.mu.Lock()
			held := n.held
			n.held = 0
			n.mu.Unlock()
			select {
			case <-time.After(time.Until(last.Add(p.Every)) + held):
			case <-stop:
				return
			}
			if last = n.send(p, last); last.IsZero() {
				return
			}
		}
	}()
	return true
}

// send is one advert, unless it is too late for it.
func (n *pacedNode) send(p Pacing, last time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if late := time.Since(last); late >= p.Limit {
		n.report.Late, n.report.Ended = late, true
		return time.Time{}
	}
	n.report.Last = time.Now()
	if n.report.Err = n.Send(p.Advert); n.report.Err != nil {
		n.report.Failed++
	} else {
		n.report.Sent++
		n.note("lease")
	}
	return n.report.Last
}

func (n *pacedNode) Paced(end bool) (pace.Report, bool) {
	n.mu.Lock()
	stop := n.end
	if end {
		n.end = nil
	}
	n.mu.Unlock()
	if stop == nil {
		return pace.Report{}, false
	}
	if end {
		stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.report, true
}

func (n *pacedNode) Hold() *pace.Lease { return new(pace.Lease) }
func (n *pacedNode) Renewed(_ time.Time, err error) {
	if err != nil {
		n.t.Errorf("the lease was not renewed: %v", err)
	}
}
func (n *pacedNode) HeldUp(d time.Duration) { n.note("held up for " + d.String()) }

// A master that was held up for as long as its lease leaves without an advert, and says so then.
// If no other is there, it takes over again.
func TestHeldUp(t *testing.T) {
	asleep := func(d time.Duration) func(*node) {
		return func(n *node) {
			n.mu.Lock()
			n.onHeard = func() { time.Sleep(d) }
			n.mu.Unlock()
		}
	}
	resumes := func(c *Config) { c.Resume = true }
	others := func(priority uint8) func(*Config) {
		return func(c *Config) { c.Resume, c.NoPreempt, c.OthersPriority = true, true, priority }
	}
	for _, tt := range []struct {
		name   string
		config func(*Config)
		steps  []step
		want   string
	}{
		{"nobody else is there", resumes, []step{{ms(400), asleep(ms(4000))}, {ms(500), hear(50)}},
			`0s advert 100, lease, INIT > MASTER, announce
			4.5s MASTER > BACKUP
			8.109375s advert 100, lease, BACKUP > MASTER, announce
			9.109375s advert 100, lease
			10s advert 0, MASTER > INIT`},
		{"another has taken over", resumes, []step{{ms(400), asleep(ms(4000))}, {ms(500), hear(50)}, {ms(4200), hear(150)}, {ms(5200), hear(150)}, {ms(6200), hear(150)}, {ms(7200), hear(150)}},
			`0s advert 100, lease, INIT > MASTER, announce
			4.5s MASTER > BACKUP
			10s BACKUP > INIT`},
		{"not as long as the lease", resumes, []step{{ms(400), asleep(ms(2000))}, {ms(500), hear(0)}},
			`0s advert 100, lease, INIT > MASTER, announce
			2.5s advert 100, lease
			3.5s advert 100, lease
			4.5s advert 100, lease
			5.5s advert 100, lease
			6.5s advert 100, lease
			7.5s advert 100, lease
			8.5s advert 100, lease
			9.5s advert 100, lease
			10s advert 0, MASTER > INIT`},
		// timer_expired_backup: with priority 100 nobody takes over before 3.609375 s.
		{"the others are known to wait longer", others(100), []step{{ms(400), asleep(ms(3100))}, {ms(500), hear(0)}},
			`0s advert 100, lease, INIT > MASTER, announce
			3.6s advert 100, lease
			4.6s advert 100, lease
			5.6s advert 100, lease
			6.6s advert 100, lease
			7.6s advert 100, lease
			8.6s advert 100, lease
			9.6s advert 100, lease
			10s advert 0, MASTER > INIT`},
		{"one of priority 254 may have taken over", others(254), []step{{ms(400), asleep(ms(3100))}, {ms(500), hear(50)}, {ms(4200), hear(50)}, {ms(5200), hear(50)}, {ms(6200), hear(50)}, {ms(7200), hear(50)}, {ms(8200), hear(50)}, {ms(9200), hear(50)}},
			`0s advert 100, lease, INIT > MASTER, announce
			3.6s MASTER > BACKUP
			10s BACKUP > INIT`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantStory(t, "instance", playOver(t, false, tt.config, tt.steps, ms(10000)), tt.want)
		})
	}
}

// Where the instance's own goroutine is held up (by its log, its owner, or the Go runtime), the
// adverts go on.
func TestPacedWhileHeldUp(t *testing.T) {
	story := playOver(t, true, func(c *Config) { c.Resume = true }, []step{
		{ms(100), func(n *node) {
			n.mu.Lock()
			n.onHeard = func() { time.Sleep(10 * time.Second) }
			n.mu.Unlock()
		}}, {ms(200), hear(0)}}, ms(12500))
	want := []string{"0s advert 100, lease, INIT > MASTER, announce"}
	for i := 1; i <= 10; i++ {
		want = append(want, ms(1000*i).String()+" advert 100, lease")
	}
	want = append(want, "10.2s advert 100, lease", "11.2s advert 100, lease", "12.2s advert 100, lease", "12.5s advert 0, MASTER > INIT")
	wantStory(t, "instance", story, strings.Join(want, "\n"))
}

// A thread that was held up itself has the instance leave.
func TestThreadHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSegment()
		s.paced = true
		cfg := testConfig()
		cfg.Resume = true
		n := s.add(t, cfg, discard())
		n.transport.(*pacedNode).held = 5 * time.Second
		n.run()
		time.Sleep(7 * time.Second)
		n.stop()
		wantStory(t, "instance", n.story(), `0s advert 100, lease, INIT > MASTER, announce
			3s MASTER > BACKUP, held up for 3s
			6.609375s advert 100, lease, BACKUP > MASTER, announce
			7s advert 0, MASTER > INIT`)
	})
}
