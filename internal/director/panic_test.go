package director

import (
	"errors"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
)

// stumbling is a data plane in which a method panics while it is named.
type stumbling struct {
	Forwarder
	in *string
}

func (s stumbling) stumble(method string) {
	if *s.in == method {
		panic("a mistake in " + method)
	}
}

func (s stumbling) Check(p lvs.Plan) error {
	s.stumble("Check")
	return s.Forwarder.Check(p)
}

func (s stumbling) Set(p lvs.Plan) error {
	s.stumble("Set")
	return s.Forwarder.Set(p)
}

// A panic while the loop does what it was asked ends that and nothing else: whoever asked is
// told where it was, the log tells once, a reload is put back, and checks and the instances
// go on.
func TestPanicInTheLoopIsCaught(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		in := ""
		n := s.add(s.segment.Machine("192.0.2.1/24"), cfg(vrrpOn(51, 100, "192.0.2.100/32")))
		n.Director.machine.Plane.Forwarder = stumbling{n.Director.machine.Plane.Forwarder, &in}
		n.start()
		time.Sleep(time.Minute)
		next := services(virtual(80, server("192.0.2.11")))
		for method, ask := range map[string]func(*conf.Config) (Changes, error){"Check": n.Plan, "Set": n.Reload} {
			in = method
			_, err := ask(next)
			var caught *cluster.Panic
			if !errors.As(err, &caught) || !strings.HasPrefix(caught.At, "panic_test.go:") || caught.Cause != "a mistake in "+method {
				t.Errorf("%s: %v", method, err)
			}
		}
		n.wantLogged("a mistake in weir was caught", 1) // both are from one line
		in = "Set"
		// A server goes down: its event is told, though the data plane does not follow.
		s.down.set("192.0.2.11:80", true)
		time.Sleep(time.Minute)
		n.wantLogged("real server virtual_server=TCP 192.0.2.100:80 real_server=192.0.2.11:80 state=down", 1)
		if got := serving(n.machine); got != "192.0.2.11 192.0.2.12" {
			t.Errorf("serving %s", got)
		}
		in = ""
		s.down.set("192.0.2.12:80", true)
		time.Sleep(time.Minute)
		if got := serving(n.machine); got != "" {
			t.Errorf("serving %s when the mistake is gone", got)
		}
		if _, err := n.Reload(next); err != nil {
			t.Error(err)
		}
		n.stop()
	})
}
