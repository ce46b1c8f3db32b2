package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Random is the text of a scenario without outcomes: services of one or two kinds,
// connections that are opened, held and closed, and edits in between. The same seed and
// number give the same scenario. It has only steps with exactly one right outcome (with
// twos, exactly one distribution): none whose outcome depends on timing.
func Random(seed, number uint64) string {
	g := &generator{r: rand.New(rand.NewPCG(seed, number))}
	g.note("seed %d, scenario %d", seed, number)
	if number%13 == 12 {
		g.byLot()
		return g.text.String()
	}
	g.sysctls()
	for range 1 + g.r.IntN(2) {
		g.addService(Schedulers[g.r.IntN(len(Schedulers))])
	}
	for range 8 + g.r.IntN(8) {
		g.step()
	}
	g.list()
	return g.text.String()
}

// Schedulers are the schedulers of the scenarios in which every pick is compared.
var Schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "fo", "ovf"}

// generator is a scenario that is being made.
type generator struct {
	r        *rand.Rand
	text     strings.Builder
	services []*offered
	held     int   // how many connections were held so far
	open     []int // the numbers of those that no step has closed
}

// offered is a service of the scenario.
type offered struct {
	name      string // as ipvsadm's options: "-t 10.0.1.100:80"
	udp       bool
	ipv6      bool
	mark      bool
	targets   []string // the addresses that its clients connect to
	scheduler string
	persist   string // "" or " -p 300"
	onePacket bool
	port      string
	servers   []*backend
	// left are the servers that were removed; shut are those of them whose connections
	// may have been closed since. Such a server must not come back: the client's kernel
	// would repeat its packets to it at a moment that is not known.
	left, shut []string
}

type backend struct{ at, method string }

func (g *generator) note(format string, args ...any) {
	fmt.Fprintf(&g.text, "# "+format+"\n", args...)
}

func (g *generator) say(format string, args ...any) {
	fmt.Fprintf(&g.text, "$ "+format+"\n", args...)
}

// chance is true in this many of a hundred cases.
func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, all ...T) T { return all[g.r.IntN(len(all))] }

func (g *generator) sysctls() {
	for _, s := range []string{"expire_nodest_conn=1", "expire_quiescent_template=1"} {
		if g.chance(10) {
			g.say("sysctl net.ipv4.vs.%s", s)
		}
	}
}

// kinds are the possible services; a scenario has each at most once.
var kinds = []offered{
	{name: "-t 10.0.1.100:80", targets: []string{"10.0.1.100:80"}, port: "80"},
	{name: "-t 10.0.1.101:443", targets: []string{"10.0.1.101:443"}, port: "443"},
	{name: "-t [fd00:1::100]:80", ipv6: true, targets: []string{"[fd00:1::100]:80"}, port: "80"},
	{name: "-u 10.0.1.100:53", udp: true, targets: []string{"10.0.1.100:53"}, port: "53"},
	{name: "-u [fd00:1::101]:53", udp: true, ipv6: true, targets: []string{"[fd00:1::101]:53"}, port: "53"},
	{name: "-t 10.0.1.101:0", targets: []string{"10.0.1.101:80", "10.0.1.101:8080"}, port: "0"},
	{name: "-f 7", mark: true, targets: []string{"10.8.0.1..10.8.0.4:80", "10.8.0.2:8080"}, port: "0"},
	{name: "-f 8 -6", mark: true, ipv6: true, targets: []string{"fd00:8::1..fd00:8::4:80", "[fd00:8::2]:8080"}, port: "0"},
}

func (g *generator) addService(scheduler string) {
	kind := pick(g, kinds...)
	if slices.ContainsFunc(g.services, func(s *offered) bool {
		return s.name == kind.name || kind.port == "0" && !kind.mark || s.port == "0" && !s.mark
	}) {
		return
	}
	s := &kind
	g.services = append(g.services, s)
	if s.mark {
		g.say("mark %s", map[bool]string{false: "10.8.0.0/16 7", true: "fd00:8::/64 8"}[s.ipv6])
	}
	g.announce(s, "-A", scheduler)
	for range 1 + g.r.IntN(5) {
		g.addServer(s)
	}
}

// announce adds or edits a service, with a scheduler and options.
func (g *generator) announce(s *offered, verb, scheduler string) {
	s.scheduler = scheduler
	if verb == "-A" {
		s.persist = ""
		if s.port == "0" && !s.mark || g.chance(20) {
			s.persist = " -p 300"
			switch {
			case s.ipv6 && g.chance(40):
				s.persist += " -M 126"
			case !s.ipv6 && g.chance(40):
				s.persist += " -M 255.255.255.252"
			}
		}
		s.onePacket = s.udp && g.chance(25)
	}
	flags := ""
	if scheduler == "sh" || scheduler == "mh" {
		flags = pick(g, "", " -b "+scheduler+"-port", " -b "+scheduler+"-fallback", " -b "+scheduler+"-port,"+scheduler+"-fallback")
	}
	ops := ""
	if s.onePacket {
		ops = " -o"
	}
	g.say("ipvsadm %s %s -s %s%s%s%s", verb, s.name, scheduler, s.persist, flags, ops)
}

// addServer adds a server that the service does not have yet.
func (g *generator) addServer(s *offered) {
	n := 1 + g.r.IntN(6)
	host := fmt.Sprintf("10.0.2.%d", n)
	if s.ipv6 {
		host = fmt.Sprintf("[fd00:2::%d]", n)
	}
	b := &backend{at: host + ":" + s.port, method: " -m"}
	switch {
	case !s.mark && g.chance(35) || s.onePacket: // with one-packet scheduling, NAT does not translate answers
		b.method = " -g"
	case s.port == "80" && g.chance(20):
		b.at = host + ":8080"
	}
	if slices.ContainsFunc(s.servers, func(o *backend) bool { return o.at == b.at }) || slices.Contains(s.shut, b.at) {
		return
	}
	s.servers = append(s.servers, b)
	g.say("ipvsadm -a %s -r %s%s%s", s.name, b.at, b.method, g.share(s))
}

// share is a server's weight and thresholds.
func (g *generator) share(s *offered) string {
	weight := pick(g, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 10, 100)
	if len(s.servers) < 2 && weight == 0 { // a refused client takes long to notice
		weight = 1
	}
	out := fmt.Sprintf(" -w %d", weight)
	if g.chance(20) {
		upper := 2 + g.r.IntN(5)
		out += fmt.Sprintf(" -x %d", upper)
		if g.chance(50) {
			out += fmt.Sprintf(" -y %d", 1+g.r.IntN(upper-1))
		}
	}
	return out
}

// step adds one random step.
func (g *generator) step() {
	if len(g.services) == 0 {
		return
	}
	s := pick(g, g.services...)
	switch n := g.r.IntN(100); {
	case n < 50:
		g.traffic(s)
	case n < 60:
		g.closeSome()
	case n < 68:
		g.addServer(s)
	case n < 78:
		g.editServer(s)
	case n < 84:
		g.deleteServer(s)
	case n < 89:
		g.announce(s, "-E", pick(g, Schedulers...))
	case n < 92:
		g.deleteService(s)
	case n < 96:
		g.list()
	default:
		if len(g.open) > 0 {
			g.say("echo")
		}
	}
}

// traffic adds connections or datagrams to the service.
func (g *generator) traffic(s *offered) {
	target, n, from := pick(g, s.targets...), 1+g.r.IntN(6), ""
	flows := 1
	if strings.Contains(target, "..") {
		n, flows = 1+g.r.IntN(2), 4
	}
	if g.chance(50) {
		first, clients := g.r.IntN(200)+1, 1+g.r.IntN(6)
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
	kind, how := "tcp", ""
	if s.udp || s.mark && g.chance(30) {
		kind = "udp"
	}
	switch {
	case kind == "udp" && g.chance(30):
		how = " same"
	case kind == "tcp" && g.chance(45):
		how = " hold"
	}
	g.say("%s %d%s to %s%s", kind, n, from, target, how)
	if how == " hold" {
		for range n * flows {
			g.held++
			g.open = append(g.open, g.held)
		}
	}
}

// closeSome closes some of the held connections. The generator does not know which of them
// were established: it also names those that were refused.
func (g *generator) closeSome() {
	if len(g.open) == 0 {
		return
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
	g.say("close %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(gone), " ", ","), "[]"))
}

func (g *generator) editServer(s *offered) {
	if len(s.servers) > 0 {
		b := pick(g, s.servers...)
		g.say("ipvsadm -e %s -r %s%s%s", s.name, b.at, b.method, g.share(s))
	}
}

func (g *generator) deleteServer(s *offered) {
	if len(s.servers) > 1 {
		i := g.r.IntN(len(s.servers))
		g.say("ipvsadm -d %s -r %s", s.name, s.servers[i].at)
		s.left = append(s.left, s.servers[i].at)
		s.servers = slices.Delete(s.servers, i, i+1)
	}
}

// deleteService deletes a service and, in most cases, adds it again.
func (g *generator) deleteService(s *offered) {
	if len(g.services) == 1 { // otherwise the director's own stack answers
		return
	}
	g.say("ipvsadm -D %s", s.name)
	for _, b := range s.servers {
		s.left = append(s.left, b.at)
	}
	s.servers = nil
	if g.chance(70) {
		g.announce(s, "-A", pick(g, Schedulers...))
		for range 1 + g.r.IntN(3) {
			g.addServer(s)
		}
		return
	}
	g.services = slices.DeleteFunc(g.services, func(o *offered) bool { return o == s })
}

func (g *generator) list() {
	if slices.ContainsFunc(g.services, func(s *offered) bool { return s.persist != "" }) && g.chance(50) {
		g.say("ipvsadm -Ln --persistent-conn")
		return
	}
	g.say("ipvsadm -Ln")
}

// byLot is a scenario of twos: enough connections, over TCP and over UDP, that totals show a
// difference in the odds.
func (g *generator) byLot() {
	for _, s := range []offered{kinds[0], kinds[3]} {
		g.say("ipvsadm -A %s -s twos", s.name)
		for _, n := range g.r.Perm(6)[:2+g.r.IntN(3)] {
			g.say("ipvsadm -a %s -r 10.0.2.%d:%s%s -w %d", s.name, n+1, s.port, pick(g, " -m", " -g"), pick(g, 0, 1, 1, 2, 3, 5))
		}
		if s.udp {
			g.say("udp 100 to %s", s.targets[0])
		} else {
			g.say("tcp 100 to %s%s", s.targets[0], pick(g, "", " hold"))
		}
		g.say("ipvsadm -Ln")
	}
}
