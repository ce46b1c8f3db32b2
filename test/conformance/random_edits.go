package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// kinds are the possible services; a scenario has each at most once.
var kinds = []offered{
	{name: "-t 10.0.1.100:80", targets: []string{"10.0.1.100:80"}, port: "80"},
	{name: "-t 10.0.1.101:443", targets: []string{"10.0.1.101:443"}, port: "443"},
	{name: "-t [fd00:1::100]:80", ipv6: true, targets: []string{"[fd00:1::100]:80"}, port: "80"},
	{name: "-u 10.0.1.100:53", udp: true, targets: []string{"10.0.1.100:53"}, port: "53"},
	{name: "-u [fd00:1::101]:53", udp: true, ipv6: true, targets: []string{"[fd00:1::101]:53"}, port: "53"},
	{name: "-t 10.0.1.101:0", targets: []string{"10.0.1.101:80", "10.0.1.101:8080", "10.0.1.101:443"}, port: "0"},
	{name: "-f 7", mark: "10.8.0.0/16 7", targets: []string{"10.8.0.1..10.8.0.4:80", "10.8.0.2:8080"}, port: "0"},
	{name: "-f 8 -6", mark: "fd00:8::/64 8", ipv6: true, targets: []string{"fd00:8::1..fd00:8::4:80", "[fd00:8::2]:8080"}, port: "0"},
	{name: "-f 9", mark: "10.0.1.101 9", targets: []string{"10.0.1.101:80", "10.0.1.101:443", "10.0.1.101:8080"}, port: "0"},
}

func (g *generator) addService(scheduler string) {
	kind := pick(g, kinds...)
	if slices.ContainsFunc(g.services, func(s *offered) bool { return s.name == kind.name }) {
		return
	}
	s := &kind
	g.services = append(g.services, s)
	if s.mark != "" {
		g.say("mark %s", s.mark)
	}
	g.announce(s, "-A", scheduler)
	for range 1 + g.r.IntN(5) {
		g.addServer(s)
	}
}

// announce adds or edits a service, with a scheduler and options.
func (g *generator) announce(s *offered, verb, scheduler string) {
	if verb == "-E" && g.chance(40) {
		scheduler = s.scheduler // only the options may change
	}
	s.scheduler = scheduler
	if verb == "-A" || g.chance(30) {
		s.persist = g.persistence(s)
	}
	if verb == "-A" {
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

// persistence is "" or its options.
func (g *generator) persistence(s *offered) (options string) {
	if !(s.port == "0" && s.mark == "") && !g.chance(20) {
		return ""
	}
	options = pick(g, " -p 300", " -p 300", " -p 600")
	switch {
	case s.ipv6 && g.chance(40):
		options += " -M 126"
	case !s.ipv6 && g.chance(40):
		options += " -M 255.255.255.252"
	}
	return options
}

// hostOf is the address of a server, which only a tunnel reaches where it is of another
// family than its service.
func hostOf(n int, ipv6 bool) string {
	if ipv6 {
		return fmt.Sprintf("[fd00:2::%d]", n)
	}
	return fmt.Sprintf("10.0.2.%d", n)
}

// onVIP says whether the service's packets go to an address that the servers have, too: with
// others only NAT serves.
func (s *offered) onVIP() bool { return s.mark == "" || strings.HasPrefix(s.mark, "10.0.1.101 ") }

// addServer adds a server that the service does not have yet. At times it is one of the other
// family, which only a tunnel reaches.
func (g *generator) addServer(s *offered) {
	n, b := 1+g.r.IntN(6), &backend{method: " -m"}
	host, port := hostOf(n, s.ipv6), s.port
	switch {
	case !s.onVIP():
	case s.onePacket: // NAT does not translate its answers
		b.method = pick(g, " -g", " -g", " -i")
	case g.chance(20):
		b.method = " -i"
	case g.chance(35):
		b.method = " -g"
	}
	switch {
	case b.method == " -i" && g.chance(25):
		host = hostOf(n, !s.ipv6)
	case b.method == " -m" && port == "80" && g.chance(20):
		port = "8080"
	}
	b.at = host + ":" + port
	if find(s.servers, b.at) != nil || find(s.shut, b.at) != nil {
		return
	}
	if was := find(s.left, b.at); was != nil {
		if !was.mayBecome(b.method) {
			return
		}
		b.used = was.used
	}
	s.servers = append(s.servers, b)
	g.say("ipvsadm -a %s -r %s%s%s", s.name, b.at, b.method, g.share(s))
}

// share is a server's weight and thresholds.
func (g *generator) share(s *offered) string {
	weight := pick(g, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 10, 100, 1000, 65535, 65536, 100000)
	if len(s.servers) < 2 && weight == 0 { // a refused client takes long to notice
		weight = 1
	}
	out := fmt.Sprintf(" -w %d", weight)
	if g.chance(20) {
		upper := 2 + g.r.IntN(5)
		out += fmt.Sprintf(" -x %d", upper)
		if g.chance(50) {
			out += fmt.Sprintf(" -y %d", 1+g.r.IntN(upper))
		}
	}
	return out
}

// editServer edits a server: its weight and thresholds, and at times its method.
func (g *generator) editServer(s *offered) {
	if len(s.servers) == 0 {
		return
	}
	b := pick(g, s.servers...)
	if g.chance(25) {
		g.editMethod(s, b)
	}
	g.say("ipvsadm -e %s -r %s%s%s", s.name, b.at, b.method, g.share(s))
}

// editMethod changes a server's method.
func (g *generator) editMethod(s *offered, b *backend) {
	sameFamily := strings.HasPrefix(b.at, "[") == s.ipv6
	if !s.onVIP() || !sameFamily || !strings.HasSuffix(b.at, ":"+s.port) {
		return
	}
	methods := []string{" -i", " -g"}
	if !s.onePacket {
		methods = append(methods, " -m")
	}
	b.method = pick(g, slices.DeleteFunc(methods, func(method string) bool { return !b.mayBecome(method) })...)
}

func (g *generator) deleteServer(s *offered) {
	if len(s.servers) > 1 || len(s.servers) == 1 && g.chance(20) {
		i := g.r.IntN(len(s.servers))
		g.say("ipvsadm -d %s -r %s", s.name, s.servers[i].at)
		s.left = append(s.left, s.servers[i])
		s.servers = slices.Delete(s.servers, i, i+1)
		g.done = nil // a SYN for a server that was removed is dropped by the kernel (docs/differences.md)
	}
}

// deleteService deletes a service and, in most cases, adds it again.
func (g *generator) deleteService(s *offered) {
	if len(g.services) == 1 && g.chance(70) { // otherwise the director's own stack answers
		return
	}
	g.say("ipvsadm -D %s", s.name)
	s.left = append(s.left, s.servers...)
	s.servers, g.done = nil, nil
	if len(g.services) == 1 && g.chance(50) {
		g.one("10.0.1.100:80")
	}
	if len(g.services) == 1 || g.chance(70) {
		g.announce(s, "-A", pick(g, Schedulers...))
		for range 1 + g.r.IntN(3) {
			g.addServer(s)
		}
		return
	}
	g.services = slices.DeleteFunc(g.services, func(o *offered) bool { return o == s })
}

// saveAndRestore saves the table, clears it, and restores it as ipvsadm does: the servers come
// in the order of their addresses, and without thresholds.
func (g *generator) saveAndRestore() {
	for _, s := range g.services { // none may come back whose connections were closed
		for _, b := range s.servers {
			if find(s.shut, b.at) != nil {
				return
			}
		}
	}
	g.say("save")
	g.say("ipvsadm -C")
	if g.chance(30) {
		g.one("10.0.1.100:80")
	}
	g.say("restore")
}

// refused is an edit that the kernel refuses, or a client that nobody answers.
func (g *generator) refused(s *offered) {
	spare := hostOf(9, s.ipv6) + ":" + s.port
	other := hostOf(1, !s.ipv6) + ":" + s.port
	edits := []string{
		"-A " + s.name + " -s rr -p 50",
		"-E " + s.name + " -s nosuch -p 50", // not "none", which the kernel takes
		"-D -t 10.0.1.100:81",
		"-E -t 10.0.1.100:81 -s rr",
		"-a -t 10.0.1.100:81 -r 10.0.2.1:81 -m",
		"-A -t 10.0.1.100:0 -s rr",
		"-d " + s.name + " -r " + spare,
		"-e " + s.name + " -r " + spare + " -m -w 3",
		"-a " + s.name + " -r " + spare + " -m -x 2 -y 3",
		"-a " + s.name + " -r " + spare + " -m -y 1",
		"-a " + s.name + " -r " + spare + " -m -w 2147483648",
		"-a " + s.name + " -r " + other + " -m",
		"-a " + s.name + " -r " + other + " -g",
	}
	if len(s.servers) > 0 {
		b := pick(g, s.servers...)
		edits = append(edits,
			"-a "+s.name+" -r "+b.at+b.method,
			"-e "+s.name+" -r "+b.at+b.method+" -w 2 -x 3 -y 4")
	}
	if g.chance(25) {
		g.one("10.0.1.100:8080")
		return
	}
	g.note(refusedNote)
	g.say("ipvsadm %s", pick(g, edits...))
}

// refusedNote stands above an edit that the kernel refuses.
const refusedNote = "refused:"
