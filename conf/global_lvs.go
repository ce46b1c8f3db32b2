package conf

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

// LVSDefaults are what stands in global_defs about virtual servers.
type LVSDefaults struct {
	SyncDaemon  SyncDaemon   `json:"lvs_sync_daemon"`
	LVSTimeouts lvs.Timeouts `json:"-"`
	Flush       bool         `json:"lvs_flush"`
	// FlushOnStop is "", "all" or "VS".
	FlushOnStop      string `json:"lvs_flush_on_stop"`
	NftIPVS          string `json:"nftables_ipvs"`
	NftIPVSPriority  int32  `json:"nftables_ipvs_priority"`
	NftIPVSFirstMark uint32 `json:"nftables_ipvs_start_fwmark"`
	RSInitNotifies   bool   `json:"rs_init_notifies"`
}

// SyncDaemon is who tells the standby director of connections.
type SyncDaemon struct {
	Interface string     `json:"interface"`
	Instance  string     `json:"instance"`
	ID        int        `json:"id"`
	MaxLen    int        `json:"maxlen"`
	Port      uint16     `json:"port"`
	TTL       int        `json:"ttl"`
	Group     netip.Addr `json:"group"`
}

// noTables says why nothing can be done with the kernel's tables.
const noTables = "its data plane is its own: there are no tables of ip_vs, iptables or nftables"

func lvsDefaults() []*entry {
	type G = Global
	flush := custom("lvs_flush_on_stop", "[VS]", "take all services away at once on stopping", readFlush)
	entries := []*entry{
		onOff("rs_init_notifies", func(g *G) *bool { return &g.RSInitNotifies }, "run notify_up for the real servers that are up at the start"),
		{name: "lvs_timeouts", read: readTimeouts, expects: "[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]",
			help: "how long connections live after their last packet: in use, after a FIN, and UDP's", otherwise: "tcp 900 tcpfin 120 udp 300"},
	}
	entries = append(entries, yet(
		custom("lvs_sync_daemon", syncWords, "tell the standby director of connections", readSyncDaemon, firstCounts()),
	)...)
	return append(entries, ignored(noTables,
		present("lvs_flush", func(g *G) *bool { return &g.Flush }, "empty the kernel's IPVS table at the start"),
		flush, synonym("lvs_flush_onstop", flush),
		optional("nftables_ipvs", nonEmpty("a table's name"), "keepalived_ipvs", func(g *G) *string { return &g.NftIPVS }, "mark the members of a group by nftables", firstCounts()),
		value("nftables_ipvs_priority", number[int32](math.MinInt32, math.MaxInt32), func(g *G) *int32 { return &g.NftIPVSPriority }, "the priority of the nftables chain"),
		value("nftables_ipvs_start_fwmark", mark(), func(g *G) *uint32 { return &g.NftIPVSFirstMark }, "the first mark", initially(uint32(1000))),
	)...)
}

func readFlush(r *reader, st *text.Statement, g *Global) bool {
	g.FlushOnStop = "all"
	if len(st.Words) == 1 {
		return true
	}
	how, ok := one(r, st, oneWord("way to flush", "VS"))
	g.FlushOnStop = how
	return ok
}

// syncWords is the grammar of lvs_sync_daemon.
const syncWords = "INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group IP]"

func readSyncDaemon(r *reader, st *text.Statement, g *Global) (ok bool) {
	d := &g.SyncDaemon
	*d = SyncDaemon{Port: 8848, TTL: 1, Group: netip.AddrFrom4([4]byte{224, 0, 0, 81})}
	if d.Interface, ok = after(r, st, 0, device()); !ok {
		return false
	}
	for i := 2; i < len(st.Words) && ok; i += 2 {
		switch st.Words[i].Text {
		case "inst":
			d.Instance, ok = after(r, st, i, nonEmpty("an instance's name"))
		case "id":
			d.ID, ok = after(r, st, i, number(0, 255))
		case "maxlen":
			d.MaxLen, ok = after(r, st, i, number(1, 65507))
		case "port":
			d.Port, ok = after(r, st, i, port())
		case "ttl":
			d.TTL, ok = after(r, st, i, number(1, 255))
		case "group":
			d.Group, ok = after(r, st, i, address())
		default:
			if i > 2 {
				r.errorAt(st.Words[i].Place, "lvs_sync_daemon: unknown word "+text.Quote(st.Words[i].Text), "expected "+syncWords)
				return false
			}
			d.Instance = st.Words[i].Text
			i--
		}
	}
	return ok
}

// readTimeouts takes what "ipvsadm --set" does, each time under its name.
func readTimeouts(r *reader, st *text.Statement, into any) {
	g := into.(*Global)
	times := map[string]*time.Duration{"tcp": &g.LVSTimeouts.Established, "tcpfin": &g.LVSTimeouts.FinWait, "udp": &g.LVSTimeouts.UDP}
	if len(st.Words) == 1 {
		r.errorAt(st.Place(), "lvs_timeouts lacks its times", "expected at least one of tcp, tcpfin and udp, each with its seconds")
	}
	for i := 1; i < len(st.Words); i += 2 {
		to := times[st.Words[i].Text]
		if to == nil {
			r.errorAt(st.Words[i].Place, fmt.Sprintf("lvs_timeouts: unknown word %s", text.Quote(st.Words[i].Text)), "expected tcp, tcpfin or udp, each with its seconds")
			return
		}
		d, ok := after(r, st, i, wholeSeconds(0, maxWhole))
		if !ok {
			return
		}
		*to = d
		g.note("lvs_timeouts "+st.Words[i].Text, st.Words[i+1].Place)
	}
}
