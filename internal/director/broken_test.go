package director

import (
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/cluster"
	"weir/internal/drift"
)

// A master whose data plane does not work steps down, and takes part again when it does: a
// lease that cannot be renewed, or programs that cannot be attached to its device again.
func TestBrokenDataPlane(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		first, second := s.add(m1, cfg(vrrpOn(51, 150, theVIP))), s.add(m2, cfg(vrrpOn(51, 100, theVIP)))
		var mu sync.Mutex
		off := map[string]drift.Failure{}
		set := func(devices map[string]drift.Failure) {
			mu.Lock()
			defer mu.Unlock()
			off = devices
		}
		first.Director.machine.Plane.Off = func() map[string]drift.Failure {
			mu.Lock()
			defer mu.Unlock()
			return off
		}
		defer first.start().stop()
		defer second.start().stop()
		moved := func(why string) {
			t.Helper()
			time.Sleep(time.Minute)
			first.want(cluster.Fault, "")
			second.want(cluster.Master, theVIP)
			if got := first.instance().Fault; !strings.Contains(got, why) {
				t.Errorf("the fault is %q, want %q", got, why)
			}
		}
		back := func() {
			t.Helper()
			time.Sleep(time.Minute)
			first.want(cluster.Master, theVIP)
			second.want(cluster.Backup, "")
		}
		back()
		m1.Refuse("renew", -1)
		moved("its lease cannot be renewed")
		m1.Refuse("renew", 0)
		back()
		set(map[string]drift.Failure{"eth9": {Since: time.Now(), Why: "busy"}})
		back()
		set(map[string]drift.Failure{"eth0": {Since: time.Now(), Why: "busy"}})
		time.Sleep(stepDownAfter - 2*lookEvery)
		first.want(cluster.Master, theVIP)
		moved("the data plane is not on eth0: busy")
		set(nil)
		back()
	})
}
