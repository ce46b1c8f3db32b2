package setter

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/lvs"
)

// plane is a data plane that takes a while for each real server that it changes.
type plane struct {
	mu     sync.Mutex
	states []lvs.Plan
	err    error // of the next Set
	most   int   // how many servers one Set has changed at most
}

const perServer = 100 * time.Microsecond

func (p *plane) Set(plan lvs.Plan) error {
	n := p.changes(plan)
	time.Sleep(time.Duration(n) * perServer)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(p.most, n)
	p.states = append(p.states, plan)
	err := p.err
	p.err = nil
	return err
}

// changes counts the real servers of the services that a plan has otherwise than the last.
func (p *plane) changes(plan lvs.Plan) (servers int) {
	was := stateOf(p.last())
	next := stateOf(plan)
	for _, key := range was.differences(next) {
		servers += 1 + max(len(was.services[key].RealServers), len(next.services[key].RealServers))
	}
	return servers
}

func (p *plane) last() lvs.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.states) == 0 {
		return lvs.Plan{}
	}
	return p.states[len(p.states)-1]
}

// large is a plan of services on ports from one on, each of 20 servers of a weight.
func large(from, services, weight int) (plan lvs.Plan) {
	for i := range services {
		vs := lvs.VirtualServer{
			ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: uint16(from + i)},
			Scheduler:  lvs.WeightedRoundRobin,
		}
		for j := range 20 {
			vs.RealServers = append(vs.RealServers, lvs.RealServer{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)}), Port: 80, Weight: weight})
		}
		plan.Services = append(plan.Services, vs)
	}
	return plan
}

func describe(plan lvs.Plan) string {
	var b strings.Builder
	for _, vs := range plan.Services {
		fmt.Fprintf(&b, "%d:%d ", vs.Port, vs.RealServers[0].Weight)
	}
	return b.String()
}

// A change of 40,000 real servers is made in steps; a verdict meanwhile is in force after at
// most the step that is being taken and its own.
func TestLargeChange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before lvs.Plan
		after  func(weight int) lvs.Plan // the weight of the first service
	}{
		{"weights", large(1, 2000, 1), func(w int) lvs.Plan { return with(large(1, 2000, 2), w) }},
		{"removal", large(1, 2000, 1), func(w int) lvs.Plan { return with(large(1, 1, 1), w) }},
		{"addition", large(1, 1, 1), func(w int) lvs.Plan { return with(large(1, 2000, 1), w) }},
		{"others", large(1, 1001, 1), func(w int) lvs.Plan {
			others := large(3000, 1000, 1)
			return with(lvs.Plan{Services: append(large(1, 1, 1).Services, others.Services...)}, w)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &plane{}
				s := &Setter{Set: p.Set}
				if err := s.Now(tt.before); err != nil {
					t.Fatal(err)
				}
				p.most = 0
				whole := make(chan error, 1)
				s.Change(tt.after(1), func(err error) { whole <- err })
				for weight := 10; weight < 15; weight++ {
					time.Sleep(130 * time.Millisecond)
					at, soon := time.Now(), make(chan error, 1)
					s.Soon(tt.after(weight), func(err error) { soon <- err })
					if err := <-soon; err != nil {
						t.Error(err)
					}
					if took := time.Since(at); took > 2*(StepServers+21)*perServer {
						t.Errorf("a verdict was in force after %s", took)
					}
					if got := p.last().Services[0].RealServers[0].Weight; got != weight {
						t.Errorf("the weight is %d, want %d", got, weight)
					}
					if len(whole) > 0 {
						t.Error("all was done before the verdict came; make the change larger")
					}
				}
				if err := <-whole; err != nil {
					t.Error(err)
				}
				if p.most > StepServers {
					t.Errorf("a step changed %d servers", p.most)
				}
				if got, want := describe(p.last()), describe(tt.after(14)); got != want {
					t.Errorf("it ended with %s, want %s", got, want)
				}
				for _, state := range p.states {
					if len(state.Services) == 0 || state.Services[0].Port != 1 {
						t.Error("a service that stays was away for a while")
					}
				}
			})
		})
	}
}

// with gives the servers of the first service another weight.
func with(plan lvs.Plan, weight int) lvs.Plan {
	for i := range plan.Services[0].RealServers {
		plan.Services[0].RealServers[i].Weight = weight
	}
	return plan
}

// Until a change is wholly made, a service that leaves keeps its lease, and an instance that
// leaves has one.
func TestLeasesBetweenTwoStates(t *testing.T) { synctest.Test(t, testLeasesBetweenTwoStates) }

func testLeasesBetweenTwoStates(t *testing.T) {
	vip := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	in := func(vrid uint8, vips ...netip.Addr) lvs.Instance {
		return lvs.Instance{ID: lvs.InstanceID{VRID: vrid}, VIPs: vips}
	}
	before, after := large(1, 100, 1), large(1, 100, 2)
	before.Instances = []lvs.Instance{in(1, vip(1), vip(2)), in(2, vip(3)), in(3)}
	before.Devices, after.Devices = []lvs.Device{{Name: "eth0"}}, []lvs.Device{{Name: "eth1"}}
	after.Instances = []lvs.Instance{in(1, vip(3)), in(4, vip(2))}
	p := &plane{}
	s := &Setter{Set: p.Set}
	if err := s.Now(before); err != nil {
		t.Fatal(err)
	}
	whole := make(chan error, 1)
	s.Change(after, func(err error) { whole <- err })
	if err := <-whole; err != nil {
		t.Fatal(err)
	}
	between := p.states[1]
	want := []lvs.Instance{in(1, vip(3), vip(1)), in(4, vip(2)), in(2), in(3)}
	if got := fmt.Sprint(between.Instances); got != fmt.Sprint(want) {
		t.Errorf("between: %s, want %v", got, want)
	}
	if got := fmt.Sprint(between.Devices); got != "[{eth1 } {eth0 }]" {
		t.Errorf("between: devices %s", got)
	}
	if got := fmt.Sprint(p.last().Instances, p.last().Devices); got != fmt.Sprint(after.Instances, after.Devices) {
		t.Errorf("at the end: %s", got)
	}
}

// Where a step fails, the rest is tried at once, and whoever waits is told what of the whole
// state could not be done.
func TestFailedStep(t *testing.T) { synctest.Test(t, testFailedStep) }

func testFailedStep(t *testing.T) {
	p := &plane{err: errors.New("a step")}
	s := &Setter{Set: p.Set}
	whole := make(chan error, 1)
	s.Change(large(1, 1000, 1), func(err error) { whole <- err })
	if err := <-whole; err != nil {
		t.Errorf("the last attempt went well; it told %v", err)
	}
	if len(p.states) != 2 || len(p.last().Services) != 1000 {
		t.Errorf("%d attempts, %d services at last", len(p.states), len(p.last().Services))
	}
	p.err = errors.New("the whole")
	s.Change(large(1, 1, 1), func(err error) { whole <- err })
	if err := <-whole; err != nil {
		t.Error(err)
	}
	p.err = errors.New("the whole")
	s.Soon(large(1, 2, 1), func(err error) { whole <- err })
	if err := <-whole; err == nil || err.Error() != "the whole" {
		t.Errorf("told %v", err)
	}
	s.Stop()
}
