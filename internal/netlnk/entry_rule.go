package netlnk

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What a rule does (FR_ACT_* in linux/fib_rules.h).
var ruleActions = map[string]uint8{"nop": unix.FR_ACT_NOP, "blackhole": unix.FR_ACT_BLACKHOLE, "unreachable": unix.FR_ACT_UNREACHABLE, "prohibit": unix.FR_ACT_PROHIBIT}

// firstPriority is that of a rule without one, as in keepalived (RULE_START_PRIORITY).
const firstPriority = 16384

// ruleLine is a rule as its words make it. The header is a struct fib_rule_hdr, which has
// the layout of a route's.
type ruleLine struct {
	*words
	header   *nl.RtMsg
	family   uint8
	attrs    []*nl.RtAttr
	priority uint32
}

// ruleRequest builds the request that adds or removes a rule (netlink_rule in keepalived's
// vrrp_iprule.c).
func ruleRequest(w *words, add bool) *nl.NetlinkRequest {
	r := &ruleLine{words: w, header: &nl.RtMsg{}, priority: firstPriority}
	r.header.Type = unix.FR_ACT_TO_TBL
	proto := uint8(protoKeepalived)
	for r.more() {
		switch word := r.next(); word {
		case "protocol":
			proto = r.proto()
		default:
			r.word(word)
		}
	}
	if r.family == 0 {
		r.family = unix.AF_INET
	}
	r.header.Family = r.family
	kind, flags := unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK
	if !add {
		kind, flags = unix.RTM_DELRULE, unix.NLM_F_ACK
	}
	req := nl.NewNetlinkRequest(kind, flags)
	req.AddData(r.header)
	req.AddData(attr32(unix.FRA_PRIORITY, r.priority))
	req.AddData(nl.NewRtAttr(unix.FRA_PROTOCOL, []byte{proto}))
	for _, a := range r.attrs {
		req.AddData(a)
	}
	return req
}

func (r *ruleLine) add(t int, b []byte) { r.attrs = append(r.attrs, nl.NewRtAttr(t, b)) }

// net reads a network; all of them are none.
func (r *ruleLine) net() (p netip.Prefix, some bool) {
	if slices.Contains([]string{"all", "any", "default"}, r.peek()) {
		r.next()
		return p, false
	}
	p = r.network()
	r.family = familyOf(p.Addr())
	return p, p.Bits() > 0
}

func (r *ruleLine) word(word string) {
	switch word {
	case "not":
		r.header.Flags |= unix.FIB_RULE_INVERT
	case "inet":
		r.family = unix.AF_INET
	case "inet6":
		r.family = unix.AF_INET6
	case "no_track", "type":
	case "track_group":
		r.next()
	case "from":
		if p, some := r.net(); some {
			r.header.Src_len = uint8(p.Bits())
			r.add(unix.FRA_SRC, p.Addr().AsSlice())
		}
	case "to":
		if p, some := r.net(); some {
			r.header.Dst_len = uint8(p.Bits())
			r.add(unix.FRA_DST, p.Addr().AsSlice())
		}
	case "iif", "dev":
		r.add(unix.FRA_IIFNAME, append([]byte(r.next()), 0))
	case "oif":
		r.add(unix.FRA_OIFNAME, append([]byte(r.next()), 0))
	case "tos", "dsfield":
		r.header.Tos = r.tos()
	case "table", "lookup":
		r.table(r.words.table())
	case "fwmark":
		r.mark(r.next())
	case "priority", "preference", "order":
		r.priority = uint32(r.number(32))
	case "goto":
		r.header.Type = unix.FR_ACT_GOTO
		r.add(unix.FRA_GOTO, nl.Uint32Attr(uint32(r.number(32))))
	case "l3mdev":
		r.add(unix.FRA_L3MDEV, []byte{1})
	case "realms":
		r.add(unix.FRA_FLOW, nl.Uint32Attr(r.realms()))
	case "suppress_prefixlength", "sup_pl":
		r.add(unix.FRA_SUPPRESS_PREFIXLEN, nl.Uint32Attr(uint32(r.number(32))))
	case "suppress_ifgroup", "sup_group":
		r.add(unix.FRA_SUPPRESS_IFGROUP, nl.Uint32Attr(r.named("group", 32, nil)))
	case "tunnel-id":
		r.add(unix.FRA_TUN_ID, binary.BigEndian.AppendUint64(nil, r.number(64)))
	case "uidrange":
		first, last := r.span(32)
		r.add(unix.FRA_UID_RANGE, append(nl.Uint32Attr(first), nl.Uint32Attr(last)...))
	case "ipproto":
		r.add(unix.FRA_IP_PROTO, []byte{uint8(r.named("../protocols", 8, map[string]uint64{"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132, "ipv6-icmp": 58, "gre": 47, "esp": 50, "ah": 51, "vrrp": 112}))})
	case "sport":
		r.ports(unix.FRA_SPORT_RANGE)
	case "dport":
		r.ports(unix.FRA_DPORT_RANGE)
	default:
		action, ok := ruleActions[word]
		if !ok {
			r.fail("%q does not belong to a rule", word)
		}
		r.header.Type = action
	}
}

func (r *ruleLine) ports(attr int) {
	first, last := r.span(16)
	r.add(attr, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, uint16(first)), uint16(last)))
}

// span is a number, or two with - between.
func (r *ruleLine) span(bits int) (first, last uint32) {
	word := r.next()
	from, to, both := strings.Cut(word, "-")
	if !both {
		to = from
	}
	a, err := strconv.ParseUint(from, 0, bits)
	b, second := strconv.ParseUint(to, 0, bits)
	if err != nil || second != nil {
		r.fail("%q is no range", word)
	}
	return uint32(a), uint32(b)
}

func (r *ruleLine) mark(word string) {
	mark, mask, masked := strings.Cut(word, "/")
	n, err := strconv.ParseUint(mark, 0, 32)
	r.add(unix.FRA_FWMARK, nl.Uint32Attr(uint32(n)))
	if masked && err == nil {
		n, err = strconv.ParseUint(mask, 0, 32)
		r.add(unix.FRA_FWMASK, nl.Uint32Attr(uint32(n)))
	}
	if err != nil {
		r.fail("%q is no mark", word)
	}
}

func (r *ruleLine) table(n uint32) {
	if n < 256 {
		r.header.Table = uint8(n)
		return
	}
	r.add(unix.FRA_TABLE, nl.Uint32Attr(n))
}

// vrfTable is the table of a VRF.
func (r *routeLine) vrfTable(name string) uint32 {
	link, err := netlink.LinkByName(name)
	if vrf, ok := link.(*netlink.Vrf); err == nil && ok {
		return vrf.Table
	}
	r.fail("%q is no VRF", name)
	return 0
}
