package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Random is the text of a scenario without outcomes: up to three services, connections that
// are opened, held, closed and reset, and edits in between. The same seed and number give the
// same scenario. It has only steps with exactly one right outcome (with twos, exactly one
// distribution): none whose outcome depends on timing. Features lists what it makes.
func Random(seed, number uint64) string {
	g := &generator{r: rand.New(rand.NewPCG(seed, number)), port: firstPort}
	g.note("seed %d, scenario %d", seed, number)
	if number%13 == 12 {
		g.byLot()
		return g.text.String()
	}
	g.sysctls()
	g.ages = g.chance(6)
	if g.ages {
		g.say("ipvsadm --set %d %d %d", lifetime, lifetime, lifetime)
	}
	for range 1 + g.r.IntN(3) {
		g.addService(Schedulers[g.r.IntN(len(Schedulers))])
	}
	if g.ages {
		for range 2 {
			g.traffic(pick(g, g.services...))
		}
		g.age()
	}
	for range g.length() {
		g.step()
	}
	if g.chance(25) {
		g.resets()
	}
	g.list()
	return g.text.String()
}

// Schedulers are the schedulers of the scenarios in which every pick is compared.
var Schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "fo", "ovf"}

const (
	firstPort = 20001 // of the clients
	// lifetime is the timeouts that a scenario in which time passes sets, and idle how long
	// it waits then, in seconds.
	lifetime = 10
	idle     = 14
)

// generator is a scenario that is being made.
type generator struct {
	r        *rand.Rand
	text     strings.Builder
	services []*offered
	held     int    // how many connections were held so far
	open     []int  // the numbers of those that no step has closed
	done     []flow // what has used ports that may be used again
	port     int    // the source port of the next client
	moved    bool   // the next client has to name it
	ages     bool   // the timeouts are short
	halfOpen int    // how many connections were left half open
}

// flow is a step whose connections are over.
type flow struct {
	what, from, to string
	port, n        int
}

// offered is a service of the scenario.
type offered struct {
	name      string // as ipvsadm's options: "-t 10.0.1.100:80"
	udp       bool
	ipv6      bool
	mark      string   // "" or the destination and the mark, as the step has them
	targets   []string // the addresses that its clients connect to
	scheduler string
	persist   string // "" or " -p 300"
	onePacket bool
	port      string
	servers   []*backend
	// left are the servers that were removed; shut are those of them whose connections
	// may have been closed since. Such a server must not come back: the client's kernel
	// would repeat its packets to it at a moment that is not known.
	left, shut []*backend
}

// backend is a real server. A used one may have connections.
type backend struct {
	at, method string
	used       bool
}

// find is the latest server at this address, or nil.
func find(all []*backend, at string) *backend {
	for _, b := range slices.Backward(all) {
		if b.at == at {
			return b
		}
	}
	return nil
}

// mayBecome says whether a server may get a method. One with connections does not come to
// direct routing, nor away from it: the kernel has one route to a server for all methods, and
// the connections by direct routing then go to nobody (docs/differences.md).
func (b *backend) mayBecome(method string) bool {
	return !b.used || b.method == method || b.method != " -g" && method != " -g"
}

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

// length is the number of steps: few where time must not pass but where it is said.
func (g *generator) length() int {
	if g.ages {
		return 3
	}
	return 8 + g.r.IntN(8)
}

// step adds one random step.
func (g *generator) step() {
	if len(g.services) == 0 {
		return
	}
	s := pick(g, g.services...)
	switch n := g.r.IntN(100); {
	case n < 38:
		g.traffic(s)
	case n < 42:
		g.again()
	case n < 45:
		g.halfOpens(s)
	case n < 48:
		g.during(s)
	case n < 56:
		g.closeSome()
	case n < 63:
		g.addServer(s)
	case n < 72:
		g.editServer(s)
	case n < 77:
		g.deleteServer(s)
	case n < 82:
		g.announce(s, "-E", pick(g, Schedulers...))
	case n < 85:
		g.deleteService(s)
	case n < 89:
		g.refused(s)
	case n < 91:
		g.saveAndRestore()
	case n < 95:
		g.list()
	case len(g.open) > 0:
		g.say("echo")
	}
}

func (g *generator) list() {
	for _, s := range g.services {
		if s.persist != "" && g.chance(50) {
			g.say("ipvsadm -Ln --persistent-conn")
			return
		}
	}
	g.say("ipvsadm -Ln")
}

// byLot is a scenario of twos: enough connections, over TCP and over UDP, that totals show a
// difference in the odds.
func (g *generator) byLot() {
	for _, s := range []offered{kinds[0], kinds[3]} {
		g.say("ipvsadm -A %s -s twos", s.name)
		for _, n := range g.r.Perm(6)[:2+g.r.IntN(3)] {
			g.say("ipvsadm -a %s -r 10.0.2.%d:%s%s -w %d", s.name, n+1, s.port, pick(g, " -m", " -g", " -i"), pick(g, 0, 1, 1, 2, 3, 5))
		}
		if s.udp {
			g.say("udp 100 to %s", s.targets[0])
		} else {
			g.say("tcp 100 to %s%s", s.targets[0], pick(g, "", " hold"))
		}
		g.say("ipvsadm -Ln")
	}
}
