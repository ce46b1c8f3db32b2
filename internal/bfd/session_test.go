package bfd

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// end is one of two sessions that are wired to each other.
type end struct {
	*session
	mu    sync.Mutex // guards what follows, and the session
	other *end
	lost  atomic.Bool // what this end sends does not arrive
	sent  []sent
	told  []string
	began time.Time
	stop  context.CancelFunc
}

// pause lets time pass, and what happens at its end be done.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

type sent struct {
	at time.Duration
	Packet
}

// wire joins two sessions by a path that takes a millisecond.
func wire(t *testing.T, a, b Config) (*end, *end) {
	a.Name, b.Name = "a", "b"
	ends := []*end{{session: newSession(a, 1)}, {session: newSession(b, 2)}}
	for i, e := range ends {
		e.other, e.began, e.log = ends[1-i], time.Now(), slog.New(slog.DiscardHandler)
		e.send = func(p Packet) {
			e.sent = append(e.sent, sent{time.Since(e.began), p})
			if !e.lost.Load() {
				time.AfterFunc(ms, func() {
					select {
					case e.other.packets <- p:
					default: // it has been stopped
					}
				})
			}
		}
		e.tell = func(s Status) {
			word := "up"
			if !s.Up {
				word = s.Diagnostic.String()
			}
			e.told = append(e.told, word)
		}
		e.start(t)
	}
	return ends[0], ends[1]
}

func (e *end) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	e.begin()
	go func() {
		defer close(done)
		for do := e.next(ctx); do != nil; do = e.next(ctx) {
			e.mu.Lock()
			do()
			e.mu.Unlock()
		}
	}()
	e.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(e.stop)
}

// now is what has been sent, and the times that the session goes by.
func (e *end) now() (sent []sent, interval, detection time.Duration) {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent), e.interval(), e.detectionTime()
}

func (e *end) last() sent {
	sent, _, _ := e.now()
	return sent[len(sent)-1]
}

func (e *end) count() int {
	sent, _, _ := e.now()
	return len(sent)
}

func (e *end) wantTimes(t *testing.T, interval, detection time.Duration) {
	t.Helper()
	if _, i, d := e.now(); i != interval || d != detection {
		t.Errorf("%s: interval %s, detection time %s, want %s and %s", e.config.Name, i, d, interval, detection)
	}
}

func (e *end) wantTold(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if fmt.Sprint(e.told) != fmt.Sprint(want) {
		t.Fatalf("%s: %q, want %q", e.config.Name, e.told, want)
	}
}

func fast(tx, rx time.Duration) Config {
	return Config{MinTx: tx, MinRx: rx, IdleTx: time.Second, Multiplier: 3}
}

// Two ends come up, in three packets of a second each at most, and go down a detection
// time after the last packet: the neighbour's multiplier times the agreed interval.
func TestUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire(t, fast(50*ms, 20*ms), fast(10*ms, 100*ms))
		pause(3 * time.Second)
		a.wantTold(t, "up")
		b.wantTold(t, "up")
		a.wantTimes(t, 100*ms, 60*ms) // what the slower end of each way wants
		b.wantTimes(t, 20*ms, 300*ms)
		if a.last().Poll || b.last().Poll {
			t.Error("a poll has had no answer")
		}
		b.lost.Store(true)
		last := b.last().at
		pause(time.Until(a.began.Add(last + ms + 59*ms)))
		a.wantTold(t, "up")
		pause(2 * ms)
		a.wantTold(t, "up", "control detection time expired")
		pause(5 * ms)
		b.wantTold(t, "up", "neighbor signaled session down")
		b.lost.Store(false)
		pause(3 * time.Second)
		a.wantTold(t, "up", "control detection time expired", "up")
		b.wantTold(t, "up", "neighbor signaled session down", "up")
	})
}

// Packets are sent at intervals with the jitter of RFC 5880 section 6.8.7, in all states.
func TestJitter(t *testing.T) {
	for multiplier, most := range map[uint8]float64{1: 0.9, 3: 1} {
		synctest.Test(t, func(t *testing.T) {
			c := fast(100*ms, 100*ms)
			c.Multiplier = multiplier
			a, b := wire(t, c, c)
			pause(time.Minute)
			a.wantTold(t, "up")
			b.wantTold(t, "up")
			b.lost.Store(true)
			pause(time.Minute)
			periodic := map[State][]time.Duration{}
			all, _, _ := a.now()
			for i, s := range all[1:] {
				if before := all[i]; !s.Final && !before.Final && s.State == before.State {
					periodic[s.State] = append(periodic[s.State], s.at-before.at)
				}
			}
			for state, interval := range map[State]time.Duration{Up: 100 * ms, Down: time.Second} {
				gaps := periodic[state]
				if len(gaps) < 50 {
					t.Fatalf("%s: %d packets", state, len(gaps))
				}
				for _, gap := range gaps {
					if ratio := float64(gap) / float64(interval); ratio < 0.75 || ratio > most {
						t.Errorf("%s, multiplier %d: %.3f of an interval between two packets", state, multiplier, ratio)
					}
				}
			}
		})
	}
}

// A passive end is silent until it hears the other, and two passive ends never begin.
func TestPassive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passive := fast(10*ms, 10*ms)
		passive.Passive = true
		a, b := wire(t, passive, passive)
		pause(time.Minute)
		if n := a.count() + b.count(); n > 0 {
			t.Errorf("two passive ends have sent %d packets", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		passive := fast(10*ms, 10*ms)
		passive.Passive = true
		a, b := wire(t, passive, fast(10*ms, 10*ms))
		b.lost.Store(true)
		pause(time.Minute)
		if n := a.count(); n > 0 {
			t.Errorf("a passive end has sent %d packets to a neighbour that it has not heard", n)
		}
		b.lost.Store(false)
		pause(4 * time.Second)
		a.wantTold(t, "up")
		b.lost.Store(true)
		pause(time.Second)
		a.wantTold(t, "up", "control detection time expired")
		quiet := a.count()
		pause(time.Minute)
		if n := a.count() - quiet; n > 0 {
			t.Errorf("a passive end has sent %d packets after its neighbour was gone", n)
		}
	})
}

// A neighbour that switches BFD off is no failure of the path: the session goes down, and
// nothing is told.
func TestAdminDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire(t, fast(10*ms, 10*ms), fast(10*ms, 10*ms))
		pause(4 * time.Second)
		b.stop()
		pause(2 * ms) // what was on its way
		a.packets <- Packet{State: AdminDown, Multiplier: 3, MyDiscriminator: 2, YourDiscriminator: 1, RequiredMinRx: 10 * ms, DesiredMinTx: time.Second}
		pause(time.Minute)
		a.wantTold(t, "up")
		if last := a.last(); last.State != Down {
			t.Errorf("the session is %s, want Down", last.State)
		}
	})
}

// Other times are taken up while the session stays up: shorter ones at once, longer ones
// when the neighbour has answered the poll (RFC 5880 section 6.8.3).
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire(t, fast(100*ms, 100*ms), fast(10*ms, 10*ms))
		pause(4 * time.Second)
		a.other.lost.Store(true) // no answer to the poll
		a.configs <- fast(200*ms, 10*ms)
		a.wantTimes(t, 100*ms, 300*ms)
		a.other.lost.Store(false)
		pause(time.Second)
		a.wantTimes(t, 200*ms, 30*ms)
		a.configs <- fast(20*ms, 30*ms)
		a.wantTimes(t, 20*ms, 90*ms)
		pause(time.Minute)
		a.wantTold(t, "up")
		b.wantTold(t, "up")
	})
}

// A neighbour that wants no packets, or is in demand mode, gets none at intervals, but each
// of its polls is answered.
func TestDemand(t *testing.T) {
	for name, demand := range map[string]func(*Packet){
		"wants none":  func(p *Packet) { p.RequiredMinRx = 0 },
		"demand mode": func(p *Packet) { p.Demand = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := wire(t, fast(10*ms, 10*ms), fast(10*ms, 10*ms))
			pause(4 * time.Second)
			b.stop()
			pause(2 * ms) // what was on its way
			p := Packet{State: Up, Multiplier: 255, MyDiscriminator: 2, YourDiscriminator: 1, RequiredMinRx: 10 * ms, DesiredMinTx: time.Second}
			demand(&p)
			a.packets <- p
			quiet := a.count()
			pause(30 * time.Second)
			if n := a.count() - quiet; n > 0 {
				t.Errorf("%s: %d packets at intervals", name, n)
			}
			p.Poll = true
			a.packets <- p
			if a.count() != quiet+1 || !a.last().Final {
				t.Errorf("%s: the poll is not answered", name)
			}
			a.wantTold(t, "up")
		})
	}
}

// A neighbour that has begun anew is known by its state Down, at once.
func TestNeighborBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wire(t, fast(100*ms, 100*ms), fast(100*ms, 100*ms))
		pause(4 * time.Second)
		b.stop()
		pause(2 * ms) // what was on its way
		a.packets <- Packet{State: Down, Multiplier: 3, MyDiscriminator: 77, RequiredMinRx: 100 * ms, DesiredMinTx: time.Second}
		a.wantTold(t, "up", "neighbor signaled session down")
		if last := a.last(); last.YourDiscriminator != 77 || last.State != Down {
			t.Errorf("the last packet is %+v, want one to 77 that is Down", last)
		}
	})
}
