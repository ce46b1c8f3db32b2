package conf

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"weir/conf/text"
)

// VRRPDefaults are what stands in global_defs for every VRRP instance.
type VRRPDefaults struct {
	Version                 uint8         `json:"vrrp_version"`
	Group4                  netip.Addr    `json:"vrrp_mcast_group4"`
	Group6                  netip.Addr    `json:"vrrp_mcast_group6"`
	GARPDelay               time.Duration `json:"vrrp_garp_master_delay"`
	GARPRepeat              int           `json:"vrrp_garp_master_repeat"`
	GARPLowerDelay          time.Duration `json:"vrrp_garp_lower_prio_delay"`
	GARPLowerRepeat         int           `json:"vrrp_garp_lower_prio_repeat"`
	GARPRefresh             time.Duration `json:"vrrp_garp_master_refresh"`
	GARPRefreshRepeat       int           `json:"vrrp_garp_master_refresh_repeat"`
	GARPInterval            time.Duration `json:"vrrp_garp_interval"`
	GNAInterval             time.Duration `json:"vrrp_gna_interval"`
	MinGARP                 bool          `json:"vrrp_min_garp"`
	GARPExtra               ExtraGARP     `json:"vrrp_garp_extra_if"`
	DownTimerAdverts        int           `json:"vrrp_down_timer_adverts"`
	LowerPrioNoAdvert       bool          `json:"vrrp_lower_prio_no_advert"`
	HigherPrioSendAdvert    bool          `json:"vrrp_higher_prio_send_advert"`
	ChecksumAsV2            bool          `json:"v3_checksum_as_v2"`
	CheckUnicastSource      bool          `json:"vrrp_check_unicast_src"`
	SkipCheckAdvertAddr     bool          `json:"vrrp_skip_check_adv_addr"`
	Strict                  bool          `json:"vrrp_strict"`
	OwnerIgnoreAdverts      bool          `json:"vrrp_owner_ignore_adverts"`
	NotifyPriorityChanges   bool          `json:"vrrp_notify_priority_changes"`
	IPTables                []string      `json:"vrrp_iptables"`
	IPSets                  []string      `json:"vrrp_ipsets"`
	NFTables                string        `json:"nftables"`
	NFTablesPriority        int32         `json:"nftables_priority"`
	NFTablesIfindex         bool          `json:"nftables_ifindex"`
	NFTablesCounters        bool          `json:"nftables_counters"`
	DisableIGMP             bool          `json:"disable_local_igmp"`
	DynamicInterfaces       string        `json:"dynamic_interfaces"`
	DefaultInterface        string        `json:"default_interface"`
	StartupDelay            time.Duration `json:"vrrp_startup_delay"`
	DelayAfterBoot          time.Duration `json:"vrrp_delay_after_boot"`
	LogUnknownVRIDs         bool          `json:"log_unknown_vrids"`
	VMACPrefix              string        `json:"vmac_prefix"`
	VMACAddrPrefix          string        `json:"vmac_addr_prefix"`
	ReceiveBufferPolicy     string        `json:"vrrp_rx_bufs_policy"`
	ReceiveBufferMultiplier int           `json:"vrrp_rx_bufs_multiplier"`
}

// ExtraGARP is when gratuitous ARPs go out on other interfaces, too.
type ExtraGARP struct {
	All      bool          `json:"all"`
	Interval time.Duration `json:"interval"`
}

// The bounds of what is repeated.
const (
	maxDelay  = 24 * time.Hour
	maxRepeat = math.MaxInt32
)

func vrrpDefaults() []*entry {
	type G = Global
	extra := custom("vrrp_garp_extra_if", "[all] whole seconds from 1 to 86400", "gratuitous ARPs on other interfaces of VIPs, so often",
		func(r *reader, st *text.Statement, g *G) bool { return readExtraGARP(r, st, 1, &g.GARPExtra) })
	return append([]*entry{
		value("vrrp_version", vrrpVersion(), func(g *G) *uint8 { return &g.Version }, "the protocol's version", initially(uint8(2))),
		value("vrrp_garp_master_delay", wholeSeconds(0, maxMicroWhole), func(g *G) *time.Duration { return &g.GARPDelay }, "when the second set of gratuitous ARPs follows the first; 0 is none", initially(5*time.Second)),
		atLeastOne("vrrp_garp_master_repeat", func(g *G) *int { return &g.GARPRepeat }, "how many times a set announces each address", initially(5)),
		value("vrrp_garp_lower_prio_delay", wholeSeconds(0, maxMicroWhole), func(g *G) *time.Duration { return &g.GARPLowerDelay }, "the same after an advertisement of lower priority", otherwise("vrrp_garp_master_delay")),
		value("vrrp_garp_lower_prio_repeat", number(0, maxRepeat), func(g *G) *int { return &g.GARPLowerRepeat }, "how many times that set announces each address", otherwise("vrrp_garp_master_repeat")),
		value("vrrp_garp_master_refresh", wholeSeconds(0, maxTimer), func(g *G) *time.Duration { return &g.GARPRefresh }, "gratuitous ARPs of a master, so often; 0 is never", initially(time.Duration(0))),
		atLeastOne("vrrp_garp_master_refresh_repeat", func(g *G) *int { return &g.GARPRefreshRepeat }, "how many times a refresh announces each address", initially(1)),
		gap("vrrp_garp_interval", maxMicro, func(g *G) *time.Duration { return &g.GARPInterval }, "the gap between gratuitous ARPs on an interface", initially(time.Duration(0))),
		gap("vrrp_gna_interval", maxMicro, func(g *G) *time.Duration { return &g.GNAInterval }, "the gap between neighbour advertisements", initially(time.Duration(0))),
		onOff("vrrp_min_garp", func(g *G) *bool { return &g.MinGARP }, "one gratuitous ARP, and no second set"),
		value("vrrp_startup_delay", seconds(time.Millisecond, maxMicro), func(g *G) *time.Duration { return &g.StartupDelay }, "how long VRRP waits after the start", reloads(AtStart)),
		value("vrrp_delay_after_boot", seconds(0, maxMicro), func(g *G) *time.Duration { return &g.DelayAfterBoot }, "how long after the machine's start VRRP waits", reloads(AtStart)),
		value("default_interface", device(), func(g *G) *string { return &g.DefaultInterface }, "where static addresses go that name no device", initially("eth0")),
		optional("dynamic_interfaces", oneWord("option", "allow_if_changes"), "on", func(g *G) *string { return &g.DynamicInterfaces }, "interfaces may appear later"),
		value("vmac_prefix", nonEmpty("a name's beginning"), func(g *G) *string { return &g.VMACPrefix }, "the beginning of a generated device's name", initially("vrrp"), firstCounts()),
		value("vmac_addr_prefix", nonEmpty("a name's beginning"), func(g *G) *string { return &g.VMACAddrPrefix }, "the same for use_vmac_addr", otherwise("vmac_prefix"), firstCounts()),
		present("vrrp_check_unicast_src", func(g *G) *bool { return &g.CheckUnicastSource }, "take unicast advertisements only from configured peers"),
		present("log_unknown_vrids", func(g *G) *bool { return &g.LogUnknownVRIDs }, "log advertisements of virtual routers that no instance of their interface is for, once a minute each"),
		extra, obsolete("vrrp_vmac_garp_intvl", extra),
	}, protocolDefaults()...)
}

// protocolDefaults are the global twins of protocolEntries, and what belongs to them.
func protocolDefaults() []*entry {
	type G = Global
	return []*entry{
		onOff("vrrp_notify_priority_changes", func(g *G) *bool { return &g.NotifyPriorityChanges }, "lines in the FIFO when a priority changes"),
		onOff("vrrp_lower_prio_no_advert", func(g *G) *bool { return &g.LowerPrioNoAdvert }, "do not answer an advertisement of lower priority"),
		onOff("vrrp_higher_prio_send_advert", func(g *G) *bool { return &g.HigherPrioSendAdvert }, "send a last advertisement before giving way"),
		onOff("vrrp_owner_ignore_adverts", func(g *G) *bool { return &g.OwnerIgnoreAdverts }, "with priority 255 do not look at advertisements"),
		onOff("vrrp_skip_check_adv_addr", func(g *G) *bool { return &g.SkipCheckAdvertAddr }, "compare the addresses of a master's first advertisement only"),
		onOff("vrrp_strict", func(g *G) *bool { return &g.Strict }, "keep to the RFC to the letter"),
		value("vrrp_mcast_group4", group4(), func(g *G) *netip.Addr { return &g.Group4 }, "the IPv4 group of advertisements", initially(netip.AddrFrom4([4]byte{224, 0, 0, 18}))),
		value("vrrp_mcast_group6", group6(), func(g *G) *netip.Addr { return &g.Group6 }, "the IPv6 group of advertisements", initially(netip.MustParseAddr("ff02::12"))),
		value("vrrp_down_timer_adverts", number(1, 100), func(g *G) *int { return &g.DownTimerAdverts }, "how many advertisements are missed before a standby takes over", initially(3)),
		present("v3_checksum_as_v2", func(g *G) *bool { return &g.ChecksumAsV2 }, "version 3's IPv4 checksum without the pseudo header"),
	}
}

func vrrpFirewall() []*entry {
	type G = Global
	entries := ignored("accept and no_accept are up to its own data plane, which needs no firewall rules",
		custom("vrrp_iptables", "[CHAIN [CHAIN]]", "iptables chains for no_accept", readChains, firstCounts()),
		custom("vrrp_ipsets", "[NAME...]", "names of ipsets", func(_ *reader, st *text.Statement, g *G) bool {
			g.IPSets = texts(st.Words[1:])
			return true
		}),
		optional("nftables", nonEmpty("a table's name"), "keepalived", func(g *G) *string { return &g.NFTables }, "an nftables table for no_accept", firstCounts()),
		value("nftables_priority", number[int32](math.MinInt32, math.MaxInt32), func(g *G) *int32 { return &g.NFTablesPriority }, "its chains' priority", initially(int32(-1))),
		present("nftables_ifindex", func(g *G) *bool { return &g.NFTablesIfindex }, "sets by a device's number"),
		present("nftables_counters", func(g *G) *bool { return &g.NFTablesCounters }, "counters in the rules"),
		present("disable_local_igmp", func(g *G) *bool { return &g.DisableIGMP }, "no IGMP reports for link-local groups"),
	)
	return append(entries, ignored("its sockets hold what they need",
		value("vrrp_rx_bufs_policy", bufferPolicy(), func(g *G) *string { return &g.ReceiveBufferPolicy }, "the size of a receive buffer", otherwise("the system's")),
		value("vrrp_rx_bufs_multiplier", number(1, math.MaxInt32), func(g *G) *int { return &g.ReceiveBufferMultiplier }, "how many packets a receive buffer holds", initially(3)),
	)...)
}

func readChains(r *reader, st *text.Statement, g *Global) bool {
	if len(st.Words) > 3 {
		r.extra(st, 3)
		return false
	}
	if g.IPTables = texts(st.Words[1:]); len(g.IPTables) == 0 {
		g.IPTables = []string{"INPUT"}
	}
	return true
}

// bufferPolicy is MTU, ADVERT or a number of bytes.
func bufferPolicy() kind[string] {
	return kind[string]{"MTU, ADVERT or a number of bytes", func(word string) (string, *complaint) {
		if word != "MTU" && word != "ADVERT" && !isDigits(word) {
			return "", complain("%s is no size", text.Quote(word))
		}
		return word, nil
	}}
}

// vrrpVersion is the version of the protocol.
func vrrpVersion() kind[uint8] {
	return oneOf(choice[uint8]{noun: "VRRP version", known: []named[uint8]{{"2", 2}, {"3", 3}}})
}

// readExtraGARP reads [all] SECONDS.
func readExtraGARP(r *reader, st *text.Statement, least time.Duration, to *ExtraGARP) (ok bool) {
	at := 0
	if len(st.Words) > 1 && st.Words[1].Text == "all" {
		to.All = true
		at = 1
	}
	to.Interval, ok = after(r, st, at, wholeSeconds(least*time.Second, maxDelay))
	if ok && len(st.Words) > at+2 {
		r.errorAt(st.Words[at+2].Place, fmt.Sprintf("%s: %s is too much", st.Keyword(), text.Quote(st.Words[at+2].Text)), "expected [all] and the seconds")
		return false
	}
	return ok
}

// atLeastOne is a number of rounds; 0 is read as 1, as keepalived does.
func atLeastOne[T any](name string, at func(*T) *int, help string, options ...option) *entry {
	e := value(name, number(0, maxRepeat), at, help, options...)
	read := e.read
	e.read = func(r *reader, st *text.Statement, into any) {
		read(r, st, into)
		if to := at(into.(*T)); len(st.Words) > 1 && *to == 0 {
			*to = 1
			r.warnAt(st.Words[1].Place, "raised", st.Keyword()+" 0 is read as 1", "write 1")
		}
	}
	return e
}

// texts are what tokens say.
func texts(tokens []text.Token) (list []string) {
	for _, t := range tokens {
		list = append(list, t.Text)
	}
	return list
}

// gap is a time that there may be none of: 0 is that, which keepalived takes for a
// mistake.
func gap[T any](name string, most time.Duration, at func(*T) *time.Duration, help string, options ...option) *entry {
	e := value(name, seconds(0, most), at, help, options...)
	read := e.read
	e.read = func(r *reader, st *text.Statement, into any) {
		read(r, st, into)
		if len(st.Words) == 2 && strings.Trim(st.Words[1].Text, "0.") == "" {
			r.warnAt(st.Words[1].Place, "no-effect", st.Keyword()+" 0 is none, as without it", "take it out")
		}
	}
	word := e.word
	e.word = func(into any) string {
		if *at(into.(*T)) == 0 {
			return "" // which has no word of its own
		}
		return word(into)
	}
	return e
}
