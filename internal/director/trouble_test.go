package director

import (
	"context"
	"syscall"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
)

// unable is a check that this machine cannot make while it lacks something.
type unable struct {
	spec  conf.Check
	lacks *error
}

func (u unable) String() string { return "TCP_CHECK " + u.spec.Connect.String() }

func (u unable) Check(context.Context) (check.Weight, error) { return check.Weight{}, *u.lacks }

// What this machine lacks takes no server out, and is told once when it begins and once
// when it is over, however many checks it is.
func TestOwnTroubleIsToldOnce(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		var lacks error
		n := s.add(s.segment.Machine("192.0.2.1/24"), cfg(vrrpOn(51, 100, "192.0.2.100/32")))
		n.checks.New = func(c conf.Check) check.Checker { return unable{c, &lacks} }
		n.start()
		time.Sleep(time.Minute)
		lacks = &check.OwnError{Err: syscall.EMFILE, Remedy: "raise the limit"}
		time.Sleep(10 * time.Minute)
		n.wantLogged("checks cannot be made", 1)
		n.wantLogged("checks are made again", 0)
		n.wantLogged("real server", 0)
		if got := serving(n.machine); got != "192.0.2.11 192.0.2.12" {
			t.Errorf("serving %s", got)
		}
		lacks = nil
		time.Sleep(2 * time.Minute)
		n.wantLogged("checks are made again reason=too many open files checks=2", 1)
		// One that comes and goes from check to check is one trouble.
		for i := range 20 {
			if lacks = nil; i%2 == 0 {
				lacks = &check.OwnError{Err: syscall.ENOBUFS}
			}
			time.Sleep(6 * time.Second)
		}
		n.wantLogged("checks cannot be made", 2)
		// A reload that takes the checks away ends it.
		lacks = &check.OwnError{Err: syscall.EPERM}
		time.Sleep(2 * time.Minute)
		n.wantLogged("checks cannot be made", 3)
		if _, err := n.Reload(services(virtual(80, server("192.0.2.11")))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		n.wantLogged("checks are made again reason=operation not permitted checks=2", 1)
		n.stop()
	})
}
