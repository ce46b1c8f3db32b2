package conf

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"

	"weir/conf/text"
)

// Unicast is who gets advertisements where no group does.
type Unicast struct {
	// Peers get the advertisements; none means multicast.
	Peers            []Peer `json:"unicast_peer"`
	UnicastTTL       int    `json:"unicast_ttl"`
	FaultWithoutPeer bool   `json:"unicast_fault_no_peer"`
	CheckSource      bool   `json:"check_unicast_src"`
	// OldChecksum is "", "on" or "never".
	OldChecksum string `json:"old_unicast_checksum"`
	TrackSource bool   `json:"track_src_ip"`
}

// Peer is another director, and between which TTLs its advertisements come.
type Peer struct {
	Addr   netip.Addr `json:"address"`
	MinTTL int        `json:"min_ttl"`
	MaxTTL int        `json:"max_ttl"`
}

// String is a peer as the file has it, without what goes without saying.
func (p Peer) String() string {
	text := p.Addr.String()
	if p.MinTTL != 0 {
		text += fmt.Sprintf(" min_ttl %d", p.MinTTL)
	}
	if p.MaxTTL != maxTTL {
		text += fmt.Sprintf(" max_ttl %d", p.MaxTTL)
	}
	return text
}

// maxTTL is the highest that a packet can have.
const maxTTL = 255

// UnicastPeers are the addresses of the peers.
func (u *Unicast) UnicastPeers() (list []netip.Addr) {
	for _, p := range u.Peers {
		list = append(list, p.Addr)
	}
	return list
}

func checkUnicastSource() *entry {
	return present("check_unicast_src", func(i *rawInstance) *bool { return &i.CheckSource }, "take advertisements only from peers", otherwise("vrrp_check_unicast_src"))
}

func unicastEntries() []*entry {
	type I = rawInstance
	return []*entry{
		value("unicast_ttl", number(0, 255), func(i *I) *int { return &i.UnicastTTL }, "the TTL of unicast advertisements", initially(255)),
		present("unicast_fault_no_peer", func(i *I) *bool { return &i.FaultWithoutPeer }, "without peers stand in FAULT rather than use the group"),
		optional("old_unicast_checksum", oneWord("option", "never"), "on", func(i *I) *string { return &i.OldChecksum }, "the checksum of keepalived before 1.3.7"),
		present("track_src_ip", func(i *I) *bool { return &i.TrackSource }, "stand in FAULT while the source address is not there"),
	}
}

// peerBlock is the list of unicast_peer.
func peerBlock() *blockSpec {
	const expects = "IP [min_ttl N] [max_ttl N]"
	spec := list("unicast_peer", expects, func(r *reader, st *text.Statement, i *rawInstance) {
		if r.misplacedIn(st, "unicast_peer") {
			return
		}
		p := Peer{MaxTTL: maxTTL}
		var ok bool
		if p.Addr, ok = word(r, st, 0, address()); !ok {
			return
		}
		for n := 1; n < len(st.Words) && ok; n += 2 {
			switch st.Words[n].Text {
			case "min_ttl":
				p.MinTTL, ok = after(r, st, n, number(0, 255))
			case "max_ttl":
				p.MaxTTL, ok = after(r, st, n, number(0, 255))
			default:
				r.errorAt(st.Words[n].Place, fmt.Sprintf("unknown word %s after a peer", text.Quote(st.Words[n].Text)), "expected "+expects)
				return
			}
		}
		switch {
		case !ok:
		case i.peerAt[p.Addr].Src != nil:
			r.warnAt(st.Place(), "given-twice", "peer "+p.Addr.String()+" is given twice", "take one of them out")
		default:
			i.Peers, i.peerAt[p.Addr] = append(i.Peers, p), st.Place()
			i.note("unicast_peer", st.Place())
		}
	})
	spec.words = looksLikeAddress
	return spec
}

// Macvlan is use_vmac: a device with the instance's own MAC address.
type Macvlan struct {
	On bool `json:"on"`
	// Name is the device's; use_vmac without one has one made of vmac_prefix.
	Name string `json:"name"`
	// MAC is of five or six octets; five get the VRID as the sixth. Empty is the RFC's.
	MAC    string `json:"mac"`
	Notify bool   `json:"netlink_notify_msg"`
	// Group is nil where it is the interface's.
	Group *int `json:"group"`
}

// Ipvlan is use_ipvlan: a device with an address of its own, which advertisements come from.
type Ipvlan struct {
	On bool `json:"on"`
	// Name is the device's; use_ipvlan without one has one made of vmac_prefix.
	Name string `json:"name"`
	// Addr is invalid where it is the link-local address that the kernel makes.
	Addr netip.Prefix `json:"address"`
	// Mode is bridge, private or vepa.
	Mode string `json:"mode"`
	// Group is nil where it is the interface's.
	Group *int `json:"group"`
}

const (
	macvlanWords = "[[name] DEVICE] [MAC] [netlink_notify_msg] [group N]"
	ipvlanWords  = "[[name] DEVICE] [IP] [bridge|private|vepa] [group N]"
)

func readMacvlan(r *reader, st *text.Statement, i *rawInstance) bool {
	v := &i.VMAC
	*v = Macvlan{On: true}
	return r.link(st, &v.Name, &v.Group, macvlanWords, func(word string) bool {
		if word == "netlink_notify_msg" {
			v.Notify = true
			return true
		}
		// Five octets get the VRID as the sixth.
		_, five := net.ParseMAC(word + ":00")
		_, six := net.ParseMAC(word)
		if n := strings.Count(word, ":"); (n == 4 && five == nil) || (n == 5 && six == nil) {
			v.MAC = word
			return true
		}
		return false
	})
}

func readIpvlan(r *reader, st *text.Statement, i *rawInstance) bool {
	v := &i.IPVLAN
	*v = Ipvlan{On: true, Mode: "bridge"}
	return r.link(st, &v.Name, &v.Group, ipvlanWords, func(word string) bool {
		if word == "bridge" || word == "private" || word == "vepa" {
			v.Mode = word
			return true
		}
		if a, err := netip.ParseAddr(word); err == nil {
			v.Addr = netip.PrefixFrom(a, a.BitLen())
			return true
		}
		p, err := netip.ParsePrefix(word)
		if err == nil {
			v.Addr = p
		}
		return err == nil
	})
}

// link reads the words of a device that is made: its name, with the word name before it or
// without, what own takes, and its group.
func (r *reader) link(st *text.Statement, name *string, group **int, expects string, own func(string) bool) (ok bool) {
	for n := 1; n < len(st.Words); n++ {
		switch part := st.Words[n].Text; {
		case part == "group":
			number, ok := after(r, st, n, number(0, math.MaxInt32))
			if !ok {
				return false
			}
			*group = &number
			n++
		case own(part):
		case part == "name" && *name == "" && n+1 < len(st.Words):
			n++
			fallthrough
		case *name == "":
			if *name, ok = word(r, st, n, device()); !ok {
				return false
			}
		default:
			r.errorAt(st.Words[n].Place, fmt.Sprintf("%s: unknown word %s", st.Keyword(), text.Quote(part)), "expected "+expects)
			return false
		}
	}
	return true
}
