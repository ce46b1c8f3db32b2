package notify

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
)

// service is a virtual server as it was told of last.
type service struct {
	cfg     *conf.VirtualServer
	up      bool // the quorum
	stays   bool // its real servers are those of the configuration before
	servers map[netip.AddrPort]*server
}

// server is a real server of one.
type server struct {
	cfg    *conf.RealServer
	up     bool
	weight int
}

// nameOf is a virtual server as events have it.
func nameOf(c *conf.VirtualServer) string {
	if c.Group != "" {
		return "group " + c.Group
	}
	return c.Keys[0].String()
}

// takeServices takes up the virtual servers of a configuration.
func (n *Notifier) takeServices(cfg *conf.Config) {
	services := map[string]*service{}
	n.order.services = nil
	for i := range cfg.VirtualServers {
		c := &cfg.VirtualServers[i]
		name := nameOf(c)
		s := &service{cfg: c}
		was := n.services[name]
		if was != nil {
			s.up = was.up
		}
		fresh := c.RealServers
		if was != nil && len(fresh) > 0 && len(was.cfg.RealServers) > 0 && &fresh[0] == &was.cfg.RealServers[0] {
			s.servers, s.stays, fresh = was.servers, true, nil // they have not been read again
		} else {
			s.servers = make(map[netip.AddrPort]*server, len(fresh))
		}
		for j := range fresh {
			rs := &fresh[j]
			addr := netip.AddrPortFrom(rs.Addr, rs.Port)
			one := &server{cfg: rs, up: !beginsDown(rs), weight: rs.Weight}
			if was != nil && was.servers[addr] != nil {
				one.up = was.servers[addr].up
				if rs.Weight == was.servers[addr].cfg.Weight {
					one.weight = was.servers[addr].weight
				}
			}
			s.servers[addr] = one
		}
		services[name] = s
		n.order.services = append(n.order.services, name)
	}
	n.services = services
}

// beginsDown says whether a real server has to pass a check first.
func beginsDown(rs *conf.RealServer) bool {
	for _, c := range rs.Checks {
		if c.Alpha {
			return true
		}
	}
	return false
}

// weightOf is the weight of the servers that are up.
func (s *service) weightOf() (sum int) {
	for _, one := range s.servers {
		if one.up {
			sum += one.weight
		}
	}
	return sum
}

// beginServices tells how virtual servers begin that were not there before: keepalived runs
// quorum_up at the start, and quorum_down where a sorry server begins.
func (n *Notifier) beginServices(before map[string]*service) {
	for _, name := range n.order.services {
		s, was := n.services[name], before[name]
		if s.stays && was != nil {
			continue
		}
		for _, rs := range s.cfg.RealServers {
			addr := netip.AddrPortFrom(rs.Addr, rs.Port)
			isNew := was == nil || was.servers[addr] == nil
			if one := s.servers[addr]; isNew && one.up && n.cfg.Global.RSInitNotifies {
				n.tellServer(s, one)
			}
		}
		if was != nil {
			continue
		}
		sum, bound := s.weightOf(), s.cfg.Quorum+s.cfg.Hysteresis
		s.up = sum >= bound
		switch {
		case s.up:
			n.tellQuorum(s, fmt.Sprintf("=> Starting with quorum up %d+%d=%d <= %d <=", s.cfg.Quorum, s.cfg.Hysteresis, bound, sum))
		case s.cfg.SorryServer.IsValid():
			n.tellQuorum(s, fmt.Sprintf("=> Starting with quorum down %d+%d=%d <= %d <=", s.cfg.Quorum, s.cfg.Hysteresis, bound, sum))
		}
	}
}

// find is what an event is about; nil where no configuration has it any more.
func (n *Notifier) find(e cluster.Event) (*service, *server) {
	s := n.services[e.VirtualServer]
	if s == nil {
		return nil, nil
	}
	addr, err := netip.ParseAddrPort(e.RealServer)
	if err != nil {
		return s, nil
	}
	return s, s.servers[addr]
}

// serverChanged tells that a real server has come in or gone out.
func (n *Notifier) serverChanged(e cluster.Event) {
	s, one := n.find(e)
	if one == nil {
		return
	}
	one.up = e.Kind == cluster.RealServerUp
	n.tellServer(s, one)
	if n.mailsServer(one) {
		n.mailCheck(s, one, e, one.up)
	}
}

// checkChanged tells that a check of a real server has changed, which has not: mails are about
// checks.
func (n *Notifier) checkChanged(e cluster.Event) {
	if s, one := n.find(e); one != nil && n.mailsServer(one) && !n.cfg.Global.NoCheckerEmails {
		n.mailCheck(s, one, e, e.To == "up")
	}
}

// firstCheckFailed tells of a real server that began down, by alpha, and stays so.
func (n *Notifier) firstCheckFailed(e cluster.Event) {
	s, one := n.find(e)
	if one == nil || one.up {
		return
	}
	n.tellServer(s, one)
	if n.mailsServer(one) && !n.cfg.Global.NoCheckerEmails {
		n.mailCheck(s, one, e, false)
	}
}

func (n *Notifier) weightChanged(e cluster.Event) {
	if _, one := n.find(e); one != nil {
		if weight, err := strconv.Atoi(e.To); err == nil {
			one.weight = weight
		}
	}
}

// quorumChanged tells that a virtual server has gained or lost its quorum.
func (n *Notifier) quorumChanged(e cluster.Event) {
	s, _ := n.find(e)
	if s == nil {
		return
	}
	s.up = e.Kind == cluster.QuorumGained
	what := "Lost quorum"
	if s.up {
		what = "Gained quorum"
	}
	n.tellQuorum(s, fmt.Sprintf("=> %s %d+%d=%s <= %s <=", what, s.cfg.Quorum, s.cfg.Hysteresis, e.Detail("bound"), e.Detail("weight")))
}

// tellRemoved tells of what another configuration takes away: a server that was up is down, and
// so is a virtual server whose quorum was up.
func (n *Notifier) tellRemoved(was subjects) {
	for _, name := range was.vrrpOrder {
		if i := was.instances[name]; n.instances[name] == nil {
			n.tellInstance(i, deleted)
		}
	}
	for _, name := range was.order {
		old, now := was.services[name], n.services[name]
		if now != nil && now.stays {
			continue
		}
		for _, rs := range old.cfg.RealServers {
			addr := netip.AddrPortFrom(rs.Addr, rs.Port)
			if one := old.servers[addr]; one.up && (now == nil || now.servers[addr] == nil) {
				one.up = false
				n.tellServer(old, one)
				n.mailEnd(old, one, "=> Removing <=")
			}
		}
		if now == nil && old.up {
			old.up = false
			n.tellQuorum(old, fmt.Sprintf("=> Lost quorum %d+%d=%d <= 0 <=", old.cfg.Quorum, old.cfg.Hysteresis, old.cfg.Quorum-old.cfg.Hysteresis))
		}
	}
}

// stopServices tells that all is down of the virtual servers with omega.
func (n *Notifier) stopServices() {
	for _, name := range n.order.services {
		s := n.services[name]
		if !s.cfg.Omega {
			continue
		}
		for _, rs := range s.cfg.RealServers {
			if one := s.servers[netip.AddrPortFrom(rs.Addr, rs.Port)]; one.up {
				one.up = false
				n.tellServer(s, one)
				n.mailEnd(s, one, "=> Shutting down <=")
			}
		}
		s.up = false
		n.tellQuorum(s, "=> Shutting down <=")
	}
}

// tellServer tells whether a real server is up.
func (n *Notifier) tellServer(s *service, one *server) {
	o := occasion{
		subject: "RS " + serverName(s, one) + " " + serviceName(s.cfg), kind: forLVS,
		scripts: []command{{Script: one.cfg.NotifyDown}},
		line:    fmt.Sprintf("RS %s %s %s", serverName(s, one), serviceName(s.cfg), upDown(one.up)),
	}
	if one.up {
		o.scripts[0].Script = one.cfg.NotifyUp
	}
	n.tell(o)
}

// tellQuorum tells whether a virtual server has its quorum.
func (n *Notifier) tellQuorum(s *service, body string) {
	o := occasion{
		subject: "VS " + serviceName(s.cfg), kind: forLVS,
		scripts: []command{{Script: s.cfg.QuorumDown}},
		line:    fmt.Sprintf("VS %s %s", serviceName(s.cfg), upDown(s.up)),
	}
	if s.up {
		o.scripts[0].Script = s.cfg.QuorumUp
	}
	alert := s.cfg.SMTPAlert
	if !s.cfg.Has("smtp_alert") {
		alert = n.cfg.Global.SMTPAlertChecker
	}
	if alert {
		o.mail = &mail{subject: "Virtualserver " + serviceName(s.cfg) + " - " + upDown(s.up), body: body}
	}
	n.tell(o)
}

// mailsServer says whether there are mails about a real server: they are on where nobody says
// otherwise.
func (n *Notifier) mailsServer(one *server) bool {
	switch {
	case one.cfg.Has("smtp_alert"):
		return one.cfg.SMTPAlert
	case n.cfg.Global.Has("smtp_alert_checker"):
		return n.cfg.Global.SMTPAlertChecker
	}
	return true
}

// mailCheck sends a mail about a check.
func (n *Notifier) mailCheck(s *service, one *server, e cluster.Event, passed bool) {
	if body := checkBody(e.Checker, passed, e.Reason); body != "" {
		n.tell(occasion{mail: &mail{subject: serverSubject(s, one), body: body}})
	}
}

// mailEnd sends a mail about a real server that goes for another reason.
func (n *Notifier) mailEnd(s *service, one *server, body string) {
	if n.mailsServer(one) {
		n.tell(occasion{mail: &mail{subject: serverSubject(s, one), body: body}})
	}
}

func serverSubject(s *service, one *server) string {
	return fmt.Sprintf("Realserver %s of virtual server %s - %s", serverName(s, one), serviceName(s.cfg), upDown(one.up))
}

// checkBody is what a mail says about a check, as keepalived's checkers say it. FILE_CHECK says
// nothing there.
func checkBody(kind string, passed bool, reason string) string {
	outcome := "failed"
	if passed {
		outcome = "succeed"
	}
	switch conf.CheckKind(kind) {
	case conf.CheckTCP:
		return "=> TCP CHECK " + outcome + " on service <="
	case conf.CheckPing:
		return "=> ICMP CHECK " + outcome + " on service <="
	case conf.CheckUDP:
		return "=> UDP CHECK " + outcome + " on service <="
	case conf.CheckDNS:
		return "=> DNS_CHECK: " + outcome + " on service <="
	case conf.CheckMisc:
		switch {
		case passed:
			outcome = "succeeded"
		case strings.HasPrefix(reason, "no end within"):
			outcome = "timed out"
		}
		return "=> MISC CHECK " + outcome + " on service <="
	case conf.CheckHTTP, conf.CheckSSL:
		if passed {
			return "=> CHECK succeed on service <="
		}
		return "=> CHECK failed on service : HTTP request failed <="
	case conf.CheckSMTP:
		if passed {
			return "=> CHECK succeed on service <="
		}
		return "=> CHECK failed on service : " + reason + " <="
	case conf.CheckBFD:
		if passed {
			outcome = "succeeded"
		}
		return "=> BFD CHECK " + outcome + " on service <="
	}
	return ""
}

// serviceName is a virtual server as keepalived writes it.
func serviceName(c *conf.VirtualServer) string {
	if c.Group != "" {
		return "[" + c.Group + "]:0"
	}
	key := c.Keys[0]
	if key.Mark != 0 {
		return fmt.Sprintf("FWM %d", key.Mark)
	}
	return fmt.Sprintf("[%s]:%s:%d", key.Addr, strings.ToLower(key.Protocol.String()), key.Port)
}

// serverName is a real server as keepalived writes it: by direct routing and tunnels its port is
// that of its virtual server.
func serverName(s *service, one *server) string {
	port, protocol := one.cfg.Port, "none"
	if one.cfg.Method != lvs.Masquerade && s.cfg.Group == "" {
		port = s.cfg.Keys[0].Port
	}
	if s.cfg.Keys[0].Mark == 0 || s.cfg.Group != "" {
		protocol = strings.ToLower(s.cfg.Protocol.String())
	}
	return fmt.Sprintf("[%s]:%s:%d", one.cfg.Addr, protocol, port)
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}
