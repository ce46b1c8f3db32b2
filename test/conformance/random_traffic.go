package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// traffic adds connections or datagrams to the service.
func (g *generator) traffic(s *offered) {
	line, flows, kind := g.flows(s)
	how := ""
	switch {
	case kind == "udp" && g.chance(30):
		how = " same"
	case kind == "tcp" && g.chance(45):
		how = " hold"
	}
	g.send(line, flows, how)
}

// flows are connections of a service: the step's first words, and what they use.
func (g *generator) flows(s *offered) (line string, all flow, kind string) {
	target, n, from := pick(g, s.targets...), 1+g.r.IntN(6), ""
	if g.chance(6) {
		n = 10 + g.r.IntN(30)
	}
	flows, refused := 1, len(s.servers) == 0 // a client that is refused may take long to notice
	if refused {
		n = 1
	}
	if strings.Contains(target, "..") {
		n, flows = min(n, 1+g.r.IntN(2)), 4
	}
	if g.chance(50) && !refused {
		first, clients := g.r.IntN(200)+1, 1+g.r.IntN(6)
		if g.chance(15) {
			clients = 10 + g.r.IntN(30)
		}
		if flows > 1 {
			clients = 1
		}
		format := "10.9.0.%d"
		if s.ipv6 {
			format = "fd00:9::%x"
		}
		from = fmt.Sprintf(" from "+format, first)
		if clients > 1 {
			from += fmt.Sprintf(".."+format, first+clients-1)
			n = 1 + g.r.IntN(2)
		}
		flows *= clients
	}
	kind = "tcp"
	if s.udp || !s.onVIP() && g.chance(30) {
		kind = "udp"
	}
	for _, o := range g.services { // any of them may have got it
		for _, b := range o.servers {
			b.used = true
		}
	}
	return fmt.Sprintf("%s %d%s to %s", kind, n, from, target), flow{what: fmt.Sprintf("%s %d", kind, n), from: from, to: target, port: g.port, n: n * flows}, kind
}

// send adds a step of traffic, with the port where it is not the next one.
func (g *generator) send(line string, all flow, how string) {
	sport := ""
	if g.moved {
		sport = fmt.Sprintf(" sport %d", g.port)
	}
	g.moved = false
	g.say("%s%s%s", line, sport, how)
	used := all.n
	if strings.Contains(how, "same") {
		used = all.n / max(1, perFlow(line))
	}
	g.port += used
	if how == "" && used == all.n && all.port > 0 {
		g.done = append(g.done, all)
	}
	if strings.Contains(how, "hold") {
		for range all.n {
			g.held++
			g.open = append(g.open, g.held)
		}
	}
}

// one is a connection that no service may get.
func (g *generator) one(target string) { g.send("tcp 1 to "+target, flow{n: 1, port: -1}, "") }

// perFlow is the number of a step.
func perFlow(line string) (n int) {
	fmt.Sscanf(strings.Fields(line)[1], "%d", &n)
	return n
}

// again uses the ports of connections that are over.
func (g *generator) again() {
	if len(g.done) == 0 {
		return
	}
	f := pick(g, g.done...)
	g.say("%s%s to %s sport %d", f.what, f.from, f.to, f.port)
	g.moved = true
}

// halfOpens leaves connections half open, and at times repeats their SYNs.
func (g *generator) halfOpens(s *offered) {
	if s.udp {
		return
	}
	g.flows(s) // its servers are used
	target := pick(g, s.targets...)
	if strings.Contains(target, "..") {
		return
	}
	n, first := 1+g.r.IntN(4), halfOpenPort+g.halfOpen
	g.halfOpen += n
	g.say("syn %d to %s sport %d", n, target, first)
	if g.chance(50) {
		g.say("syn %d to %s sport %d", n, target, first)
	}
	g.list()
}

// halfOpenPort is the first source port of the connections that are left half open: the
// client's kernel sends no reset from there on.
const halfOpenPort = 40000

// during has edits come while connections are made, which they do not concern: those of
// another service, or such as leave everything as it is.
func (g *generator) during(s *offered) {
	others := slices.DeleteFunc(slices.Clone(g.services), func(o *offered) bool { return o == s || len(o.servers) == 0 || related(o, s) })
	if len(others) == 0 {
		return
	}
	o := pick(g, others...)
	var edits []string
	for range 2 + g.r.IntN(4) {
		b := pick(g, o.servers...)
		edits = append(edits, fmt.Sprintf("ipvsadm -e %s -r %s%s%s", o.name, b.at, b.method, g.share(o)))
	}
	line, flows, kind := g.flows(s)
	how := ""
	if kind == "tcp" && g.chance(40) {
		how = " hold"
	}
	g.send(line, flows, how+" while "+strings.Join(edits, " ; "))
}

// related says whether two services may get the same packets.
func related(a, b *offered) bool {
	vip := func(s *offered) bool { return strings.Contains(s.targets[0], "10.0.1.101") }
	return vip(a) && vip(b)
}

// closeSome closes some of the held connections. The generator does not know which of them
// were established: it also names those that were refused.
func (g *generator) closeSome() {
	if gone := g.some(); gone != "" {
		g.say("close %s", gone)
	}
}

// some takes some of the held connections.
func (g *generator) some() string {
	if len(g.open) == 0 {
		return ""
	}
	var gone []int
	for range 1 + g.r.IntN(len(g.open)) {
		i := g.r.IntN(len(g.open))
		gone = append(gone, g.open[i])
		g.open = slices.Delete(g.open, i, i+1)
	}
	for _, s := range g.services {
		s.shut = append(s.shut, s.left...)
		s.left = nil
	}
	slices.Sort(gone)
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(gone), " ", ","), "[]")
}

// resets ends a scenario with connections that the client resets. Their entries live for ten
// seconds only, so that nothing may follow that takes long.
func (g *generator) resets() {
	if len(g.services) == 0 {
		return
	}
	if gone := g.some(); gone != "" {
		g.say("reset %s", gone)
	}
	for range 1 + g.r.IntN(2) {
		if s := pick(g, g.services...); !s.udp && len(s.servers) > 0 {
			line, flows, kind := g.flows(s)
			if kind == "tcp" {
				g.send(line, flows, " rst")
			}
		}
	}
}

// age lets time pass until everything that was is over: UDP, and TCP that is established or
// was closed in order; the kernel then finds no connection of what is held.
func (g *generator) age() {
	g.say("sleep %d", idle)
	g.list()
	if len(g.open) > 0 && g.chance(70) {
		g.say("echo")
	}
	for range 2 {
		if len(g.services) > 0 {
			g.traffic(pick(g, g.services...))
		}
	}
}
