package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weir/conf"
	"weir/conf/text"
	"weir/lvs"
)

// Compare holds the configurations of two directors of the same addresses
// against each other. Instances are the same where their virtual_router_id and
// family are; its diagnostics stand in the second file.
func Compare(a, b *conf.Config, silence ...string) conf.Diagnostics {
	p := &pair{}
	for i := range b.VRRPInstances {
		second := &b.VRRPInstances[i]
		n := slices.IndexFunc(a.VRRPInstances, func(v conf.VRRPInstance) bool { return v.VRID == second.VRID && ipv6(&v) == ipv6(second) })
		if n >= 0 {
			p.instances(&a.VRRPInstances[n], second)
		}
	}
	if p.paired {
		p.services(a, b)
	}
	diags := p.Finish("", 0)
	diags.Judge(slices.Concat(silence, a.Weir.Silence, b.Weir.Silence), conf.Refused)
	return diags
}

// pair gathers what two configurations disagree about.
type pair struct {
	text.Collector
	paired bool
}

// origins is a block that knows where its values come from.
type origins interface {
	Has(keyword string) bool
	PlaceOf(keyword string) text.Place
}

// say warns of a value at its place, or at the head of its block.
func (p *pair) say(code string, first, second origins, at text.Place, keyword, message, hint string) {
	if second.Has(keyword) {
		at = second.PlaceOf(keyword)
	}
	var notes []string
	if first.Has(keyword) {
		notes = append(notes, "the other one: "+first.PlaceOf(keyword).String())
	}
	p.WarnAt(at, code, message, hint, notes...)
}

func (p *pair) instances(a, b *conf.VRRPInstance) {
	p.paired = true
	differs := func(code, keyword string, x, y any, hint string) {
		if x != y {
			p.say(code, a, b, b.At(), keyword, fmt.Sprintf("vrrp_instance %s: %s is %v here, and %v on the other director", b.Name, keyword, text.Value(y), text.Value(x)), hint)
		}
	}
	const same = "expected the same on both"
	differs("pair-advert", "version", a.Version, b.Version, same)
	differs("pair-advert", "advert_int", a.AdvertInterval, b.AdvertInterval, same)
	differs("pair-advert", "auth_type", a.Auth.Type, b.Auth.Type, same)
	if a.Auth.Type == b.Auth.Type && a.Auth.Password != b.Auth.Password {
		p.say("pair-advert", a, b, b.At(), "auth_pass", fmt.Sprintf("vrrp_instance %s: auth_pass is another one on the other director", b.Name), same)
	}
	if a.Priority == b.Priority {
		p.say("pair-priority", a, b, b.At(), "priority", fmt.Sprintf("vrrp_instance %s: both directors have priority %d", b.Name, b.Priority), "expected another number: the higher one is master")
	}
	if a.State == conf.Master && b.State == conf.Master {
		p.say("pair-priority", a, b, b.At(), "state", fmt.Sprintf("vrrp_instance %s: both directors wish to be MASTER", b.Name), "write state BACKUP on the one of lower priority")
	}
	if x, y := addresses(a.VIPs), addresses(b.VIPs); x != y {
		p.say("pair-vips", a, b, b.At(), "virtual_ipaddress", fmt.Sprintf("vrrp_instance %s has %s here, and %s on the other director", b.Name, y, x), "expected the same addresses on both")
	}
	p.unicast(a, b)
}

// unicast wants each director among the other one's peers.
func (p *pair) unicast(a, b *conf.VRRPInstance) {
	switch {
	case (len(a.Peers) == 0) != (len(b.Peers) == 0):
		p.say("pair-unicast", a, b, b.At(), "unicast_peer", fmt.Sprintf("vrrp_instance %s: one director sends to peers, the other to the group", b.Name), "expected unicast_peer on both, or on neither")
	case len(a.Peers) > 0 && a.SourceIP.IsValid() && !slices.Contains(b.UnicastPeers(), a.SourceIP):
		p.say("pair-unicast", a, b, b.At(), "unicast_peer", fmt.Sprintf("vrrp_instance %s: the other director, %s, is no peer here", b.Name, a.SourceIP), fmt.Sprintf("write %s into unicast_peer", a.SourceIP))
	case len(a.Peers) > 0 && b.SourceIP.IsValid() && !slices.Contains(a.UnicastPeers(), b.SourceIP):
		p.say("pair-unicast", a, b, b.At(), "mcast_src_ip", fmt.Sprintf("vrrp_instance %s: %s is no peer of the other director", b.Name, b.SourceIP), fmt.Sprintf("write %s into its unicast_peer", b.SourceIP))
	}
}

func ipv6(v *conf.VRRPInstance) bool { return len(v.VIPs) > 0 && v.VIPs[0].Prefix.Addr().Is6() }

func addresses(vips []conf.VIP) string {
	var list []netip.Addr
	for _, v := range vips {
		list = append(list, v.Prefix.Addr())
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return strings.Trim(fmt.Sprint(list), "[]")
}

// services wants the same ones, with the same servers, in both files.
func (p *pair) services(a, b *conf.Config) {
	first := byKey(a)
	for i := range b.VirtualServers {
		v := &b.VirtualServers[i]
		other := first[v.Keys[0]]
		delete(first, v.Keys[0])
		if other == nil {
			p.WarnAt(v.At(), "pair-services", "the other director has no virtual_server "+v.Name, "expected the same services on both")
			continue
		}
		p.service(other, v)
	}
	for i := range a.VirtualServers {
		v := &a.VirtualServers[i]
		if first[v.Keys[0]] != nil {
			p.WarnAt(v.At(), "pair-services", "the other director has no virtual_server "+v.Name, "expected the same services on both")
		}
	}
}

func byKey(c *conf.Config) map[lvs.ServiceKey]*conf.VirtualServer {
	m := map[lvs.ServiceKey]*conf.VirtualServer{}
	for i := range c.VirtualServers {
		m[c.VirtualServers[i].Keys[0]] = &c.VirtualServers[i]
	}
	return m
}

func (p *pair) service(a, b *conf.VirtualServer) {
	for _, d := range []struct {
		keyword string
		x, y    any
	}{
		{"lb_algo", a.Scheduler, b.Scheduler}, {"lb_kind", a.Method, b.Method},
		{"persistence_timeout", a.PersistenceTimeout, b.PersistenceTimeout},
		{"persistence_granularity", a.PersistenceGranularity, b.PersistenceGranularity},
	} {
		if d.x != d.y {
			p.say("pair-services", a, b, b.At(), d.keyword, fmt.Sprintf("virtual_server %s: %s is %v here, and %v on the other director", b.Name, d.keyword, text.Value(d.y), text.Value(d.x)), "expected the same on both")
		}
	}
	if x, y := serverList(a), serverList(b); x != y {
		p.WarnAt(b.At(), "pair-services", fmt.Sprintf("virtual_server %s has other real servers, or other weights, on the other director", b.Name), "here: "+text.Shorten(y), "there: "+text.Shorten(x))
	}
}

// serverList is a service's real servers with their weights, sorted.
func serverList(v *conf.VirtualServer) string {
	var list []string
	for _, rs := range v.RealServers {
		list = append(list, fmt.Sprintf("%s*%d", netip.AddrPortFrom(rs.Addr, rs.Port), rs.Weight))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
