package pool

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"weir/internal/director/diff"
	"weir/lvs"
)

// Change is what a reload changes of a virtual server.
type Change struct {
	Service  string         `json:"service"`
	Kind     diff.Kind      `json:"kind"`
	Settings []diff.Setting `json:"settings,omitempty"`
	Servers  []ServerChange `json:"servers,omitempty"`
}

// ServerChange is what changes of a real server.
type ServerChange struct {
	Server   string         `json:"server"`
	Kind     diff.Kind      `json:"kind"`
	Weight   int            `json:"weight"`
	Settings []diff.Setting `json:"settings,omitempty"`
	// Connections are those that it has, and Touched says that they do not go on:
	// their server leaves.
	Connections int  `json:"connections"`
	Touched     bool `json:"touched"`
	// Checked says that an added one waits for its checks.
	Checked bool `json:"waits_for_checks,omitempty"`

	keys   []lvs.ServiceKey
	server lvs.RealServer
}

// Count fills in how many connections each server has that was there before. Live
// counts those of the servers of a service.
func (c *Change) Count(live func(lvs.ServiceKey) map[netip.AddrPort]int) {
	for i := range c.Servers {
		rs := &c.Servers[i]
		if rs.Kind == diff.Added {
			continue
		}
		for _, key := range rs.keys {
			rs.Connections += live(key)[as(rs.server, key).AddrPort()]
		}
	}
}

// changed is the change of a whole pool, which is added or removed.
func (p *Pool) changed(kind diff.Kind) Change {
	c := Change{Service: p.title(), Kind: kind}
	for _, m := range p.members {
		c.Servers = append(c.Servers, m.change(kind))
	}
	return c
}

func (m *member) change(kind diff.Kind) ServerChange {
	return ServerChange{
		Server: m.server.AddrPort().String(), Kind: kind, Weight: m.server.Weight,
		Touched: kind == diff.Removed, Checked: kind == diff.Added && !m.in(), keys: m.pool.keys, server: m.server,
	}
}

// compare lists what the pool that was has otherwise than the one that comes.
func (p *Pool) compare(to *Pool) (s diff.Settings) {
	for _, key := range to.keys {
		if !slices.Contains(p.keys, key) {
			s.Compare("service", "", key)
		}
	}
	for _, key := range p.keys {
		if !slices.Contains(to.keys, key) {
			s.Compare("service", key, "")
		}
	}
	if from := p.empty; !reflect.DeepEqual(from, to.empty) {
		s.Compare("lb_algo", from.Scheduler, to.empty.Scheduler)
		s.Compare("sh-port", diff.OnOff(from.SHPort), diff.OnOff(to.empty.SHPort))
		s.Compare("sh-fallback", diff.OnOff(from.SHFallback), diff.OnOff(to.empty.SHFallback))
		s.Compare("persistence_timeout", from.Persistence.Timeout, to.empty.Persistence.Timeout)
		s.Compare("persistence_granularity", maskOf(from), maskOf(to.empty))
		s.Compare("ops", diff.OnOff(from.OnePacket), diff.OnOff(to.empty.OnePacket))
		s.Compare("rules", fmt.Sprintf("%+v", from.Rules), fmt.Sprintf("%+v", to.empty.Rules))
	}
	return s
}

func maskOf(vs lvs.VirtualServer) string {
	if !vs.Persistence.Netmask.IsValid() {
		return "the whole address"
	}
	return vs.Persistence.Netmask.String()
}

func compareServers(was, now *member) (s diff.Settings) {
	if from, to := was.server, now.server; from != to {
		s.Compare("weight", from.Weight, to.Weight)
		s.Compare("lvs_method", from.Method, to.Method)
		s.Compare("uthreshold", from.Upper, to.Upper)
		s.Compare("lthreshold", from.Lower, to.Lower)
	}
	if !sameChecks(was.checkers, now.checkers) {
		s.Compare("checks", describeChecks(was.checkers), describeChecks(now.checkers))
	}
	return s
}

func sameChecks(a, b []*Checker) bool {
	return slices.EqualFunc(a, b, func(a, b *Checker) bool {
		return a.spec.Target == b.spec.Target && a.timers() == b.timers()
	})
}

func describeChecks(checkers []*Checker) string {
	if len(checkers) == 0 {
		return "none"
	}
	var all []string
	for _, checker := range checkers {
		c := checker.spec
		text := fmt.Sprintf("%s %s every %s, time-out %s, %d more tries after %s", c.Kind, c.Connect, c.DelayLoop, c.ConnectTimeout, c.Retry, c.DelayBeforeRetry)
		if c.Bind.IsValid() {
			text += " from " + c.Bind.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
