package conf

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"weir/conf/text"
	"weir/lvs"
)

// scheduler is the value of lb_algo.
func scheduler() kind[lvs.Scheduler] {
	var known []named[lvs.Scheduler]
	for _, s := range lvs.Schedulers() {
		known = append(known, named[lvs.Scheduler]{string(s), s})
	}
	return oneOf(choice[lvs.Scheduler]{noun: "scheduler", known: known})
}

// Tunnel is how TUN wraps packets; the zero value is IP in IP.
type Tunnel struct {
	Type     string `json:"type"`
	Port     uint16 `json:"port"`
	Checksum string `json:"checksum"`
}

// methodWords is the grammar of lb_kind.
const methodWords = "NAT, DR or TUN [type ipip|gre|gue port N] [nocsum|csum|remcsum]"

// readMethod reads a forward method, and how a tunnel wraps packets.
func readMethod(r *reader, st *text.Statement) (m lvs.ForwardMethod, t Tunnel, ok bool) {
	methods := oneOf(choice[lvs.ForwardMethod]{noun: "forward method", known: []named[lvs.ForwardMethod]{
		{"NAT", lvs.Masquerade}, {"DR", lvs.DirectRoute}, {"TUN", lvs.Tunnel},
	}})
	if len(st.Words) == 1 {
		r.errorAt(st.Place(), st.Keyword()+" lacks its value", "expected "+methodWords)
		return 0, t, false
	}
	if m, ok = word(r, st, 1, methods); !ok {
		return m, t, false
	}
	if m != lvs.Tunnel {
		if len(st.Words) > 2 {
			r.extra(st, 2)
		}
		return m, t, len(st.Words) == 2
	}
	t.Type = "ipip"
	return m, t, t.read(r, st)
}

func (t *Tunnel) read(r *reader, st *text.Statement) (ok bool) {
	ok = true
	for n := 2; n < len(st.Words) && ok; n++ {
		switch word := st.Words[n].Text; word {
		case "type":
			t.Type, ok = after(r, st, n, oneWord("tunnel", "ipip", "gue", "gre"))
			n++
			if ok && t.Type != "ipip" {
				r.pending(st.Keyword()+" TUN type "+t.Type, st.Words[n].Place)
			}
		case "port":
			t.Port, ok = after(r, st, n, port())
			n++
		case "nocsum", "csum", "remcsum":
			t.Checksum = word
		default:
			r.errorAt(st.Words[n].Place, st.Keyword()+": unknown word "+text.Quote(word), "expected "+methodWords)
			return false
		}
	}
	if ok && t.Type == "gue" && t.Port == 0 {
		r.errorAt(st.All(), st.Keyword()+": a gue tunnel has no port", "expected type gue port N")
		return false
	}
	switch {
	case !ok:
	case t.Type != "gue" && t.Port != 0:
		r.errorAt(st.All(), fmt.Sprintf("%s: only a gue tunnel has a port, not one of type %s", st.Keyword(), t.Type), "take port out, or write type gue")
		return false
	case t.Type == "ipip" && t.Checksum != "" && t.Checksum != "nocsum", t.Type == "gre" && t.Checksum == "remcsum":
		r.errorAt(st.All(), fmt.Sprintf("%s: a tunnel of type %s has no %s", st.Keyword(), t.Type, t.Checksum), "take it out")
		return false
	}
	return ok
}

// protocol is the name of a transport protocol, in any case.
func protocol() kind[lvs.Protocol] {
	return oneOf(choice[lvs.Protocol]{noun: "protocol", anyCase: true, pending: []string{"SCTP"}, known: []named[lvs.Protocol]{
		{"TCP", lvs.TCP}, {"UDP", lvs.UDP}, {"SCTP", sctp},
	}})
}

// sctp is the number of a protocol that weir will do later.
const sctp lvs.Protocol = 132

// family tells whether an address family is IPv6.
func family() kind[bool] {
	return oneOf(choice[bool]{noun: "address family", known: []named[bool]{{"inet", false}, {"inet6", true}}})
}

// granularity is a netmask for IPv4, or a prefix length for IPv6.
func granularity() kind[netip.Addr] {
	const expects = "a netmask such as 255.255.255.0, or an IPv6 prefix length from 1 to 128"
	return kind[netip.Addr]{expects, func(word string) (netip.Addr, *complaint) {
		if n, err := strconv.Atoi(word); err == nil {
			if n < 1 || n > 128 {
				return netip.Addr{}, complain("%d is out of range", n)
			}
			mask := netip.PrefixFrom(allOnes, n).Masked()
			return mask.Addr(), nil
		}
		mask, err := netip.ParseAddr(word)
		if err != nil || !mask.Is4() || mask.IsUnspecified() {
			return netip.Addr{}, complain("%s is not a netmask", text.Quote(word))
		}
		return mask, nil
	}}
}

// allOnes is the netmask of a whole IPv6 address.
var allOnes = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

// after reads the word behind the one at i.
func after[V any](r *reader, st *text.Statement, i int, k kind[V]) (V, bool) {
	if len(st.Words) == i+1 {
		var none V
		r.errorAt(st.Words[i].Place, st.Words[i].Text+" lacks its value", "expected "+k.expects)
		return none, false
	}
	return word(r, st, i+1, k)
}

// portOrAll is a port, made once: it is read more often than all else.
var portOrAll = kind[int]{"a port from 1 to 65535, or 0 for all", number(0, math.MaxUint16).parse}

// addrPort reads IP [PORT]; the port is 0 when absent.
func addrPort(r *reader, st *text.Statement, from int) (netip.Addr, uint16, bool) {
	if len(st.Words) == from {
		r.errorAt(st.Place(), st.Keyword()+" lacks its address", "expected "+st.Keyword()+" IP PORT")
		return netip.Addr{}, 0, false
	}
	addr, ok := word(r, st, from, addressBeforePort())
	if !ok || len(st.Words) == from+1 {
		return addr, 0, ok
	}
	n, ok := word(r, st, from+1, portOrAll)
	return addr, uint16(n), ok
}

// serverAddrPort is addrPort for a server, from the second word on. IPVS refuses a link-local
// IPv6 address unless it is the machine's own (ip_vs_new_dest,
// net/netfilter/ipvs/ip_vs_ctl.c): a service names no device by which to reach it.
func serverAddrPort(r *reader, st *text.Statement) (netip.Addr, uint16, bool) {
	if len(st.Words) > 1 {
		word := st.Words[1]
		if addr, err := netip.ParseAddr(word.Text); err == nil && addr.Is6() && addr.IsLinkLocalUnicast() {
			r.errorAt(word.Place, fmt.Sprintf("%s %s is a link-local address: nothing says by which device it is reached, and IPVS refuses it", st.Keyword(), addr),
				"expected another address of the server, such as one of fd00::/8")
			return addr, 0, false
		}
	}
	return addrPort(r, st, 1)
}

// mark is a firewall mark.
func mark() kind[uint32] {
	k := number(1, math.MaxUint32)
	return kind[uint32]{"a mark from 1 to 4294967295", func(word string) (uint32, *complaint) {
		n, c := k.parse(word)
		return uint32(n), c
	}}
}
