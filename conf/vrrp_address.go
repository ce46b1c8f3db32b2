package conf

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/conf/text"
)

// VIP is an address with its mask and the device it is put on: a virtual one, or
// one of static_ipaddress.
type VIP struct {
	// Prefix keeps the whole address, not only the network.
	Prefix netip.Prefix `json:"address"`
	Device string       `json:"dev"`
	// Base is the interface below, where the device is one of the instance's own.
	Base string `json:"-"`
	// Broadcast is an address, + or -.
	Broadcast  string       `json:"broadcast"`
	Scope      string       `json:"scope"`
	Label      string       `json:"label"`
	Peer       netip.Prefix `json:"peer"`
	VMAC       bool         `json:"use_vmac"`
	Flags      []string     `json:"flags"`
	NoTrack    bool         `json:"no_track"`
	TrackGroup string       `json:"track_group"`
	// PreferredLifetime is seconds, or forever.
	PreferredLifetime string `json:"preferred_lft"`
	at                text.Place
}

// At is its place, the zero Place where no file says it.
func (v *VIP) At() text.Place { return v.at }

// forever is an infinite lifetime in seconds, as the kernel has it (INFINITY_LIFE_TIME in
// net/addrconf.h).
const forever = math.MaxUint32

// Preferred is for how many seconds the address may be the source of what the machine
// itself sends; math.MaxUint32 is forever. An IPv6 address of which no file says so is
// deprecated at once, with 0.
func (v *VIP) Preferred() uint32 {
	switch n, err := strconv.ParseUint(v.PreferredLifetime, 10, 32); {
	case err == nil:
		return uint32(n)
	case v.PreferredLifetime == "" && v.Prefix.Addr().Is6():
		return 0
	}
	return forever
}

// addressWords is the grammar of an address line.
const addressWords = "IP[/LEN] [dev INTERFACE] [brd IP|+|-] [scope SCOPE] [label LABEL] [peer IP[/LEN]] [use_vmac] [home] [-nodad] [mngtmpaddr] [noprefixroute] [autojoin] [no_track] [track_group NAME] [preferred_lft SECONDS|forever]"

// addressHint is the beginning of that, for messages.
const addressHint = "IP[/LEN] [dev INTERFACE] and other words of ip address"

// addressFlags are the words of an address line that stand alone and are the
// kernel's (IFA_F_*).
var addressFlags = []string{"home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin"}

// vipBlock is a list of addresses.
func vipBlock[T any](name string, k kind[netip.Prefix], add func(*T, VIP)) *blockSpec {
	spec := list(name, addressWords, func(r *reader, st *text.Statement, into *T) {
		if r.misplacedIn(st, name) {
			return
		}
		if v, ok := readVIP(r, st, k); ok {
			add(into, v)
			note(into, name, st.Place())
		}
	})
	spec.words = looksLikeAddress
	return spec
}

func readVIP(r *reader, st *text.Statement, k kind[netip.Prefix]) (v VIP, ok bool) {
	v.at = st.Place()
	if v.Prefix, ok = word(r, st, 0, k); !ok {
		return v, false
	}
	for n := 1; n < len(st.Words); n++ {
		used, ok := v.option(r, st, n)
		if !ok {
			return v, false
		}
		n += used
	}
	return v, v.fits(r, st)
}

// fits holds an address to what its words can say together.
func (v *VIP) fits(r *reader, st *text.Statement) bool {
	none := func(word, message string) {
		i := slices.IndexFunc(st.Words, func(t text.Token) bool { return t.Text == word })
		r.warnAt(st.Words[max(0, i)].Place, "no-effect", message, "take it out")
	}
	if v.Prefix.Addr().Is6() {
		if v.Broadcast != "" {
			r.errorAt(st.Place(), "an IPv6 address has no broadcast address", "take brd out")
			return false
		}
		if v.Label != "" {
			none("label", "label has no effect with an IPv6 address")
			v.Label = ""
		}
		if v.Scope != "" {
			none("scope", "scope has no effect with an IPv6 address")
			v.Scope = ""
		}
	}
	if v.Peer.IsValid() && v.Peer.Addr().Is4() != v.Prefix.Addr().Is4() {
		r.errorAt(st.Place(), fmt.Sprintf("peer %s is of another family than %s", v.Peer.Addr(), v.Prefix.Addr()), "expected an address of the same family")
		return false
	}
	if v.Peer.IsValid() && strings.Contains(st.Words[0].Text, "/") {
		r.warnAt(st.Place(), "no-effect", "the mask has no effect beside peer, which has its own", "write it behind peer")
	}
	if v.Broadcast != "" && v.Peer.IsValid() {
		word := "brd"
		if !slices.ContainsFunc(st.Words, func(t text.Token) bool { return t.Text == word }) {
			word = "broadcast"
		}
		none(word, word+" has no effect beside peer")
		v.Broadcast = ""
	}
	return true
}

// addressLabel is the name of an address, which is as short as an interface's.
func addressLabel() kind[string] {
	return kind[string]{fmt.Sprintf("a label of at most %d characters", maxInterfaceName), func(word string) (string, *complaint) {
		if word == "" || len(word) > maxInterfaceName {
			return "", complain("%s has %s", text.Quote(word), text.Plural(len(word), "character"))
		}
		return word, nil
	}}
}

// option reads one option of an address line, and tells how many words follow it.
func (v *VIP) option(r *reader, st *text.Statement, n int) (used int, ok bool) {
	used = 1
	switch name := st.Words[n].Text; {
	case name == "dev" && v.Device != "":
		r.errorAt(st.Words[n].Place, "an address has only one device", "take one dev out")
		return 0, false
	case name == "dev":
		v.Device, ok = after(r, st, n, device())
	case name == "brd", name == "broadcast":
		v.Broadcast, ok = after(r, st, n, broadcast())
	case name == "scope":
		v.Scope, ok = after(r, st, n, scope())
	case name == "label":
		v.Label, ok = after(r, st, n, addressLabel())
	case name == "peer":
		if v.Peer, ok = after(r, st, n, network()); ok && strings.Contains(st.Words[n+1].Text, "/") {
			r.warnAt(st.Words[n+1].Place, codeRefuses, "keepalived reads no mask behind peer, weir does, as ip address has it", "write the address alone where its mask is that of a host")
		}
	case name == "track_group":
		v.TrackGroup, ok = after(r, st, n, nonEmpty("a track_group's name"))
	case name == "preferred_lft":
		v.PreferredLifetime, ok = after(r, st, n, lifetime())
	case name == "use_vmac":
		v.VMAC, used, ok = true, 0, true
	case name == "no_track":
		v.NoTrack, used, ok = true, 0, true
	case slices.Contains(addressFlags, name):
		v.Flags, used, ok = append(v.Flags, name), 0, true
	default:
		v.sayUnknown(r, st, n)
	}
	if ok && st.Words[n].Text == "track_group" {
		r.once("address "+st.Words[n].Text, text.Diagnostic{Severity: text.Note, Code: codeNotYet, Subject: st.Words[n].Text, Message: st.Words[n].Text + " of an address is accepted and has no effect yet"}, st.Words[n].Place)
	}
	return used, ok
}

// sayUnknown tells of a word that is none of an address's: what other files have there is told
// how to write.
func (v *VIP) sayUnknown(r *reader, st *text.Statement, n int) {
	name, hint := st.Words[n].Text, "expected "+addressHint
	if _, c := hostAddress().parse(name); c == nil {
		if strings.HasSuffix(st.Words[n-1].Place.Text(), ",") { // which was said
			return
		}
		hint = "write each address on a line of its own"
	}
	if bits := maskBits(name); bits > 0 && n == 1 {
		hint = fmt.Sprintf("write %s/%d", v.Prefix.Addr(), bits)
	} else if n == 1 && interfaceLike.MatchString(name) {
		hint = "write dev " + name
	}
	r.errorAt(st.Words[n].Place, fmt.Sprintf("unknown word %s after an address", text.Quote(name)), hint)
}

// interfaceLike is how interfaces are called.
var interfaceLike = regexp.MustCompile(`^(eth|en[opsx]|bond|br|team|vlan|ib|wg|tun|tap)[0-9][a-z0-9.:]*$`)

// maskBits is the length of a mask such as 255.255.255.0, 0 of any other word.
func maskBits(word string) int {
	addr, err := netip.ParseAddr(word)
	if err != nil || !addr.Is4() {
		return 0
	}
	mask := net.IPMask(addr.AsSlice())
	ones, _ := mask.Size()
	return ones
}

func broadcast() kind[string] {
	a := address4()
	return kind[string]{"an IPv4 address, + or -", func(word string) (string, *complaint) {
		if word == "+" || word == "-" {
			return word, nil
		}
		_, c := a.parse(word)
		if c != nil && !strings.ContainsAny(word, ".:") {
			c.hint = "" // it may be any word
		}
		return word, c
	}}
}

// scope is a scope by name, or by the number of one.
func scope() kind[string] {
	names := oneWord("scope", "site", "link", "host", "nowhere", "global")
	return kind[string]{names.expects, func(word string) (string, *complaint) {
		if n, err := strconv.ParseUint(strings.TrimPrefix(word, "+"), 0, 8); err == nil {
			return strconv.FormatUint(n, 10), nil
		}
		return names.parse(word)
	}}
}

func lifetime() kind[string] {
	k := number(0, math.MaxUint32)
	return kind[string]{"seconds, or forever", func(word string) (string, *complaint) {
		if word == "forever" {
			return word, nil
		}
		_, c := k.parse(word)
		return word, c
	}}
}

// virtualAddress is a hostAddress that can be moved from machine to machine.
func virtualAddress() kind[netip.Prefix] {
	host := hostAddress()
	return kind[netip.Prefix]{addressHint, func(word string) (netip.Prefix, *complaint) {
		p, c := host.parse(word)
		if a := p.Addr(); c == nil && (a.IsUnspecified() || a.IsMulticast() || a.IsLoopback()) {
			c = &complaint{what: word + " cannot be a virtual address", hint: "expected a unicast address"}
		}
		return p, c
	}}
}

// hostAddress is an address with or without a mask's length; without one the
// mask is that of a host.
func hostAddress() kind[netip.Prefix] {
	any := address()
	return kind[netip.Prefix]{addressHint, func(word string) (netip.Prefix, *complaint) {
		base, length, masked := strings.Cut(word, "/")
		if host, zone, ok := strings.Cut(base, "%"); ok {
			return netip.Prefix{}, &complaint{what: text.Quote(base) + " has a zone", hint: "write " + strings.TrimSuffix(host+"/"+length, "/") + " dev " + zone}
		}
		addr, c := any.parse(base)
		if c != nil {
			if !strings.ContainsAny(base, ".:") {
				c.hint = "" // it may be any word
			} else if write, why := meantAddress(base); masked && write != "" {
				c.hint = "write " + write + "/" + length + why
			}
			return netip.Prefix{}, c
		}
		bits := addr.BitLen()
		if masked {
			n, c := number(1, addr.BitLen()).parse(length)
			if ones := maskBits(length); c != nil && ones > 0 {
				return netip.Prefix{}, &complaint{what: fmt.Sprintf("%s is not a mask's length", text.Quote(length)), hint: fmt.Sprintf("write %s/%d", base, ones)}
			}
			if c != nil {
				return netip.Prefix{}, &complaint{what: fmt.Sprintf("%s is not a mask's length", text.Quote(length)), hint: fmt.Sprintf("expected 1 to %d", addr.BitLen())}
			}
			bits = n
		}
		return netip.PrefixFrom(addr, bits), nil
	}}
}
