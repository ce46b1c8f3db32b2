package conf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// rawInstance is a vrrp_instance as it is written.
type rawInstance struct {
	head         *statement
	name         string
	state        field[State]
	device       field[string]
	vrid         field[uint8]
	priority     field[uint8]
	advert       field[time.Duration]
	version      field[uint8]
	auth         field[AuthType]
	password     field[string]
	vips         []rawVIP
	noVIPs       bool
	source       field[netip.Addr]
	peers        []netip.Addr
	hasPeer      map[netip.Addr]bool
	noPreempt    field[bool]
	preemptDelay field[time.Duration]
	garpDelay    field[time.Duration]
	garpRepeat   field[int]
}

// rawVIP is a line of virtual_ipaddress.
type rawVIP struct {
	prefix netip.Prefix
	device string
	at     place
}

// instanceBlock is the table of vrrp_instance.
func instanceBlock() *blockSpec {
	type I = rawInstance
	whole := func(i *I) *I { return i }
	return &blockSpec{name: "vrrp_instance", done: instanceDone, entries: append([]*entry{
		setting("state", oneOf(choice[State]{noun: "state", known: []named[State]{
			{"MASTER", Master}, {"BACKUP", Backup},
		}}), func(i *I) *field[State] { return &i.state }),
		setting("interface", vrrpDevice(), func(i *I) *field[string] { return &i.device }),
		setting("virtual_router_id", number[uint8](1, 255), func(i *I) *field[uint8] { return &i.vrid }),
		setting("priority", number[uint8](1, 255), func(i *I) *field[uint8] { return &i.priority }),
		setting("advert_int", advertSeconds(), func(i *I) *field[time.Duration] { return &i.advert }),
		setting("version", oneOf(choice[uint8]{noun: "VRRP version", known: []named[uint8]{{"2", 2}}, notYet: []string{"3"}}),
			func(i *I) *field[uint8] { return &i.version }),
		section("authentication", authBlock(), plain(whole)),
		section("virtual_ipaddress", vipBlock(), plain(whole)),
		setting("mcast_src_ip", address4(), func(i *I) *field[netip.Addr] { return &i.source }),
		setting("unicast_src_ip", address4(), func(i *I) *field[netip.Addr] { return &i.source }),
		section("unicast_peer", peerBlock(), plain(whole)),
		toggle("nopreempt", func(i *I) *field[bool] { return &i.noPreempt }),
		setting("preempt_delay", seconds(0, 1000*time.Second), func(i *I) *field[time.Duration] { return &i.preemptDelay }),
		setting("garp_master_delay", wholeSeconds(0, 24*time.Hour), func(i *I) *field[time.Duration] { return &i.garpDelay }),
		setting("garp_master_repeat", number(0, math.MaxInt16), func(i *I) *field[int] { return &i.garpRepeat }),
	}, later(`
		vrf auth_hmac virtual_ipaddress_excluded no_virtual_ipaddress
		promote_secondaries virtual_routes virtual_rules use_vmac
		use_vmac_addr vmac_xmit_base use_ipvlan unicast_ttl
		unicast_fault_no_peer check_unicast_src old_unicast_checksum
		mcast_dst_ip track_src_ip v3_checksum_as_v2 native_ipv6
		dont_track_primary track_interface track_script track_file
		track_process track_bfd preempt garp_master_refresh
		garp_master_refresh_repeat garp_lower_prio_delay
		garp_lower_prio_repeat garp_extra_if vmac_garp_intvl
		down_timer_adverts timer_expired_backup thread_timer_expired
		lower_prio_no_advert higher_prio_send_advert owner_ignore_adverts
		accept no_accept skip_check_adv_addr strict_mode debug
		notify_master notify_backup notify_fault notify_stop notify
		notify_deleted notify_master_rx_lower_pri notify_priority_changes
		smtp_alert kernel_rx_buf_size linkbeat_use_polling
		lvs_sync_daemon_interface
	`)...)}
}

// instanceHead makes the instance that vrrp_instance NAME begins.
func instanceHead(r *reader, st *statement, c *rawConfig) *rawInstance {
	name, ok := one(r, st, text("the instance's name"))
	if !ok {
		return nil
	}
	i := &rawInstance{head: st, name: name, hasPeer: map[netip.Addr]bool{}}
	c.instances = append(c.instances, i)
	return i
}

func instanceDone(r *reader, b *block, into any) {
	r.require(b, "interface", "expected interface NAME")
	r.require(b, "virtual_router_id", "expected virtual_router_id, a number from 1 to 255, the same on both directors")
	into.(*rawInstance).noVIPs = !b.unsure && !slices.ContainsFunc(b.statements, func(st *statement) bool {
		mentions := st.entry != nil && st.entry.name == "virtual_ipaddress"
		return mentions && (st.broken || st.block.unsure || len(st.block.statements) > 0)
	})
}

// vrrpDevice is an interface that advertisements can leave by.
func vrrpDevice() kind[string] {
	k := device()
	return kind[string]{k.expects, func(text string) (string, *complaint) {
		if text == "lo" {
			return "", &complaint{what: "no advertisement leaves by lo", hint: "expected the interface that the other directors are on"}
		}
		return k.parse(text)
	}}
}

// advertSeconds is version 2's interval: its field is a byte of whole seconds
// (RFC 3768, 5.3.7).
func advertSeconds() kind[time.Duration] {
	any := seconds(time.Second, 255*time.Second)
	const expects = "whole seconds from 1 to 255"
	return kind[time.Duration]{expects, func(text string) (time.Duration, *complaint) {
		d, c := any.parse(text)
		if c != nil {
			c.hint = "expected " + expects
		} else if d%time.Second != 0 {
			c = &complaint{what: text + " is not whole seconds", hint: "VRRP version 2 sends whole seconds, from 1 to 255"}
		}
		return d, c
	}}
}

// authBlock is the table of authentication.
func authBlock() *blockSpec {
	return &blockSpec{name: "authentication", done: func(r *reader, b *block, _ any) {
		if b.has("auth_type") {
			r.require(b, "auth_pass", "expected auth_pass, up to 8 characters, the same on both directors")
			return
		}
		r.require(b, "auth_type", "expected auth_type PASS")
	}, entries: []*entry{
		setting("auth_type", oneOf(choice[AuthType]{noun: "authentication type",
			known: []named[AuthType]{{"PASS", AuthPass}}, notYet: []string{"AH"}}),
			func(i *rawInstance) *field[AuthType] { return &i.auth }),
		{name: "auth_pass", slot: "auth_pass", read: readPassword},
	}}
}

// maxPassword is what an advertisement of version 2 has room for, in bytes.
const maxPassword = 8

// readPassword cuts a long password as keepalived does, and says so.
func readPassword(r *reader, st *statement, into any) {
	pass, ok := one(r, st, text("a password"))
	if !ok {
		return
	}
	if len(pass) > maxPassword {
		pass = pass[:maxPassword]
		r.warnAt(st.words[1].place, "password-cut", fmt.Sprintf("auth_pass is cut to its first %d bytes", maxPassword),
			"an advertisement has no room for more")
	}
	into.(*rawInstance).password = field[string]{v: pass, at: st.words[1].place, set: true}
}

// vipBlock is the list of virtual_ipaddress.
func vipBlock() *blockSpec {
	return list("virtual_ipaddress", "IP[/LEN] [dev INTERFACE]", readVIP)
}

// vipLater are the words of an address line that weir does not read yet.
var vipLater = []string{
	"brd", "broadcast", "use_vmac", "scope", "label", "peer", "home", "-nodad", "mngtmpaddr",
	"noprefixroute", "autojoin", "no_track", "track_group", "preferred_lft",
}

func readVIP(r *reader, st *statement, i *rawInstance) {
	if r.misplacedIn(st, "virtual_ipaddress") {
		return
	}
	prefix, ok := word(r, st, 0, virtualAddress())
	if !ok {
		return
	}
	vip := rawVIP{prefix: prefix, at: st.place()}
	for n := 1; n < len(st.words); n += 2 {
		switch option := st.words[n]; {
		case option.text == "dev" && n+1 < len(st.words):
			if vip.device, ok = word(r, st, n+1, device()); !ok {
				return
			}
		case option.text == "dev":
			r.errorAt(option.place, "dev lacks its interface", "expected dev INTERFACE")
			return
		case slices.Contains(vipLater, option.text):
			r.errorAt(option.place, fmt.Sprintf("weir does not read %s of an address yet", option.text), "today: IP[/LEN] [dev INTERFACE]")
			return
		default:
			r.errorAt(option.place, fmt.Sprintf("unknown word %s after an address", quote(option.text)), "expected IP[/LEN] [dev INTERFACE]")
			return
		}
	}
	i.vips = append(i.vips, vip)
}

// misplacedIn tells whether a line of a list is a keyword of another block,
// and says so.
func (r *reader) misplacedIn(st *statement, list string) bool {
	home := r.language.home(st.keyword())
	if home != "" {
		r.errorAt(st.place(), fmt.Sprintf("keyword %q is misplaced in %s", st.keyword(), list), "it belongs "+home)
	}
	return home != ""
}

// virtualAddress is an IPv4 address with or without a mask's length; without
// one the mask is that of a host.
func virtualAddress() kind[netip.Prefix] {
	const expects = "IP[/LEN] [dev INTERFACE]"
	any := address4()
	return kind[netip.Prefix]{expects, func(text string) (netip.Prefix, *complaint) {
		base, length, masked := strings.Cut(text, "/")
		addr, c := any.parse(base)
		if c != nil {
			return netip.Prefix{}, c
		}
		if addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
			return netip.Prefix{}, &complaint{what: text + " cannot be a virtual address", hint: "expected a unicast address"}
		}
		bits := 32
		if masked {
			n, c := number(1, 32).parse(length)
			if c != nil {
				return netip.Prefix{}, &complaint{what: fmt.Sprintf("%s is not a mask's length", quote(length)), hint: "expected 1 to 32"}
			}
			bits = n
		}
		return netip.PrefixFrom(addr, bits), nil
	}}
}

// peerBlock is the list of unicast_peer.
func peerBlock() *blockSpec {
	const expects = "IP"
	return list("unicast_peer", expects, func(r *reader, st *statement, i *rawInstance) {
		if r.misplacedIn(st, "unicast_peer") {
			return
		}
		peer, ok := word(r, st, 0, address4())
		switch {
		case !ok:
		case len(st.words) > 1 && (st.words[1].text == "min_ttl" || st.words[1].text == "max_ttl"):
			r.errorAt(st.words[1].place, "weir does not read "+st.words[1].text+" of a peer yet", "today: IP")
		case len(st.words) > 1:
			r.errorAt(st.words[1].place, fmt.Sprintf("unknown word %s after a peer", quote(st.words[1].text)), "expected one IP on a line")
		case i.hasPeer[peer]:
			r.warnAt(st.place(), "given-twice", "peer "+peer.String()+" is given twice", "take one of them out")
		default:
			i.peers, i.hasPeer[peer] = append(i.peers, peer), true
		}
	})
}
