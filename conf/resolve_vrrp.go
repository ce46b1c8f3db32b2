package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

// The defaults of keepalived.
const (
	defaultPriority = 100
	ownerPriority   = 255
)

// taken is what instances must not share, with the place of its first use.
type taken struct {
	names map[string]text.Place
	ids   map[lvs.InstanceID]text.Place
	vips  map[netip.Addr]text.Place
}

func resolveInstances(r *reader, raw *rawConfig) []VRRPInstance {
	first := &taken{map[string]text.Place{}, map[lvs.InstanceID]text.Place{}, map[netip.Addr]text.Place{}}
	var instances []VRRPInstance
	for _, i := range raw.instances {
		r.diags.Now = i.head.All()
		_, i.twice = first.names[i.Name]
		i.resolve(r, &raw.global, first)
		first.check(r, i)
	}
	resolveGroups(r, raw)
	type segment struct {
		device string
		ipv6   bool
	}
	heard := map[segment]bool{}
	for _, i := range raw.instances {
		on := segment{i.Interface, i.ipv6()}
		i.LogUnknownVRIDs, heard[on] = raw.global.LogUnknownVRIDs && !heard[on], true
		instances = append(instances, i.VRRPInstance)
	}
	resolveDevices(&raw.global, instances)
	checkVMACs(r, raw.instances, instances)
	checkIpvlans(r, raw.instances)
	return instances
}

// check finds what makes an instance collide with an earlier one.
func (t *taken) check(r *reader, i *rawInstance) {
	if i.head.Unclosed() || !unique(r, t.names, i.Name, i.head.All(), func() string { return fmt.Sprintf("vrrp_instance %s is given twice", i.Name) }) {
		return
	}
	if i.VRID == 0 || i.Interface == "" || len(i.Peers) > 0 {
		return
	}
	id := lvs.InstanceID{Interface: i.Interface, VRID: i.VRID, IPv6: i.ipv6()}
	if before, taken := t.ids[id]; taken {
		r.errorAt(i.PlaceOf("virtual_router_id"), fmt.Sprintf("virtual_router_id %d is given twice on %s", id.VRID, id.Interface),
			"expected a number of its own for each instance on an interface", "first given at "+before.String())
		return
	}
	t.ids[id] = i.PlaceOf("virtual_router_id")
}

// ipv6 tells whether the instance's addresses are: it has those of the first.
func (i *rawInstance) ipv6() bool { return len(i.vips) > 0 && i.vips[0].Prefix.Addr().Is6() }

// resolve fills in an instance's defaults.
func (i *rawInstance) resolve(r *reader, g *Global, first *taken) {
	i.State, i.Priority = i.rank()
	i.resolveVersion(r, g)
	i.resolveStrict(r, g)
	i.resolveAdvert(r)
	i.VIPs = i.resolveVIPs(r, first)
	i.resolveExcluded(r, first)
	i.checkFamilies(r)
	i.checkUnicast(r)
	i.checkDevices(r)
	if i.Auth.Type == "" {
		i.Auth.Type = AuthNone
	}
	if i.Auth.Type != AuthNone && i.Version == 3 {
		r.warnAt(i.PlaceOf("auth_type"), "no-effect", "VRRP version 3 has no authentication: it is ignored", "take it out")
		i.Auth = Auth{Type: AuthNone}
	}
	if i.Auth.Type == AuthHeader && i.State == Master && i.Priority != ownerPriority {
		r.warnAt(i.PlaceOf("state"), "no-effect", "state MASTER has no effect with auth_type AH: the instance begins as BACKUP", "write state BACKUP")
		i.State = Backup
	}
	i.resolveHMAC(r)
	i.inheritGARP(g)
	i.inheritRest(g)
	i.checkPreempt(r)
	i.checkConflicts(r)
}

// rank is the state and priority where one or both are left to the default:
// the owner of the addresses is master, and the other way round.
func (i *rawInstance) rank() (State, uint8) {
	state, priority := i.State, i.Priority
	if !i.Has("priority") {
		if priority = defaultPriority; state == Master {
			priority = ownerPriority
		}
	}
	if !i.Has("state") {
		if state = Backup; priority == ownerPriority {
			state = Master
		}
	}
	return state, priority
}

// resolveVersion is 3 for IPv6, which no other version has.
func (i *rawInstance) resolveVersion(r *reader, g *Global) {
	from(i, g, "version", "vrrp_version", &i.Version, g.Version)
	if !i.ipv6() {
		return
	}
	if i.Has("version") && i.VRRPInstance.Version == 2 && i.PlaceOf("version") != g.PlaceOf("vrrp_version") {
		r.warnAt(i.PlaceOf("version"), "no-effect", "version 2 has no IPv6: it is read as version 3", "write version 3, or take it out")
	}
	i.Version = 3
}

// maxAdvert3 is what version 3's field of 12 bits holds, in hundredths of a
// second (RFC 9568, 5.2.7).
const maxAdvert3 = 4095 * advertUnit3

// advertUnit3 is the unit of version 3's field: a hundredth of a second.
const advertUnit3 = 10 * time.Millisecond

// resolveAdvert holds the interval to what the version's field can say: version
// 2's is a byte of whole seconds (RFC 3768, 5.3.7).
func (i *rawInstance) resolveAdvert(r *reader) {
	at, d := i.PlaceOf("advert_int"), i.AdvertInterval
	switch {
	case !i.Has("advert_int"):
	case i.Version == 2 && (d%time.Second != 0 || d < time.Second):
		r.errorAt(at, fmt.Sprintf("advert_int: %s is not whole seconds", text.Seconds(d)), "VRRP version 2 sends whole seconds, from 1 to 255")
	case i.Version == 3 && d >= maxAdvert3+advertUnit3:
		r.errorAt(at, fmt.Sprintf("advert_int: %s is out of range", text.Seconds(d)), "VRRP version 3 sends hundredths of a second, up to 40.95")
	case i.Version == 3 && d%advertUnit3 != 0:
		i.AdvertInterval = min((d + advertUnit3/2).Truncate(advertUnit3), maxAdvert3)
		r.warnAt(at, "rounded", fmt.Sprintf("advert_int: %s is read as %s", text.Seconds(d), text.Seconds(i.AdvertInterval)), "VRRP version 3 sends hundredths of a second")
	}
}

// checkFamilies holds the addresses that advertisements come from and go to to the
// family of the instance's.
func (i *rawInstance) checkFamilies(r *reader) {
	if len(i.vips) == 0 {
		return
	}
	first, family := i.vips[0].Prefix.Addr(), "IPv4"
	if i.ipv6() {
		family = "IPv6"
	}
	wrong := func(at text.Place, a netip.Addr) bool {
		if !a.IsValid() || a.Is6() == i.ipv6() {
			return false
		}
		r.errorAt(at, fmt.Sprintf("%s is not of the family of the instance's addresses, which are %s", a, family),
			"expected an "+family+" address", fmt.Sprintf("the first address, %s, is given at %s", first, i.vips[0].at))
		return true
	}
	if i.Has("mcast_dst_ip") {
		wrong(i.PlaceOf("mcast_dst_ip"), i.GroupIP)
	}
	// Peers that go together with the source are one mistake with it.
	if i.Has("mcast_src_ip") && wrong(i.PlaceOf("mcast_src_ip"), i.SourceIP) {
		return
	}
	if i.Has("use_ipvlan") && wrong(i.PlaceOf("use_ipvlan"), i.IPVLAN.Addr.Addr()) {
		return
	}
	for _, p := range i.Peers {
		wrong(i.peerAt[p.Addr], p.Addr)
	}
}

// checkUnicast warns of words about unicast advertisements where there are none.
func (i *rawInstance) checkUnicast(r *reader) {
	if len(i.Peers) > 0 || i.FaultWithoutPeer || i.mentionsPeers() {
		return
	}
	for _, keyword := range []string{"unicast_src_ip", "unicast_ttl", "check_unicast_src", "old_unicast_checksum"} {
		for _, st := range statementsOf(i.head.Block, keyword) {
			r.warnAt(st.Place(), "unicast-without-peers", keyword+" has no effect without unicast_peer: advertisements go to the group", "take it out, or write unicast_peer { IP }")
		}
	}
	if at, empty := i.emptyPeers(); empty {
		r.warnAt(at, "unicast-without-peers", "unicast_peer has no peer: advertisements go to the group", "expected the addresses of the other directors")
	}
}

// checkDevices warns of words about devices that another word undoes.
func (i *rawInstance) checkDevices(r *reader) {
	if i.VMACXmitBase && !i.VMAC.On {
		r.warnAt(i.PlaceOf("vmac_xmit_base"), "no-effect", "vmac_xmit_base has no effect without use_vmac", "take it out")
	}
	if i.Interface == "" && len(i.Peers) > 0 && !i.mentions("interface") {
		r.pending("an instance without interface", i.head.Place())
		if i.VMAC.On || i.IPVLAN.On {
			r.warnAt(i.head.Place(), "no-effect", "use_vmac and use_ipvlan have no effect without interface", "write interface NAME")
			i.VMAC, i.IPVLAN = Macvlan{}, Ipvlan{}
		}
	}
	if i.VMAC.On && !i.VMACXmitBase && len(i.Peers) > 0 {
		i.VMACXmitBase = true
		r.warnAt(i.PlaceOf("use_vmac"), "vmac-unicast", "with unicast_peer advertisements of use_vmac leave by the base interface", "write vmac_xmit_base")
	}
	if !i.SourceIP.IsValid() {
		i.SourceIP = i.IPVLAN.Addr.Addr()
	}
	if i.VRF != "" && i.Interface != "" {
		r.warnAt(i.PlaceOf("vrf"), "no-effect", "vrf has no effect beside interface", "take one of them out")
	}
}

// mentionsPeers tells whether a list of peers stands there that could not be read.
func (i *rawInstance) mentionsPeers() bool {
	_, empty := i.emptyPeers()
	return !empty && i.mentions("unicast_peer")
}

// emptyPeers finds a list of peers without any.
func (i *rawInstance) emptyPeers() (text.Place, bool) {
	for _, st := range statementsOf(i.head.Block, "unicast_peer") {
		if st.Block != nil && !st.Block.Unsure && len(st.Block.Statements) == 0 {
			return st.Place(), true
		}
	}
	return text.Place{}, false
}

func (i *rawInstance) inheritGARP(g *Global) {
	from(i, g, "garp_master_delay", "vrrp_garp_master_delay", &i.GARPDelay, g.GARPDelay)
	from(i, g, "garp_master_repeat", "vrrp_garp_master_repeat", &i.GARPRepeat, g.GARPRepeat)
	i.GARPRepeat = max(1, i.GARPRepeat)
	from(i, g, "garp_master_refresh", "vrrp_garp_master_refresh", &i.GARPRefresh, g.GARPRefresh)
	from(i, g, "garp_master_refresh_repeat", "vrrp_garp_master_refresh_repeat", &i.GARPRefreshRepeat, g.GARPRefreshRepeat)
	i.GARPRefreshRepeat = max(1, i.GARPRefreshRepeat)
	from(i, g, "garp_lower_prio_delay", "vrrp_garp_lower_prio_delay", &i.GARPLowerDelay, g.GARPLowerDelay)
	from(i, g, "garp_lower_prio_repeat", "vrrp_garp_lower_prio_repeat", &i.GARPLowerRepeat, g.GARPLowerRepeat)
	if i.Strict {
		i.GARPLowerDelay, i.GARPLowerRepeat = 0, 0
	}
	from(i, g, "garp_extra_if", "vrrp_garp_extra_if", &i.GARPExtra, g.GARPExtra)
}

func (i *rawInstance) inheritRest(g *Global) {
	if from(i, g, "down_timer_adverts", "vrrp_down_timer_adverts", &i.DownTimerAdverts, g.DownTimerAdverts); i.Strict {
		i.DownTimerAdverts = defaultDownTimer
	}
	from(i, g, "lower_prio_no_advert", "vrrp_lower_prio_no_advert", &i.LowerPrioNoAdvert, g.LowerPrioNoAdvert || i.Strict)
	from(i, g, "higher_prio_send_advert", "vrrp_higher_prio_send_advert", &i.HigherPrioSendAdvert, g.HigherPrioSendAdvert && !i.Strict)
	from(i, g, "owner_ignore_adverts", "vrrp_owner_ignore_adverts", &i.OwnerIgnoreAdverts, g.OwnerIgnoreAdverts)
	from(i, g, "skip_check_adv_addr", "vrrp_skip_check_adv_addr", &i.SkipCheckAdvertAddr, g.SkipCheckAdvertAddr)
	from(i, g, "v3_checksum_as_v2", "v3_checksum_as_v2", &i.ChecksumAsV2, g.ChecksumAsV2)
	from(i, g, "check_unicast_src", "vrrp_check_unicast_src", &i.CheckSource, g.CheckUnicastSource)
	from(i, g, "notify_priority_changes", "vrrp_notify_priority_changes", &i.PriorityChanges, g.NotifyPriorityChanges)
	group := g.Group4
	if i.ipv6() {
		group = g.Group6
	}
	from(i, g, "mcast_dst_ip", "vrrp_mcast_group4", &i.GroupIP, group)
	from(i, g, "smtp_alert", "smtp_alert_vrrp", &i.SMTPAlert, g.SMTPAlertVRRP)
}

// checkPreempt clears what contradicts the rest, as keepalived does.
func (i *rawInstance) checkPreempt(r *reader) {
	if i.NoPreempt && i.State == Master {
		i.NoPreempt = false
		r.warnAt(i.PlaceOf("nopreempt"), "preempt", "nopreempt has no effect with state MASTER", "write state BACKUP on every director")
	}
	at := i.PlaceOf("preempt_delay")
	switch {
	case i.PreemptDelay == 0:
		return
	case i.State == Master:
		r.warnAt(at, "preempt", "preempt_delay has no effect with state MASTER", "write state BACKUP on every director")
	case i.NoPreempt:
		r.warnAt(at, "preempt", "preempt_delay has no effect with nopreempt", "take one of them out")
	default:
		return
	}
	i.PreemptDelay = 0
}

// resolveVIPs puts each address on its device and refuses one given twice, or of
// another family.
func (i *rawInstance) resolveVIPs(r *reader, first *taken) []VIP {
	if i.noVIPs {
		r.warnAt(i.head.All(), "no-vip", i.head.Title()+" has no virtual address", "expected virtual_ipaddress { IP }")
	}
	var vips []VIP
	for _, raw := range i.vips {
		addr := raw.Prefix.Addr()
		if addr.Is6() != i.ipv6() {
			r.errorAt(raw.at, fmt.Sprintf("%s is not of the family of the instance's first address", addr), "write it into virtual_ipaddress_excluded, or an instance of its own")
			continue
		}
		if i.givenBefore(r, first, raw) && slices.ContainsFunc(vips, func(v VIP) bool { return v.Prefix.Addr() == addr }) {
			continue
		}
		if raw.Device == "" {
			raw.Device = i.Interface
		}
		vips = append(vips, raw)
	}
	return vips
}

// resolveExcluded puts the further addresses on their devices.
func (i *rawInstance) resolveExcluded(r *reader, first *taken) {
	for n := range i.Excluded {
		i.givenBefore(r, first, i.Excluded[n])
		if i.Excluded[n].Device == "" {
			i.Excluded[n].Device = i.Interface
		}
	}
}

// givenBefore warns of an address that an instance has already.
func (i *rawInstance) givenBefore(r *reader, first *taken, vip VIP) bool {
	addr := vip.Prefix.Addr()
	before, taken := first.vips[addr]
	if i.twice {
		return taken
	}
	if taken {
		r.warnAt(vip.at, "vip-twice", fmt.Sprintf("virtual address %s is given twice", addr), "take one of them out", "first given at "+before.String())
	} else {
		first.vips[addr] = vip.at
	}
	return taken
}
