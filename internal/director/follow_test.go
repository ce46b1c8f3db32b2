package director

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/netlnk/fakenet"
	"weir/lvs"
)

// lagging is a data plane that takes a while to follow.
type lagging struct {
	*fakenet.Machine
	takes time.Duration
	sets  atomic.Int64
}

func (s *lagging) Set(plan lvs.Plan) error {
	s.sets.Add(1)
	time.Sleep(s.takes)
	return s.Machine.Set(plan)
}

// Where many verdicts come one after the other the data plane rests between the states that
// it gets, and gets the last one. One that comes alone does not wait.
func TestManyVerdictsAreFewStates(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		const most, takes = 200, 50 * time.Millisecond
		var servers []conf.RealServer
		for i := range most {
			c := tcp(fmt.Sprintf("192.0.2.%d:80", i+1))
			c.Warmup = c.DelayLoop
			servers = append(servers, server(c.Connect.Addr().String(), c))
		}
		n := s.add(s.segment.Machine("192.0.2.250/24"), services(virtual(80, servers...)))
		plane := &lagging{Machine: n.machine, takes: takes}
		n.Director.machine.Plane.Forwarder = plane
		n.start()
		time.Sleep(20 * time.Second)
		for _, rs := range servers {
			s.down.set(fmt.Sprintf("%s:80", rs.Addr), true)
		}
		before := plane.sets.Load()
		// A check that begins now has its retry a second behind the delay_loop.
		const all = 7 * time.Second
		time.Sleep(all + mostRest + 2*takes)
		synctest.Wait()
		if got := serving(n.machine); got != "" {
			t.Errorf("%s still get connections", got)
		}
		if got, bound := plane.sets.Load()-before, int64(all/(takes*(1+followRest)))+3; got > bound || got < 5 {
			t.Errorf("%d verdicts were %d states, want at most %d", most, got, bound)
		}
		time.Sleep(time.Second)
		before = plane.sets.Load()
		s.down.set("192.0.2.1:80", false)
		for plane.sets.Load() == before {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(takes + time.Millisecond)
		if got := serving(n.machine); got != "192.0.2.1" {
			t.Errorf("serving %s, want .1 at once", got)
		}
		n.stop()
	})
}
