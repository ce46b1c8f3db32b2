package dataplane

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/conformance"
)

// waiting names the scenarios that ask for what weir does not do yet, by the
// words that ask for it.
var waiting = []struct{ words, what string }{
	{"--tun-type", "GRE and GUE"},
}

// TestGolden replays what the real IPVS did, packet by packet through the
// program, and compares server by server, and the counts that ipvsadm showed.
func TestGolden(t *testing.T) {
	scenarios, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	found, err := conformance.Load("../../test/conformance/testdata/found") // by test/vm
	if err != nil {
		t.Fatal(err)
	}
	scenarios = append(scenarios, found...)
	left, planes := map[string][]string{}, goldenPlanes(t)
	for _, s := range scenarios {
		if why := waits(s); why != "" {
			left[why] = append(left[why], s.Name)
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			playOn(t, planes, s)
		})
	}
	for why, names := range left {
		t.Logf("waiting for %s: %s", why, strings.Join(names, " "))
	}
}

// goldenPlanes are as many as scenarios run at once, each prepared by this; they go
// with the test.
func goldenPlanes(t *testing.T, prepare ...func(*bench)) chan *bench {
	planes := make(chan *bench, runtime.GOMAXPROCS(0))
	for i := range cap(planes) {
		name := fmt.Sprintf("golden%d", i)
		ns := goldenNetwork(t, name)
		ns.Do(func() {
			b := openBench(t, pinsFor(name), 1<<12)
			b.ns = ns
			t.Cleanup(func() {
				ns.Do(func() {
					if err := b.Remove(); err != nil {
						t.Error(err)
					}
				})
			})
			for _, f := range prepare {
				f(b)
			}
			planes <- b
		})
	}
	return planes
}

// anew has the data plane forget all services, and all connections as if their
// time were over, and expects that nothing of them is left.
func (b *bench) anew(t *testing.T) {
	t.Helper()
	b.set(t, lvs.Plan{})
	b.goBy(t, ticks(24*time.Hour))
	b.sweepUntil(t, 0)
	b.sweepUntil(t, 0) // templates go when their connections have gone, and the indexes after both
	if services, servers := b.known(t); services+servers > 0 {
		t.Fatalf("%d services and %d servers are left", services, servers)
	}
	for key := range b.everyConn(t) {
		t.Fatalf("connection %v is left", key)
	}
	for _, table := range []*ebpf.Map{b.maps.Templates, b.maps.Cache, b.maps.MemberBlocks, b.maps.Fragments} {
		var key, value []byte
		for all := table.Iterate(); all.Next(&key, &value); {
			t.Fatalf("an entry is left in %s", table)
		}
	}
	b.wantDue(t)
	var r abi.BpfConnLimits
	if err := b.maps.ConnLimits.Lookup(uint32(0), &r); err != nil || r.HalfOpen != 0 {
		t.Fatalf("%d connections are half open yet, %v", r.HalfOpen, err)
	}
}

func goldenNetwork(t *testing.T, name string) *nstest.Namespace {
	return newNetwork(t, name, []string{"10.0.1.1/24", "10.0.2.254/24", "fd00:2::254/64"}, "10.0.2.%d", "fd00:2::%d")
}

func waits(s conformance.Scenario) string {
	for _, step := range s.Steps {
		for _, w := range waiting {
			if slices.Contains(step.Words, w.words) {
				return w.what
			}
		}
	}
	return ""
}

// comparison says how the picks of a flow differ from the recorded ones, "" for
// not at all.
type comparison func(got, want []string) string

func compareInOrder(got, want []string) string {
	g, w := strings.Join(got, " "), strings.Join(want, " ")
	if g == w {
		return ""
	}
	return fmt.Sprintf("\n got %s\nwant %s", g, w)
}

// playOn plays a scenario on the data plane that is free next.
func playOn(t *testing.T, planes chan *bench, s conformance.Scenario) {
	b := <-planes
	defer func() { planes <- b }()
	b.ns.Do(func() {
		b.anew(t)
		b.replay(t, s, compareInOrder)
	})
}

// replay plays a scenario on a data plane that has nothing yet.
func (b *bench) replay(t *testing.T, s conformance.Scenario, compare comparison) {
	p := &player{bench: b, t: t, compare: compare}
	for _, step := range s.Steps {
		p.step = step
		p.play()
	}
}

// player is a scenario under way.
type player struct {
	*bench
	t       *testing.T
	compare comparison
	step    conformance.Step
	table   conformance.Table
	held    []*tcpConn
}

func (p *player) errorf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("line %d, %s: %s", p.step.Line, strings.Join(p.step.Words, " "), fmt.Sprintf(format, args...))
}

func (p *player) play() {
	switch words := p.step.Words; words[0] {
	case "ipvsadm":
		switch {
		case slices.Contains(words, "-L"): // how ipvsadm prints a setting
			return
		case slices.Contains(words, "--stats"):
			p.compareConns()
			return
		case slices.Contains(words, "-Ln"):
			if slices.ContainsFunc(p.table.Plan().Services, byLot) {
				p.compareSums()
			} else {
				p.compareList()
			}
			return
		}
		p.admin(words[1:])
	case "mark":
		p.must(p.table.Mark(words[1], words[2]))
		p.set(p.t, p.table.Plan())
	case "sysctl":
		p.must(p.table.Sysctl(words[1]))
	case "tcp", "udp":
		p.traffic(words)
		for _, meanwhile := range p.step.Meanwhile() {
			p.admin(meanwhile[1:])
		}
	case "syn":
		p.halfOpen(words)
	case "save":
		p.table.Save()
	case "restore":
		p.table.Restore()
		p.set(p.t, p.table.Plan())
	case "close", "reset":
		for _, i := range p.which(words[1]) {
			if i < len(p.held) && !p.held[i].closed { // random scenarios name others, too
				p.held[i].end(words[0] == "reset")
			}
		}
	case "sleep":
		p.sleep(words[1])
	case "echo":
		var got []string
		for i, c := range p.held {
			if !c.closed {
				got = append(got, fmt.Sprintf("%d:%s", i+1, c.ask()))
			}
		}
		if want := strings.Join(p.step.Output, " "); strings.Join(got, " ") != want {
			p.errorf("got %q, want %q", strings.Join(got, " "), want)
		}
	default:
		p.t.Fatalf("line %d: step %q is not known", p.step.Line, words[0])
	}
}

func (p *player) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("line %d: %v", p.step.Line, err)
	}
}

// byLot says whether a service's counts are a matter of chance.
func byLot(vs lvs.VirtualServer) bool { return vs.Scheduler == lvs.PowerOfTwoChoices }

// which are the held connections that "1,3-5" or "all" names, from 0.
func (p *player) which(list string) (all []int) {
	if list == "all" {
		for i := range p.held {
			all = append(all, i)
		}
		return all
	}
	for part := range strings.SplitSeq(list, ",") {
		var from, to int
		if n, _ := fmt.Sscanf(part, "%d-%d", &from, &to); n == 1 {
			to = from
		}
		for i := from; i <= to; i++ {
			all = append(all, i-1)
		}
	}
	return all
}

// admin carries out an ipvsadm command; the data plane refuses what that does.
func (p *player) admin(args []string) {
	before := p.table
	err := p.table.Admin(args)
	if !p.step.Refused() {
		p.must(err)
		p.set(p.t, p.table.Plan())
		return
	}
	if err == nil {
		err = p.Check(p.table.Plan())
	}
	if err == nil {
		p.errorf("it was taken, want an error")
	}
	p.table = before
}

// traffic makes the connections that the recorded lines tell of, and compares
// who answered.
func (p *player) traffic(words []string) {
	flows, err := p.step.Flows()
	if err != nil {
		p.t.Fatal(err)
	}
	same, hold, rst := slices.Contains(words, "same"), slices.Contains(words, "hold"), slices.Contains(words, "rst")
	for _, f := range flows {
		var got []string
		for i := range f.Picks {
			from := f.From
			if !same {
				from = netip.AddrPortFrom(from.Addr(), from.Port()+uint16(i))
			}
			if words[0] == "udp" {
				got = append(got, p.datagram(from, f.To))
				continue
			}
			c := &tcpConn{player: p, from: from.String(), to: f.To.String()}
			got = append(got, c.open())
			switch {
			case !c.opened:
			case hold:
				p.held = append(p.held, c)
			default:
				c.end(rst)
			}
		}
		if differs := p.compare(got, f.Picks); differs != "" {
			p.errorf("%s -> %s %s", f.From, f.To, differs)
		}
	}
}

// compareList compares the counts with what ipvsadm -Ln showed.
func (p *player) compareList() {
	stats, err := p.Stats()
	p.must(err)
	list, err := p.step.Listing()
	p.must(err)
	for _, want := range list {
		i := slices.IndexFunc(stats.Servers, func(s ServerStats) bool {
			return s.Service == want.Service && s.Server.AddrPort() == want.Server
		})
		if i < 0 {
			p.errorf("%s is not there", want.Server)
			continue
		}
		s, got := stats.Servers[i], want
		got.Active, got.Inactive = s.Active, s.Inactive
		if slices.Contains(p.step.Words, "--persistent-conn") {
			got.Persistent = s.Persistent
		}
		if got != want {
			p.errorf("got %s, want %s", got, want)
		}
	}
}

// compareSums compares the counts of all servers together, where each server's are a matter
// of chance.
func (p *player) compareSums() {
	stats, err := p.Stats()
	p.must(err)
	list, err := p.step.Listing()
	p.must(err)
	var got, want conformance.Listed
	for _, l := range list {
		want.Active += l.Active
		want.Inactive += l.Inactive
	}
	for _, s := range stats.Servers {
		got.Active += s.Active
		got.Inactive += s.Inactive
	}
	if got != want {
		p.errorf("got %d active and %d inactive together, want %d and %d", got.Active, got.Inactive, want.Active, want.Inactive)
	}
}

// compareConns compares how many connections each service and server has had.
// Packets and bytes are those of a real TCP stack, and are not played here.
func (p *player) compareConns() {
	stats, err := p.Stats()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range p.step.Output {
		words := strings.Fields(line)
		if words[0] == "TCP" || words[0] == "UDP" {
			key, err := conformance.Service(words[0], words[1], false)
			p.must(err)
			if got := fmt.Sprint(stats.Services[key].Counter.Conns); got != words[2] {
				p.errorf("connections of %s: got %s, want %s", key, got, words[2])
			}
		}
		if words[0] != "->" || len(words) < 3 {
			continue
		}
		i := slices.IndexFunc(stats.Servers, func(s ServerStats) bool { return s.Server.AddrPort().String() == words[1] })
		if i < 0 {
			p.errorf("%s is not there", words[1])
		} else if got := fmt.Sprint(stats.Servers[i].Counter.Conns); got != words[2] {
			p.errorf("connections of %s: got %s, want %s", words[1], got, words[2])
		}
	}
}

// sleep makes everything as much older, a second at a time, and sweeps each time.
func (p *player) sleep(seconds string) {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		p.t.Fatal(err)
	}
	for second := range time.Duration(n) {
		ticks := uint32((second+1)*time.Second/conn.TickLength) - uint32(second*time.Second/conn.TickLength)
		p.goBy(p.t, ticks)
		if err := p.conns.Sweep(false); err != nil {
			p.t.Fatal(err)
		}
	}
}
