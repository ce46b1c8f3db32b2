package conf

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"weir/conf/text"
)

// State is the state a VRRP instance wishes to begin in.
type State string

// The states to begin in.
const (
	Master State = "MASTER"
	Backup State = "BACKUP"
)

// VRRPInstance is a vrrp_instance.
type VRRPInstance struct {
	given
	Name      string `json:"vrrp_instance"`
	State     State  `json:"state"`
	Interface string `json:"interface"`
	VRF       string `json:"vrf"`
	VRID      uint8  `json:"virtual_router_id"`
	Priority  uint8  `json:"priority"`
	// AdvertInterval is a number of whole seconds in version 2.
	AdvertInterval time.Duration `json:"advert_int"`
	// Version is that of the protocol: 2 or 3.
	Version uint8 `json:"version"`
	Auth    Auth  `json:"authentication"`
	HMAC    HMAC  `json:"auth_hmac"`
	VIPs    []VIP `json:"virtual_ipaddress"`
	// Excluded are VIPs that no advertisement lists.
	Excluded           []VIP   `json:"virtual_ipaddress_excluded"`
	NoVIPs             bool    `json:"no_virtual_ipaddress"`
	Routes             []Route `json:"virtual_routes"`
	Rules              []Rule  `json:"virtual_rules"`
	PromoteSecondaries bool    `json:"promote_secondaries"`
	VMAC               Macvlan `json:"use_vmac"`
	VMACAddr           bool    `json:"use_vmac_addr"`
	VMACXmitBase       bool    `json:"vmac_xmit_base"`
	IPVLAN             Ipvlan  `json:"use_ipvlan"`
	// SourceIP is what advertisements come from; the zero Addr stands for the
	// interface's primary address.
	SourceIP netip.Addr `json:"mcast_src_ip"`
	GroupIP  netip.Addr `json:"mcast_dst_ip"`
	Unicast
	ChecksumAsV2       bool `json:"v3_checksum_as_v2"`
	IgnoreOwnInterface bool `json:"dont_track_primary"`
	Tracks
	NoPreempt    bool          `json:"nopreempt"`
	PreemptDelay time.Duration `json:"preempt_delay"`
	GARP
	DownTimerAdverts     int    `json:"down_timer_adverts"`
	TimerExpiredBackup   int    `json:"timer_expired_backup"`
	LowerPrioNoAdvert    bool   `json:"lower_prio_no_advert"`
	HigherPrioSendAdvert bool   `json:"higher_prio_send_advert"`
	OwnerIgnoreAdverts   bool   `json:"owner_ignore_adverts"`
	Accept               bool   `json:"accept"`
	SkipCheckAdvertAddr  bool   `json:"skip_check_adv_addr"`
	Strict               bool   `json:"strict_mode"`
	Debug                int    `json:"debug"`
	ReceiveBuffer        int    `json:"kernel_rx_buf_size"`
	SyncInterface        string `json:"lvs_sync_daemon_interface"`
	Notify
	Beyond             OwnVRRP `json:"beyond"`
	NotifyDeleted      Script  `json:"notify_deleted"`
	NotifyMasterRX     Script  `json:"notify_master_rx_lower_pri"`
	WantsNotifyDeleted bool    `json:"-"`
	// LogUnknownVRIDs is log_unknown_vrids, of one instance of each interface and family.
	LogUnknownVRIDs bool `json:"-"`
	at              text.Place
}

// Addresses are all that a master has.
func (v *VRRPInstance) Addresses() []VIP { return slices.Concat(v.VIPs, v.Excluded) }

// At is the place of its first line, the zero Place where no file says it.
func (v *VRRPInstance) At() text.Place { return v.at }

// IPv6 tells the family of an instance: that of its first address.
func (v *VRRPInstance) IPv6() bool { return len(v.VIPs) > 0 && v.VIPs[0].Prefix.Addr().Is6() }

// GARP is what a master announces, and when.
type GARP struct {
	// GARPDelay is when after the first the second set of gratuitous ARPs is
	// sent (0: no second set), and GARPRepeat the number of rounds in a set.
	GARPDelay         time.Duration `json:"garp_master_delay"`
	GARPRepeat        int           `json:"garp_master_repeat"`
	GARPRefresh       time.Duration `json:"garp_master_refresh"`
	GARPRefreshRepeat int           `json:"garp_master_refresh_repeat"`
	GARPLowerDelay    time.Duration `json:"garp_lower_prio_delay"`
	GARPLowerRepeat   int           `json:"garp_lower_prio_repeat"`
	GARPExtra         ExtraGARP     `json:"garp_extra_if"`
}

// rawInstance is a vrrp_instance as it is written.
type rawInstance struct {
	VRRPInstance
	head     *text.Statement
	vips     []VIP
	peerAt   map[netip.Addr]text.Place
	mentions func(names ...string) bool
	noVIPs   bool
	// twice is an instance whose name an earlier one has: that it has the same addresses is
	// not said as well.
	twice bool
}

// instanceBlock is the table of vrrp_instance.
func instanceBlock() *blockSpec {
	type I = rawInstance
	whole := func(i *I) *I { return i }
	entries := []*entry{
		value("state", oneWord("state", Master, Backup), func(i *I) *State { return &i.State }, "the state to begin in", otherwise("MASTER with priority 255, BACKUP otherwise"), reloads(AtStart), masterStays),
		value("interface", vrrpDevice(), func(i *I) *string { return &i.Interface }, "where advertisements are sent and heard", reloads(Anew)),
		value("virtual_router_id", number[uint8](1, 255), func(i *I) *uint8 { return &i.VRID }, "the instance's number, the same on all its directors", reloads(Anew)),
		value("priority", number[uint8](1, 255), func(i *I) *uint8 { return &i.Priority }, "the highest becomes master; 255 is the addresses' owner", derivedFrom("state", "100, or 255 with state MASTER")),
		value("advert_int", seconds(10*time.Millisecond, 255*time.Second), func(i *I) *time.Duration { return &i.AdvertInterval }, "the time between advertisements: whole seconds in version 2, hundredths up to 40.95 in version 3", initially(time.Second)),
		value("version", vrrpVersion(), func(i *I) *uint8 { return &i.Version }, "the protocol's version", otherwise("vrrp_version; 3 for IPv6")),
		section("authentication", authBlock(), "the password of version 2", plain(whole)),
		section("virtual_ipaddress", vipBlock("virtual_ipaddress", virtualAddress(), func(i *I, v VIP) { i.vips = append(i.vips, v) }), "the addresses that the master has, and advertisements list", plain(whole)),
		section("virtual_ipaddress_excluded", vipBlock("virtual_ipaddress_excluded", virtualAddress(), func(i *I, v VIP) { i.Excluded = append(i.Excluded, v) }), "more addresses that the master has, of any family, which advertisements do not list", plain(whole)),
		section("virtual_routes", routeBlock("virtual_routes", func(i *I, v Route) { i.Routes = append(i.Routes, v) }), "routes that the master has", plain(whole)),
		section("virtual_rules", ruleBlock("virtual_rules", func(i *I, v Rule) { i.Rules = append(i.Rules, v) }), "policy rules that the master has", plain(whole)),
		section("unicast_peer", peerBlock(), "the other directors, to which advertisements go instead of the group", plain(whole)),
		value("mcast_src_ip", address(), func(i *I) *netip.Addr { return &i.SourceIP }, "the address that advertisements come from", otherwise("the interface's first")),
		value("unicast_src_ip", address(), func(i *I) *netip.Addr { return &i.SourceIP }, "the same as mcast_src_ip", inSlot("mcast_src_ip")),
		present("nopreempt", func(i *I) *bool { return &i.NoPreempt }, "never take over from a master of lower priority"),
		{name: "preempt", help: "take over, which is the default", read: func(r *reader, st *text.Statement, into any) {
			into.(*I).NoPreempt = into.(*I).NoPreempt && !r.alone(st)
		}},
		value("preempt_delay", seconds(0, 1000*time.Second), func(i *I) *time.Duration { return &i.PreemptDelay }, "how long to wait before taking over", initially(time.Duration(0))),
		value("garp_master_delay", wholeSeconds(0, maxMicroWhole), func(i *I) *time.Duration { return &i.GARPDelay }, "when the second set of gratuitous ARPs follows the first; 0 is none", otherwise("vrrp_garp_master_delay")),
		atLeastOne("garp_master_repeat", func(i *I) *int { return &i.GARPRepeat }, "how many times a set announces each address", otherwise("vrrp_garp_master_repeat")),
		present("dont_track_primary", func(i *I) *bool { return &i.IgnoreOwnInterface }, "go on when the own interface fails"),
		value("garp_master_refresh", wholeSeconds(0, maxTimer), func(i *I) *time.Duration { return &i.GARPRefresh }, "gratuitous ARPs of a master, so often; 0 is never", otherwise("vrrp_garp_master_refresh")),
		atLeastOne("garp_master_refresh_repeat", func(i *I) *int { return &i.GARPRefreshRepeat }, "how many times a refresh announces each address", otherwise("vrrp_garp_master_refresh_repeat")),
		value("garp_lower_prio_delay", wholeSeconds(0, maxMicroWhole), func(i *I) *time.Duration { return &i.GARPLowerDelay }, "the second set after an advertisement of lower priority", otherwise("vrrp_garp_lower_prio_delay")),
		value("garp_lower_prio_repeat", number(0, maxRepeat), func(i *I) *int { return &i.GARPLowerRepeat }, "how many times that set announces each address", otherwise("vrrp_garp_lower_prio_repeat")),
		present("accept", func(i *I) *bool { return &i.Accept }, "a master that does not own its addresses answers what is sent to them", otherwise("yes")),
		present("promote_secondaries", func(i *I) *bool { return &i.PromoteSecondaries }, "further addresses stay when the first of a network goes"),
		present("no_virtual_ipaddress", func(i *I) *bool { return &i.NoVIPs }, "the instance has no addresses on purpose"),
	}
	entries = append(entries,
		custom("notify_deleted", "["+scriptWords+"]", "runs when a reload takes the instance away", readNotifyDeleted),
		script("notify_master_rx_lower_pri", func(i *I) *Script { return &i.NotifyMasterRX }, "runs when a master hears one of lower priority"),
	)
	entries = append(entries, instanceLater()...)
	entries = append(entries, notifyEntries(func(i *I) *Notify { return &i.Notify })...)
	entries = append(entries, trackEntries(func(i *I) *Tracks { return &i.Tracks })...)
	return &blockSpec{name: "vrrp_instance", done: instanceDone, entries: entries}
}

// instanceLater are the keywords whose features are still to come, or mean
// nothing here.
func instanceLater() []*entry {
	type I = rawInstance
	extra := custom("garp_extra_if", "[all] whole seconds from 0 to 86400", "gratuitous ARPs on other interfaces of VIPs, so often",
		func(r *reader, st *text.Statement, i *I) bool { return readExtraGARP(r, st, 0, &i.GARPExtra) }, otherwise("vrrp_garp_extra_if"))
	expired := optional("timer_expired_backup", number(1, 254), 254, func(i *I) *int { return &i.TimerExpiredBackup }, "after a stall with nopreempt, stand back where somebody of this priority could have taken over")
	entries := yet(
		value("lvs_sync_daemon_interface", device(), func(i *I) *string { return &i.SyncInterface }, "obsolete: see lvs_sync_daemon").warns("lvs_sync_daemon in global_defs"),
	)
	entries = append(entries,
		expired, obsolete("thread_timer_expired", expired),
		extra, obsolete("vmac_garp_intvl", extra),
		custom("no_accept", "", "a master that does not own its addresses takes nothing that is sent to them but what is for virtual servers", func(r *reader, st *text.Statement, i *I) bool {
			i.Accept = false
			return r.alone(st)
		}),
		custom("use_vmac", macvlanWords, "the instance's own MAC address, by a macvlan", readMacvlan),
		custom("use_ipvlan", ipvlanWords, "advertisements leave by an ipvlan device over the interface, from its address", readIpvlan),
		present("use_vmac_addr", func(i *I) *bool { return &i.VMACAddr }, "VIPs on other interfaces get a macvlan, too"),
		present("vmac_xmit_base", func(i *I) *bool { return &i.VMACXmitBase }, "advertisements leave by the base interface"),
	)
	entries = append(entries, checkUnicastSource())
	entries = append(entries, unicastEntries()...)
	entries = append(entries, protocolEntries()...)
	entries = append(entries, ignored("every instance has an interface, and speaks in the VRF that this is in",
		value("vrf", device(), func(i *I) *string { return &i.VRF }, "the VRF of unicast advertisements without interface"))...)
	entries = append(entries, ignored("IPv6 needs no switch", (&entry{name: "native_ipv6", help: "obsolete", read: func(*reader, *text.Statement, any) {}}).warns(""))...)
	entries = append(entries, ignored("it follows the kernel's reports of every link", (&entry{name: "linkbeat_use_polling", help: "obsolete here", read: func(*reader, *text.Statement, any) {}}).warns("linkbeat_interfaces outside any block"))...)
	return append(entries, ignored("keepalived does not use it either",
		value("debug", number(0, 4), func(i *I) *int { return &i.Debug }, "how much is written about the instance", initially(0)),
		value("kernel_rx_buf_size", number(0, math.MaxInt32), func(i *I) *int { return &i.ReceiveBuffer }, "the size of the receive buffer of the instance's socket"),
	)...)
}

// protocolEntries are the keywords about what advertisements look like, and about what they
// are answered with.
func protocolEntries() []*entry {
	type I = rawInstance
	return []*entry{
		onOff("lower_prio_no_advert", func(i *I) *bool { return &i.LowerPrioNoAdvert }, "do not answer an advertisement of lower priority", otherwise("vrrp_lower_prio_no_advert")),
		onOff("higher_prio_send_advert", func(i *I) *bool { return &i.HigherPrioSendAdvert }, "send a last advertisement before giving way", otherwise("vrrp_higher_prio_send_advert")),
		onOff("owner_ignore_adverts", func(i *I) *bool { return &i.OwnerIgnoreAdverts }, "with priority 255 do not look at advertisements", otherwise("vrrp_owner_ignore_adverts")),
		onOff("skip_check_adv_addr", func(i *I) *bool { return &i.SkipCheckAdvertAddr }, "compare the addresses of a master's first advertisement only", otherwise("vrrp_skip_check_adv_addr")),
		onOff("strict_mode", func(i *I) *bool { return &i.Strict }, "keep to the RFC to the letter", otherwise("vrrp_strict")),
		value("mcast_dst_ip", multicast(address()), func(i *I) *netip.Addr { return &i.GroupIP }, "another group for advertisements", otherwise("vrrp_mcast_group4")),
		onOff("v3_checksum_as_v2", func(i *I) *bool { return &i.ChecksumAsV2 }, "version 3's IPv4 checksum without the pseudo header", otherwise("that of global_defs")),
		value("down_timer_adverts", number(1, 100), func(i *I) *int { return &i.DownTimerAdverts }, "how many advertisements are missed before a standby takes over", otherwise("vrrp_down_timer_adverts")),
		section("auth_hmac", hmacBlock(), "signed advertisements", plain(func(i *I) *HMAC { return &i.HMAC })),
	}
}

// masterStays has state BACKUP not undo a state MASTER, as in keepalived.
func masterStays(e *entry) {
	e.yields = func(first, second *text.Statement) bool {
		return len(first.Words) == 2 && first.Words[1].Text == string(Master) && len(second.Words) == 2 && second.Words[1].Text == string(Backup)
	}
}

func readNotifyDeleted(r *reader, st *text.Statement, i *rawInstance) (ok bool) {
	i.WantsNotifyDeleted = true
	if len(st.Words) == 1 {
		return true
	}
	i.NotifyDeleted, ok = readScript(r, st, 1)
	return ok
}

// instanceHead makes the instance that vrrp_instance NAME begins.
func instanceHead(r *reader, st *text.Statement) *rawInstance {
	name, ok := one(r, st, nonEmpty("the instance's name"))
	if !ok {
		return nil
	}
	i := &rawInstance{}
	i.begin(st)
	i.Name = name
	i.note("vrrp_instance", st.Place())
	return i
}

// begin makes the instance that a statement heads.
func (i *rawInstance) begin(st *text.Statement) {
	i.head, i.peerAt = st, map[netip.Addr]text.Place{}
	i.Accept, i.at = true, st.All()
}

func instanceDone(r *reader, b *text.Block, into any) {
	i := into.(*rawInstance)
	if !has(b, "unicast_peer") {
		r.require(b, "interface", "expected interface NAME")
	}
	r.require(b, "virtual_router_id", "expected virtual_router_id, a number from 1 to 255, the same on both directors")
	i.mentions = mentionsOf(b)
	i.noVIPs = !b.Unsure && !slices.ContainsFunc(b.Statements, func(st *text.Statement) bool {
		e := entryOf(st)
		mentions := e != nil && (e.name == "virtual_ipaddress" || e.name == "no_virtual_ipaddress")
		return mentions && (st.Broken || st.Block == nil || st.Block.Unsure || len(st.Block.Statements) > 0)
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
