package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/conformance"
)

// waiting names the scenarios that ask for what weir does not do yet, by the
// words that ask for it.
var waiting = []struct{ words, what string }{
	{"-i", "tunnels"},
}

// TestGolden replays what the real IPVS did, packet by packet through the
// program, and compares server by server, and the counts that ipvsadm showed.
func TestGolden(t *testing.T) {
	scenarios, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string][]string{}
	for i, s := range scenarios {
		if why := waits(s); why != "" {
			left[why] = append(left[why], s.Name)
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			replay(t, fmt.Sprintf("golden%d", i), s, compareInOrder)
		})
	}
	for why, names := range left {
		t.Logf("waiting for %s: %s", why, strings.Join(names, " "))
	}
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

// replay plays a scenario on a data plane of its own, prepared by this.
func replay(t *testing.T, name string, s conformance.Scenario, compare comparison, prepare ...func(*bench)) {
	ns, far := nstest.New(t, name), nstest.New(t, name+"x")
	nstest.Veth(ns, "eth0", far, "eth0")
	ns.IP("link", "set", "eth0", "address", ourMAC)
	for _, a := range []string{"10.0.1.1/24", "10.0.2.254/24"} {
		ns.IP("addr", "add", a, "dev", "eth0")
	}
	ns.IP("addr", "add", "fd00:2::254/64", "dev", "eth0", "nodad")
	for i := 1; i <= serverCount; i++ {
		for _, a := range []string{fmt.Sprintf("10.0.2.%d", i), fmt.Sprintf("fd00:2::%d", i)} {
			ns.IP("neigh", "add", a, "lladdr", fmt.Sprintf("02:00:00:00:00:%d", 10+i), "dev", "eth0", "nud", "permanent")
		}
	}
	ns.Do(func() {
		b := openBench(t, pinsFor(name))
		b.ns = ns
		defer func() {
			if err := b.Remove(); err != nil {
				t.Error(err)
			}
		}()
		for _, f := range prepare {
			f(b)
		}
		p := &player{bench: b, t: t, compare: compare}
		for _, step := range s.Steps {
			p.step = step
			p.play()
		}
	})
}

// player is a scenario under way.
type player struct {
	*bench
	t        *testing.T
	compare  comparison
	step     conformance.Step
	services []lvs.VirtualServer
	marks    []lvs.MarkRule
	rules    lvs.ConnRules
	held     []*tcpConn
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
			if !slices.ContainsFunc(p.services, byLot) {
				p.compareList()
			}
			return
		}
		p.admin(words[1:])
		p.apply()
	case "mark":
		p.marks = append(p.marks, lvs.MarkRule{Mark: p.number(words[2]), Destination: prefixOf(words[1])})
		p.apply()
	case "sysctl":
		p.sysctl(words[1])
	case "tcp", "udp":
		p.traffic(words)
	case "close", "reset":
		for _, i := range p.which(words[1]) {
			p.held[i].end(words[0] == "reset")
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

func (p *player) apply() { p.set(p.t, lvs.Plan{Services: p.services, Marks: p.marks}) }

func (p *player) number(word string) uint32 {
	n, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		p.t.Fatalf("line %d: %v", p.step.Line, err)
	}
	return uint32(n)
}

// prefixOf is "10.8.0.0/16" or one address.
func prefixOf(word string) netip.Prefix {
	if a, err := netip.ParseAddr(word); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.MustParsePrefix(word)
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

// sysctl is a setting of IPVS: net.ipv4.vs.NAME=VALUE.
func (p *player) sysctl(setting string) {
	switch strings.TrimPrefix(setting, "net.ipv4.vs.") {
	case "conn_reuse_mode=0":
		p.rules.ReuseMode = lvs.ReuseKeeps
	case "expire_nodest_conn=1":
		p.rules.ExpireNoDest = true
	case "expire_quiescent_template=1":
		p.rules.ExpireQuiescentTemplate = true
	default:
		p.t.Fatalf("line %d: sysctl %s is not known", p.step.Line, setting)
	}
}

// admin applies an ipvsadm command to the wanted services.
func (p *player) admin(args []string) {
	option := func(name, otherwise string) string {
		if i := slices.Index(args, name); i >= 0 {
			return args[i+1]
		}
		return otherwise
	}
	verb := args[0]
	switch verb {
	case "-C":
		p.services = nil
		return
	case "--set":
		p.setTimeouts(args[1:])
		return
	}
	key := p.service(map[string]string{"-t": "TCP", "-u": "UDP", "-f": "FWM"}[args[1]], args[2], slices.Contains(args, "-6"))
	i := slices.IndexFunc(p.services, func(vs lvs.VirtualServer) bool { return vs.ServiceKey == key })
	switch verb {
	case "-A", "-E":
		if strings.HasPrefix(strings.Join(p.step.Output, ""), "Zero port") {
			p.refused(key)
			return
		}
		if verb == "-A" {
			p.services, i = append(p.services, lvs.VirtualServer{ServiceKey: key}), len(p.services)
		}
		vs, flags := &p.services[i], option("-b", "")
		vs.Scheduler = lvs.Scheduler(option("-s", "wlc"))
		vs.Persistence, vs.OnePacket, vs.Rules = p.persistence(option), slices.Contains(args, "-o"), p.rules
		vs.SHPort, vs.SHFallback = strings.Contains(flags, "h-port"), strings.Contains(flags, "h-fallback")
		return
	case "-D":
		p.services = slices.Delete(p.services, i, i+1)
		return
	}
	server := netip.MustParseAddrPort(option("-r", ""))
	rs := lvs.RealServer{Addr: server.Addr(), Port: server.Port(), Weight: 1, Method: lvs.DirectRoute}
	if slices.Contains(args, "-m") {
		rs.Method = lvs.Masquerade
	} else if verb == "-a" || verb == "-e" { // a packet keeps its port
		rs.Port = p.services[i].Port
	}
	for name, to := range map[string]any{"-w": &rs.Weight, "-x": &rs.Upper, "-y": &rs.Lower} {
		if _, err := fmt.Sscan(option(name, "x"), to); err != nil && slices.Contains(args, name) {
			p.t.Fatal(err)
		}
	}
	vs := &p.services[i]
	vs.RealServers = slices.Clone(vs.RealServers)
	j := slices.IndexFunc(vs.RealServers, func(r lvs.RealServer) bool { return r.AddrPort() == server })
	switch verb {
	case "-a":
		vs.RealServers = append(vs.RealServers, rs)
	case "-e":
		rs.Edits = vs.RealServers[j].Edits + 1
		vs.RealServers[j] = rs
	case "-d":
		vs.RealServers = slices.Delete(vs.RealServers, j, j+1)
	default:
		p.t.Fatalf("line %d: ipvsadm %s is not known", p.step.Line, verb)
	}
}

// persistence is -p TIMEOUT and -M NETMASK, or a prefix length of IPv6.
func (p *player) persistence(option func(name, otherwise string) string) (out lvs.Persistence) {
	seconds := option("-p", "")
	if seconds == "" {
		return out
	}
	out.Timeout = time.Duration(p.number(seconds)) * time.Second
	mask := option("-M", "")
	if bits, err := strconv.Atoi(mask); err == nil {
		ones, _ := netip.ParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		out.Netmask = netip.PrefixFrom(ones, bits).Masked().Addr()
	} else if mask != "" {
		out.Netmask = netip.MustParseAddr(mask)
	}
	return out
}

// refused expects the data plane to refuse a service as ipvsadm does.
func (p *player) refused(key lvs.ServiceKey) {
	plan := lvs.Plan{Services: []lvs.VirtualServer{{ServiceKey: key, Scheduler: lvs.RoundRobin}}}
	if err := p.Set(plan); err == nil {
		p.errorf("it was taken, want an error")
	}
}

// service is one as ipvsadm names it: "TCP 10.0.1.100:80", "FWM 7".
func (p *player) service(kind, name string, ipv6 bool) lvs.ServiceKey {
	if kind == "FWM" {
		return lvs.MarkKey(p.number(name), ipv6)
	}
	at := netip.MustParseAddrPort(name)
	protocol := map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP}[kind]
	return lvs.ServiceKey{Protocol: protocol, Addr: at.Addr(), Port: at.Port()}
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

// compareList compares weights and counts with what ipvsadm -Ln showed.
func (p *player) compareList() {
	stats, err := p.Stats()
	if err != nil {
		p.t.Fatal(err)
	}
	var key lvs.ServiceKey
	for _, line := range p.step.Output {
		words := strings.Fields(line)
		if slices.Contains([]string{"TCP", "UDP", "FWM"}, words[0]) {
			key = p.service(words[0], words[1], words[2] == "IPv6")
		}
		if words[0] != "->" || words[1] == "RemoteAddress:Port" {
			continue
		}
		want := words[1:2:2] // and what is counted in the last columns
		if slices.Contains(p.step.Words, "--persistent-conn") {
			want = append(want, words[3:]...)
		} else {
			want = append(want, words[4:]...)
		}
		i := slices.IndexFunc(stats.Servers, func(s ServerStats) bool {
			return s.Service == key && s.Server.AddrPort().String() == words[1]
		})
		if i < 0 {
			p.errorf("%s is not there", words[1])
			continue
		}
		s := stats.Servers[i]
		got := []string{words[1], strconv.Itoa(s.Active), strconv.Itoa(s.Inactive)}
		if slices.Contains(p.step.Words, "--persistent-conn") {
			got = slices.Insert(got, 1, strconv.Itoa(s.Persistent))
		}
		if !slices.Equal(got, want) {
			p.errorf("connections counted: got %s, want %s", got, want)
		}
	}
}

// compareConns compares how many connections each server has had. Packets and
// bytes are those of a real TCP stack, and are not played here.
func (p *player) compareConns() {
	stats, err := p.Stats()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range p.step.Output {
		words := strings.Fields(line)
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
		ticks := uint32((second+1)*time.Second/tickLength) - uint32(second*time.Second/tickLength)
		older[bpfFlowKey](p, p.maps.Conns, func(c *bpfConn) { c.Stamp -= ticks })
		older[bpfTemplateKey](p, p.maps.Templates, func(t *bpfTemplate) { t.Stamp -= ticks })
		if err := p.sweepConns(); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.forgetFlows(); err != nil { // else they would go on past it
		p.t.Fatal(err)
	}
}

// older changes every value of a table.
func older[K comparable, V any](p *player, m *ebpf.Map, age func(*V)) {
	aged := map[K]V{}
	var key K
	var value V
	for all := m.Iterate(); all.Next(&key, &value); {
		age(&value)
		aged[key] = value
	}
	for key, value := range aged {
		if err := m.Put(key, value); err != nil {
			p.t.Fatal(err)
		}
	}
}

// setTimeouts is ipvsadm --set: tcp, tcpfin and udp in seconds, 0 leaves one.
func (p *player) setTimeouts(seconds []string) {
	for i, state := range []bpfConnState{bpfConnStateSTATE_ESTABLISHED, bpfConnStateSTATE_FIN_WAIT, bpfConnStateSTATE_UDP} {
		d, err := time.ParseDuration(seconds[i] + "s")
		if err != nil {
			p.t.Fatal(err)
		}
		if d > 0 {
			if err := p.maps.Timeouts.Put(uint32(state), uint32(d/tickLength)); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}
