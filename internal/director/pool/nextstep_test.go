package pool

import (
	"testing"
	"time"

	"weir/conf"
)

// TestNextStepLooksAtNobody has the loop look at no server of a virtual server without
// slow_start, however many there are: it asks with each event.
func TestNextStepLooksAtNobody(t *testing.T) {
	p := &Pool{members: []*member{nil}} // a look at it would panic
	p.conf = conf.VirtualServer{Scheduler: "wrr"}
	if wait, ok := (Pools{p}).SlowStarters().NextStep(time.Now()); ok {
		t.Errorf("a step in %s", wait)
	}
}
