package director

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/netlnk/fakenet"
	"weir/lvs"
)

// slowPlane is a data plane that takes 100 µs for each real server of a service that it changes,
// as the kernel about does, and a grace period of the kernel each time.
type slowPlane struct {
	Forwarder
	mu   sync.Mutex
	has  map[lvs.ServiceKey][]lvs.RealServer
	most time.Duration // that it took
	out  time.Time     // when the server of the first service left
}

const (
	perServer   = 100 * time.Microsecond
	gracePeriod = 20 * time.Millisecond
	often       = 10 * time.Millisecond // between two checks
)

func (s *slowPlane) Set(plan lvs.Plan) error {
	next, changed := map[lvs.ServiceKey][]lvs.RealServer{}, 0
	for _, vs := range plan.Services {
		next[vs.ServiceKey] = vs.RealServers
		if was := s.has[vs.ServiceKey]; !slices.Equal(was, vs.RealServers) {
			changed += max(len(was), len(vs.RealServers))
		}
	}
	for key, was := range s.has {
		if _, stays := next[key]; !stays {
			changed += len(was)
		}
	}
	took := gracePeriod + time.Duration(changed)*perServer
	time.Sleep(took)
	s.has = next
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, took)
	if s.out.IsZero() && len(plan.Services[0].RealServers) == 1 {
		s.out = time.Now()
	}
	return s.Forwarder.Set(plan)
}

// many is a configuration of a checked service and of others, 20 servers each.
func many(others, weight int) *conf.Config {
	check := tcp("192.0.2.12:80")
	check.Timers = conf.Timers{DelayLoop: often, ConnectTimeout: time.Second}
	c := services(virtual(80, server("192.0.2.11"), server("192.0.2.12", check)))
	for i := range others {
		vs := conf.VirtualServer{
			Keys:      []lvs.ServiceKey{{Protocol: lvs.TCP, Addr: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), Port: 80}},
			Scheduler: lvs.WeightedRoundRobin,
		}
		for j := range 20 {
			rs := server(fmt.Sprintf("172.16.%d.%d", i%200, j+1))
			rs.Weight = weight
			vs.RealServers = append(vs.RealServers, rs)
		}
		c.VirtualServers = append(c.VirtualServers, vs)
	}
	return c
}

// A reload that adds, changes or removes 40,000 real servers takes seconds. Meanwhile the
// loop answers without delay, and a server that fails its check leaves within two steps of
// the data plane, whatever of the reload is still to be done. Time is simulated: it stands
// still while the loop computes, which turnServers and StepServers bound.
func TestLargeReloadsHoldNothingUp(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after *conf.Config
	}{
		{"adding", many(0, 1), many(2000, 1)},
		{"changing weights", many(2000, 1), many(2000, 2)},
		{"removing", many(2000, 1), many(0, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				n := s.add(s.segment.Machine("192.0.2.1/24"), tt.before)
				plane := &slowPlane{Forwarder: n.Director.machine.Plane.Forwarder}
				n.Director.machine.Plane.Forwarder = plane
				n.start()
				defer n.stop()
				time.Sleep(time.Minute)
				plane.mu.Lock()
				plane.most, plane.out = 0, time.Time{}
				plane.mu.Unlock()
				done := make(chan time.Duration, 1)
				begun := time.Now()
				go func() {
					if _, err := n.Reload(tt.after); err != nil {
						t.Error(err)
					}
					done <- time.Since(begun)
				}()
				time.Sleep(time.Second)
				failed := time.Now()
				s.down.set("192.0.2.12:80", true)
				for range 10 {
					asked := time.Now()
					if _, err := n.Snapshot(t.Context()); err != nil {
						t.Error(err)
					}
					if took := time.Since(asked); took > 0 {
						t.Errorf("a snapshot waited for %s", took)
					}
					time.Sleep(37 * time.Millisecond)
				}
				took := <-done
				if took < 2*time.Second {
					t.Errorf("the reload took %s; make it larger", took)
				}
				plane.mu.Lock()
				defer plane.mu.Unlock()
				if wait := plane.out.Sub(failed); plane.out.IsZero() || wait > 2*plane.most+often {
					t.Errorf("the server left %s after its verdict; the longest step took %s", wait, plane.most)
				}
			})
		})
	}
}

// BenchmarkLargeReloads adds, changes and removes 40,000 real servers by reloads, with a data
// plane that takes no time, and reports how long a question has waited for the loop at most,
// in milliseconds. It has to be well below 50 on a machine that does nothing else.
func BenchmarkLargeReloads(b *testing.B) {
	s := &site{segment: fakenet.NewSegment(), down: &outage{}}
	m := s.segment.Machine("192.0.2.1/24")
	d := New(many(0, 1), s.on(m, &told{}), cluster.NewStream(func(cluster.Event) {}))
	d.checks.New = func(c conf.Check) check.Checker { return asked{c, s.down} }
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	for _, step := range []struct {
		name string
		cfg  *conf.Config
	}{{"add", many(2000, 1)}, {"weights", many(2000, 2)}, {"remove", many(0, 1)}} {
		done := make(chan error, 1)
		begun, longest := time.Now(), time.Duration(0)
		go func() {
			_, err := d.Reload(step.cfg)
			done <- err
		}()
		for reloading := true; reloading; time.Sleep(time.Millisecond) {
			asked := time.Now()
			if err := d.ask(ctx, "a question", func() {}); err != nil {
				b.Fatal(err)
			}
			longest = max(longest, time.Since(asked))
			select {
			case err := <-done:
				if reloading = false; err != nil {
					b.Fatal(err)
				}
			default:
			}
		}
		b.ReportMetric(float64(longest)/float64(time.Millisecond), step.name+"-ms")
		b.ReportMetric(time.Since(begun).Seconds(), step.name+"-s")
	}
	b.ReportMetric(0, "ns/op")
}
