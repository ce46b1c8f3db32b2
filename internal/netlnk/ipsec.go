package netlnk

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// policy is an IPsec policy for what this machine sends by TCP, UDP or a tunnel.
type policy struct {
	from, to netip.Prefix
	device   int // the index of the only device that it is for; 0 is all
	priority uint32
	refuses  bool // packets do not leave as they are
}

// policed says in words that an IPsec policy of this machine is for packets by a hop; "" where
// none is. What the data plane sends passes by the kernel's policies: it would leave unprotected,
// or reach a router that drops it, while checks, which the kernel sends, are protected and pass.
// As IPVS asks for the route to a server, the source is the hop's.
func (r *Resolver) policed(dst netip.Addr, hop NextHop, device string) string {
	if !r.asked {
		r.policies, r.asked = policies(), true
	}
	is := func(p policy) bool {
		return p.to.Contains(dst) && (p.from.Bits() == 0 || p.from.Contains(hop.Source)) && (p.device == 0 || p.device == hop.Index)
	}
	i := slices.IndexFunc(r.policies, is)
	if i < 0 || !r.policies[i].refuses {
		return ""
	}
	if off, err := Sysctl(device, "disable_xfrm"); dst.Is4() && err == nil && off == "1" {
		return ""
	}
	return fmt.Sprintf("an IPsec policy (ip xfrm policy) is for %s to %s, and the data plane does not apply it: lead there by an xfrm device (ip link add NAME type xfrm), or take the policy away", r.policies[i].from, r.policies[i].to)
}

// policies are the kernel's, those that count first before others; none where it has no IPsec.
func policies() (list []policy) {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(nl.XFRM_MSG_GETPOLICY, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		return req.Execute(unix.NETLINK_XFRM, nl.XFRM_MSG_NEWPOLICY)
	})
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if p, ok := parsePolicy(m); ok {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b policy) int { return int(int64(a.priority) - int64(b.priority)) })
	return list
}

// parsePolicy reads an XFRM_MSG_NEWPOLICY message. A policy that is for a mark, some ports, an
// xfrm device, or what comes in, is others' business: ok is false.
func parsePolicy(m []byte) (p policy, ok bool) {
	if len(m) < nl.SizeofXfrmUserpolicyInfo {
		return p, false
	}
	info := nl.DeserializeXfrmUserpolicyInfo(m)
	attributes, err := nl.ParseRouteAttr(m[nl.SizeofXfrmUserpolicyInfo:])
	out := info.Dir == policyOut
	if err != nil || !out || !carried(info.Sel.Proto) || info.Sel.DportMask != 0 || info.Sel.SportMask != 0 {
		return p, false
	}
	network := func(a nl.XfrmAddress, bits uint8) netip.Prefix {
		if info.Sel.Family == unix.AF_INET {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte(a[:4])), int(bits))
		}
		return netip.PrefixFrom(netip.AddrFrom16(a), int(bits))
	}
	p = policy{
		from: network(info.Sel.Saddr, info.Sel.PrefixlenS), to: network(info.Sel.Daddr, info.Sel.PrefixlenD),
		device: int(info.Sel.Ifindex), priority: info.Priority, refuses: info.Action == policyBlock,
	}
	for _, a := range attributes {
		switch a.Attr.Type {
		case nl.XFRMA_MARK:
			if binary.NativeEndian.Uint32(a.Value) != 0 {
				return p, false
			}
		case nl.XFRMA_IF_ID:
			if binary.NativeEndian.Uint32(a.Value) != 0 {
				return p, false
			}
		case nl.XFRMA_TMPL:
			for one := range slices.Chunk(a.Value, nl.SizeofXfrmUserTmpl) {
				if len(one) == nl.SizeofXfrmUserTmpl && nl.DeserializeXfrmUserTmpl(one).Optional == 0 {
					p.refuses = true // what it asks for is no option
				}
			}
		}
	}
	return p, true
}

// XFRM_POLICY_OUT and XFRM_POLICY_BLOCK in linux/xfrm.h.
const policyOut, policyBlock = 1, 1

// carried says whether a policy's protocol, of which 0 is all, is one that packets to servers have.
func carried(protocol uint8) bool {
	switch protocol {
	case 0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_IPIP, unix.IPPROTO_IPV6, unix.IPPROTO_GRE:
		return true
	}
	return false
}
