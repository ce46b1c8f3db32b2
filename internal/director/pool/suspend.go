package pool

import (
	"context"
	"net/netip"
	"time"

	"weir/internal/check"
	"weir/lvs"
)

// suspendable is a check that is not made while this machine has none of its service's
// addresses (ha_suspend). Its verdict stays as it is meanwhile.
type suspendable struct {
	check.Checker
	checks *Checks
	of     *Checker
}

func (s suspendable) Check(ctx context.Context) (check.Weight, error) {
	if s.checks.suspended(s.of) {
		return check.Weight{}, check.ErrUnfinished
	}
	return s.Checker.Check(ctx)
}

// Connects is that of the check where it has one.
func (s suspendable) Connects() *check.TCP {
	if connector, ok := s.Checker.(check.Connector); ok && !s.checks.suspended(s.of) {
		return connector.Connects()
	}
	return nil
}

// Pace is that of the check where it has one.
func (s suspendable) Pace(up bool, timing check.Timing, wait time.Duration) time.Duration {
	if paced, ok := s.Checker.(check.Paced); ok && !s.checks.suspended(s.of) {
		return paced.Pace(up, timing, wait)
	}
	return wait
}

// suspendBy are the addresses without which a virtual server's checks are suspended: none
// without ha_suspend, and none where it has only marks, as in keepalived. Nil is none.
func (p *Pool) suspendBy() *[]netip.Addr {
	if !p.conf.HASuspend {
		return nil
	}
	by := addressesOf(p.keys)
	return &by
}

func addressesOf(keys []lvs.ServiceKey) (list []netip.Addr) {
	for _, key := range keys {
		if key.Mark == 0 {
			list = append(list, key.Addr)
		}
	}
	return list
}

// suspended says whether a check is not to be made now. Any goroutine may call it.
func (k *Checks) suspended(c *Checker) bool {
	addrs := c.suspendBy.Load()
	if addrs == nil || len(*addrs) == 0 || k.Here == nil {
		return false
	}
	for _, a := range *addrs {
		if k.Here(a) {
			return false
		}
	}
	return true
}
