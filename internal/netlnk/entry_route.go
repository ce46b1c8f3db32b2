package netlnk

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeTypes are what a route may be.
var routeTypes = map[string]uint8{
	"unicast": unix.RTN_UNICAST, "local": unix.RTN_LOCAL, "broadcast": unix.RTN_BROADCAST, "brd": unix.RTN_BROADCAST,
	"anycast": unix.RTN_ANYCAST, "multicast": unix.RTN_MULTICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT, "throw": unix.RTN_THROW, "nat": unix.RTN_NAT, "xresolve": unix.RTN_XRESOLVE,
}

// metrics are the words of a route's metrics, by their numbers (RTAX_*).
var metrics = map[string]int{
	"mtu": unix.RTAX_MTU, "window": unix.RTAX_WINDOW, "rtt": unix.RTAX_RTT, "rttvar": unix.RTAX_RTTVAR, "ssthresh": unix.RTAX_SSTHRESH,
	"cwnd": unix.RTAX_CWND, "advmss": unix.RTAX_ADVMSS, "reordering": unix.RTAX_REORDERING, "hoplimit": unix.RTAX_HOPLIMIT,
	"initcwnd": unix.RTAX_INITCWND, "rto_min": unix.RTAX_RTO_MIN, "initrwnd": unix.RTAX_INITRWND, "quickack": unix.RTAX_QUICKACK,
	"fastopen_no_cookie": unix.RTAX_FASTOPEN_NO_COOKIE,
}

// leastMillis is the least of the metrics that are times, as in keepalived.
const leastMillis = 200

// preferences are those of IPv6 routers (ICMPV6_ROUTER_PREF_*).
var preferences = map[string]uint8{"low": 3, "medium": 0, "high": 1}

// routeLine is a route as its words make it.
type routeLine struct {
	*words
	header  *nl.RtMsg
	family  uint8
	attrs   []*nl.RtAttr
	metrics *nl.RtAttr
	locked  uint32
	flags   int // of the request, for adding
	typed   bool
	scoped  bool
	dst     netip.Prefix
	all     bool // the destination is everything
	hops    []byte
}

// routeRequest builds the request that adds or removes a route (netlink_route in keepalived's
// vrrp_iproute.c).
func routeRequest(w *words, add bool) *nl.NetlinkRequest {
	r := &routeLine{words: w, header: &nl.RtMsg{}, metrics: nl.NewRtAttr(unix.RTA_METRICS, nil)}
	r.header.Type, r.header.Protocol, r.header.Table = unix.RTN_UNICAST, protoKeepalived, unix.RT_TABLE_MAIN
	for r.more() {
		r.word(r.next())
	}
	if r.family == 0 {
		r.family = unix.AF_INET
	}
	r.header.Family = r.family
	kind, flags := unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_ACK|r.flags
	if !add {
		kind, flags = unix.RTM_DELROUTE, unix.NLM_F_ACK
		if !r.typed {
			r.header.Type = unix.RTN_UNSPEC
		}
		if !r.scoped {
			r.header.Scope = unix.RT_SCOPE_NOWHERE
		}
	}
	req := nl.NewNetlinkRequest(kind, flags)
	req.AddData(r.header)
	if r.dst.IsValid() && !r.all {
		r.header.Dst_len = uint8(r.dst.Bits())
		req.AddData(nl.NewRtAttr(unix.RTA_DST, r.dst.Addr().AsSlice()))
	}
	if r.locked != 0 {
		r.metrics.AddRtAttr(unix.RTAX_LOCK, nl.Uint32Attr(r.locked))
	}
	if r.metrics.Len() > unix.SizeofRtAttr {
		req.AddData(r.metrics)
	}
	if len(r.hops) > 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_MULTIPATH, r.hops))
	}
	for _, a := range r.attrs {
		req.AddData(a)
	}
	return req
}

func (r *routeLine) add(t int, b []byte) { r.attrs = append(r.attrs, nl.NewRtAttr(t, b)) }

// of notes the family that an address has.
func (r *routeLine) of(a netip.Addr) netip.Addr {
	if r.family == 0 {
		r.family = familyOf(a)
	}
	return a
}

// word reads a word and what belongs to it.
func (r *routeLine) word(word string) {
	switch word {
	case "add":
		r.flags |= unix.NLM_F_EXCL
	case "append":
		r.flags |= unix.NLM_F_APPEND
	case "prepend", "no_track":
	case "inet":
		r.family = unix.AF_INET
	case "inet6":
		r.family = unix.AF_INET6
	case "track_group":
		r.next()
	case "src":
		r.add(unix.RTA_PREFSRC, r.of(r.address()).AsSlice())
	case "from":
		p := r.network()
		r.header.Src_len = uint8(max(p.Bits(), 0))
		r.add(unix.RTA_SRC, r.of(p.Addr()).AsSlice())
	case "via", "gw":
		r.gateway(r.address())
	case "or":
		r.secondGateway(r.address())
	case "dev", "oif":
		r.add(unix.RTA_OIF, nl.Uint32Attr(r.device()))
	case "table":
		r.table(r.words.table())
	case "vrf":
		r.table(r.vrfTable(r.next()))
	case "scope":
		r.header.Scope, r.scoped = uint8(r.named("rt_scopes", 8, scopeNames)), true
	case "protocol", "proto":
		r.header.Protocol = r.proto()
	case "tos", "dsfield":
		r.header.Tos = r.tos()
	case "metric", "preference", "priority":
		r.add(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.number(32))))
	case "realms":
		r.add(unix.RTA_FLOW, nl.Uint32Attr(r.realms()))
	case "onlink":
		r.header.Flags |= unix.RTNH_F_ONLINK
	case "expires":
		r.add(unix.RTA_EXPIRES, nl.Uint32Attr(uint32(r.number(32))))
	case "pref":
		r.add(unix.RTA_PREF, []byte{uint8(r.preference())})
	case "ttl-propagate":
		on := map[string]byte{"enabled": 1}[r.next()]
		r.add(unix.RTA_TTL_PROPAGATE, []byte{on})
	case "encap":
		r.fail("encap cannot be done yet")
	case "nexthop":
		r.nexthop()
	default:
		r.rest(word)
	}
}

// rest reads a type, a metric, or the destination.
func (r *routeLine) rest(word string) {
	if t, ok := routeTypes[word]; ok {
		r.header.Type, r.typed = t, true
		return
	}
	if number, ok := metrics[word]; ok {
		r.metric(word, number)
		return
	}
	switch word {
	case "features":
		if r.next() == "ecn" {
			r.metrics.AddRtAttr(unix.RTAX_FEATURES, nl.Uint32Attr(1)) // RTAX_FEATURE_ECN
		}
		return
	case "congctl":
		r.lock(unix.RTAX_CC_ALGO)
		r.metrics.AddRtAttr(unix.RTAX_CC_ALGO, []byte(r.next()))
		return
	case "to":
		word = r.next()
	}
	r.destination(word)
}

func (r *routeLine) preference() uint64 {
	if p, ok := preferences[r.peek()]; ok {
		r.next()
		return uint64(p)
	}
	return r.number(8)
}

func (r *routeLine) destination(word string) {
	switch word {
	case "default", "any", "all", "default6":
		r.all = true
		if word == "default6" {
			r.family = unix.AF_INET6
		}
		return
	}
	r.list = slices.Insert(r.list, 0, word)
	r.dst = r.network()
	r.family = familyOf(r.dst.Addr())
	r.all = r.dst.Bits() == 0
}

// metric reads one metric. The kernel has rtt in eighths of a millisecond and rttvar in quarters:
// a bare number is one of these, as ip route has it, and rto_min's is one of milliseconds.
func (r *routeLine) metric(word string, number int) {
	r.lock(number)
	parts := map[string]uint64{"rtt": 8, "rttvar": 4, "rto_min": 1}[word] // of a millisecond; 0: no time
	text, isMillis := strings.CutSuffix(r.next(), "ms")
	factor := uint64(1)
	if isMillis {
		factor = parts
	} else if seconds, ok := strings.CutSuffix(text, "s"); ok {
		text, factor = seconds, 1000*parts
	}
	r.list = slices.Insert(r.list, 0, text)
	r.metrics.AddRtAttr(number, nl.Uint32Attr(uint32(max(r.number(32)*factor, leastMillis*parts))))
}

// lock reads the word lock, if it is there.
func (r *routeLine) lock(metric int) {
	if r.peek() == "lock" {
		r.next()
		r.locked |= 1 << metric
	}
}

func (r *routeLine) gateway(a netip.Addr) {
	if r.dst.IsValid() && familyOf(r.dst.Addr()) != familyOf(a) || r.family != 0 && r.family != familyOf(a) {
		via := append(binary.NativeEndian.AppendUint16(nil, uint16(familyOf(a))), a.AsSlice()...)
		r.add(unix.RTA_VIA, via)
		return
	}
	r.add(unix.RTA_GATEWAY, r.of(a).AsSlice())
}

// secondGateway is "or" of an old configuration: two next hops.
func (r *routeLine) secondGateway(a netip.Addr) {
	for i, attr := range r.attrs {
		if attr.Type == unix.RTA_GATEWAY {
			first := attr.Data
			r.attrs = slices.Delete(r.attrs, i, i+1)
			r.hops = append(hop(0, 0, 0, nl.NewRtAttr(unix.RTA_GATEWAY, first)), hop(0, 0, 0, nl.NewRtAttr(unix.RTA_GATEWAY, a.AsSlice()))...)
			return
		}
	}
	r.gateway(a)
}

// hop is one next hop of several (struct rtnexthop). Weight counts from 0.
func hop(device uint32, weight, flags uint8, attrs ...*nl.RtAttr) []byte {
	var inner []byte
	for _, a := range attrs {
		inner = append(inner, a.Serialize()...)
	}
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtNexthop+len(inner)))
	b = append(b, flags, weight)
	b = binary.NativeEndian.AppendUint32(b, device)
	return append(b, inner...)
}

// nexthop reads one next hop, up to the next one.
func (r *routeLine) nexthop() {
	var device uint32
	var weight, flags uint8
	var attrs []*nl.RtAttr
	for r.more() && r.peek() != "nexthop" {
		switch word := r.next(); word {
		case "via":
			a := r.address()
			if r.family != 0 && r.family != familyOf(a) {
				attrs = append(attrs, nl.NewRtAttr(unix.RTA_VIA, append(binary.NativeEndian.AppendUint16(nil, uint16(familyOf(a))), a.AsSlice()...)))
			} else {
				attrs = append(attrs, nl.NewRtAttr(unix.RTA_GATEWAY, r.of(a).AsSlice()))
			}
		case "dev", "oif":
			device = r.device()
		case "weight":
			weight = uint8(r.number(16) - 1)
		case "onlink":
			flags |= unix.RTNH_F_ONLINK
		case "realms":
			attrs = append(attrs, attr32(unix.RTA_FLOW, r.realms()))
		default:
			r.fail("%q does not belong to a next hop", word)
		}
	}
	r.hops = append(r.hops, hop(device, weight, flags, attrs...)...)
}

// table sets the table, whose number may be larger than the header's field.
func (r *routeLine) table(n uint32) {
	if n < 256 {
		r.header.Table = uint8(n)
		return
	}
	r.header.Table = unix.RT_TABLE_UNSPEC
	r.add(unix.RTA_TABLE, nl.Uint32Attr(n))
}
