package main

import (
	"math"
	"slices"
	"strings"
)

// part is one benchmark: a table of rows, and of columns, which say how many
// flows, servers or connections there are.
type part struct {
	name, bench, title string // bench is the benchmark function's name, in whichever package has it
	packets            int    // a round
	columns            []column
	rows               []row
	median             bool // what counts is the median of the rounds, not the minimum
	guest              bool // it runs in the guest of test/vm, once, with rounds of its own
	weir               bool // it runs weir itself
}

// column is a sub-benchmark, "" for a part that has but one.
type column struct{ name, what string }

// row is a sub-benchmark of each column and its figures. A bar is what weir means
// to keep: of the ratio to another row, in the same column, or, without one, of
// the figure itself. Flat is a bar of the ratio to the row's own first column.
type row struct {
	name, what string
	unit       string    // of the figure; "" is ns/packet
	worst      bool      // what counts is the largest figure of all rounds, not the smallest
	less       string    // the row that is taken off the figure, in the same column
	of         string    // the row that it is compared with
	least      bool      // the bar is to be reached, not to be kept below
	bars       []float64 // by column; 0: none
	most       []float64 // the same of the figure itself
	flat       float64
}

var single = []column{{"", "one"}}

// parts are what can be measured, in the order in which they are told.
var parts = []part{
	{name: "hits", bench: "BenchmarkHits", packets: 1_000_000,
		title:   "packets of established flows, at random: ns a packet, CPU time over BPF_PROG_TEST_RUN,\nless what the wrapper takes that sets the packet back",
		columns: []column{{"1", "1 flow"}, {"10000", "10,000"}, {"1000000", "1,000,000"}}, rows: []row{
			{name: "dr/empty/xdp", what: "wrapper alone, XDP"},
			{name: "dr/empty/tc", what: "wrapper alone, tc"},
			{name: "dr/dr40/xdp", what: "floor: plainest direct routing", less: "dr/empty/xdp"},
			{name: "dr/pass/xdp", what: "passes by, XDP", less: "dr/empty/xdp", of: "dr/dr40/xdp", bars: []float64{1, 1, 1}, flat: 1.2},
			{name: "dr/pass/tc", what: "passes by, tc", less: "dr/empty/tc", of: "dr/dr40/xdp", bars: []float64{1, 1, 1}, flat: 1.2},
			{name: "dr/pass/egress", what: "passes by, tc egress", less: "dr/empty/tc", of: "dr/dr40/xdp", bars: []float64{1, 1, 1}, flat: 1.2},
			{name: "dr/forwarded/egress", what: "forwarded, tc egress", less: "dr/empty/tc"},
			{name: "dr/ip4/xdp", what: "DR, XDP", less: "dr/empty/xdp", of: "dr/dr40/xdp", bars: []float64{0.8, 0, 0.5}},
			{name: "dr/ip4/tc", what: "DR, tc", less: "dr/empty/tc", of: "dr/ip4/xdp", bars: []float64{1.3, 0, 0}},
			{name: "dr/ip6/xdp", what: "DR, IPv6, XDP", less: "dr/empty/xdp", of: "dr/ip4/xdp", bars: []float64{1.2, 1.2, 1.2}},
			{name: "dr/ip6/tc", what: "DR, IPv6, tc", less: "dr/empty/tc", of: "dr/ip4/tc", bars: []float64{1.2, 1.2, 1.2}},
			{name: "nat/dr/xdp", what: "DR in NAT's table, XDP", less: "dr/empty/xdp"},
			{name: "nat/dr/tc", what: "DR in NAT's table, tc", less: "dr/empty/tc"},
			{name: "nat/in/xdp", what: "NAT to the server, XDP", less: "dr/empty/xdp", of: "nat/dr/xdp", bars: []float64{1.25, 1.25, 1.25}},
			{name: "nat/in/tc", what: "NAT to the server, tc", less: "dr/empty/tc", of: "nat/dr/tc", bars: []float64{1.5, 0, 0}},
			{name: "nat/out/xdp", what: "NAT to the client, XDP", less: "dr/empty/xdp", of: "nat/dr/xdp", bars: []float64{1.25, 1.25, 1.25}},
			{name: "nat/out/tc", what: "NAT to the client, tc", less: "dr/empty/tc", of: "nat/dr/tc", bars: []float64{1.5, 0, 0}},
			{name: "tun/ipip40/xdp", what: "floor: plainest IPIP tunnel", less: "dr/empty/xdp"},
			{name: "tun/ip4/xdp", what: "IPIP, XDP", less: "dr/empty/xdp", of: "tun/ipip40/xdp", bars: []float64{1, 0, 1}},
		}},
	{name: "new", bench: "BenchmarkNew", packets: 30_000,
		title:   "packets that begin a connection, by scheduler and number of servers: ns a packet",
		columns: []column{{"2", "2 servers"}, {"64", "64"}, {"1024", "1,024"}}, rows: []row{
			{name: "new_c40", what: "floor: look-up, turn, insert"},
			{name: "rr", what: "rr", of: "new_c40", bars: []float64{1.5, 1.5, 1.5}, flat: 1.2},
			{name: "wrr", what: "wrr", of: "new_c40", bars: []float64{1.7, 1.7, 1.7}, flat: 1.2},
			{name: "dh", what: "dh", of: "new_c40", bars: []float64{1.7, 1.7, 1.7}, flat: 1.2},
			{name: "sh", what: "sh", of: "new_c40", bars: []float64{1.7, 1.7, 1.7}, flat: 1.2},
			{name: "mh", what: "mh", of: "new_c40", bars: []float64{1.7, 1.7, 1.7}, flat: 1.2},
			{name: "lc", what: "lc", of: "new_c40"},
			{name: "wlc", what: "wlc", of: "new_c40", bars: []float64{0, 2.2, 0}, most: []float64{0, 0, 10_000}},
			{name: "sed", what: "sed", of: "new_c40"},
			{name: "nq", what: "nq", of: "new_c40"},
			{name: "fo", what: "fo", of: "new_c40"},
			{name: "ovf", what: "ovf", of: "new_c40"},
			{name: "twos", what: "twos", of: "new_c40"},
			{name: "lblc", what: "lblc", of: "new_c40"},
			{name: "lblcr", what: "lblcr", of: "new_c40", most: []float64{0, 0, 10_000}},
		}},
	{name: "live", bench: "BenchmarkLive", packets: 30_000,
		title:   "the same with 64 servers, beside live connections: ns a packet",
		columns: []column{{"1", "1 live"}, {"10000", "10,000"}, {"1000000", "1,000,000"}}, rows: []row{
			{name: "new_c40", what: "floor: look-up, turn, insert"},
			{name: "rr", what: "rr", of: "new_c40", bars: []float64{2, 2, 2}},
			{name: "wlc", what: "wlc", of: "new_c40"},
		}},
	{name: "persist", bench: "BenchmarkPersist", packets: 30_000,
		title:   "new connections with persistence: ns a packet",
		columns: []column{{"2", "2 servers"}, {"1024", "1,024"}}, rows: []row{
			{name: "rr", what: "rr, not persistent"},
			{name: "known", what: "by the client's template", of: "rr"},
			{name: "unknown", what: "template and connection", of: "rr"},
		}},
	{name: "expiry", bench: "BenchmarkExpiry", packets: 1,
		title:   "connections whose time is over, all at once, and the sweep",
		columns: []column{{"100000", "100,000"}, {"1000000", "1,000,000"}}, rows: []row{
			{name: "late", what: "latest entry leaves, s late", unit: "s", worst: true, most: []float64{1, 5}},
			{name: "share", what: "the sweep's share of a CPU, %", unit: "%", most: []float64{5, 5}},
			{name: "quiet", what: "longest packet delay, no sweep, ms", unit: "ms"},
			{name: "swept", what: "the same while sweeps run, ms", unit: "ms", most: []float64{1, 1}},
		}},
	{name: "templates", bench: "BenchmarkTemplates", packets: 1,
		title:   "the sweep of so many clients' templates, and of as many connections",
		columns: []column{{"1", "1"}, {"100000", "100,000"}, {"1000000", "1,000,000"}}, rows: []row{
			{name: "share", what: "the sweep's share of a CPU, %", unit: "%", most: []float64{1, 5, 5}},
			{name: "step", what: "its longest step, ms", unit: "ms", most: []float64{1, 1, 1}},
		}},
	{name: "memory", bench: "BenchmarkMemory", packets: 1,
		title:   "the kernel's memory: all tables at rest, and the connections' when there are a million",
		columns: single, rows: []row{
			{name: "rest", what: "all tables at rest, MiB", unit: "MiB", worst: true, most: []float64{64}},
			{name: "full", what: "1,000,000 DR connections, MiB", unit: "MiB", worst: true, most: []float64{350}},
			{name: "dr", what: "each of them, bytes", unit: "bytes", worst: true},
		}},
	{name: "pps", bench: "BenchmarkPPS", packets: 400_000,
		title:   "through namespaces, 60 bytes, 1,024 flows, one sending CPU",
		columns: single, rows: []row{
			{name: "floor", what: "generator, dropped on arrival"},
			{name: "weir_native", what: "weir, native XDP, DR", of: "ip_forward", bars: []float64{0.4}},
			{name: "redirect_tc", what: "floor: tc sends all to one device"},
			{name: "weir_tc", what: "weir, tc, DR", of: "redirect_tc", bars: []float64{1.15}},
			{name: "weir_tc_nat", what: "weir, tc, NAT", of: "redirect_tc", bars: []float64{1.15}},
			{name: "peer_tc", what: "floor: tc gives all to a far end"},
			{name: "weir_peer", what: "weir, tc to a far end, DR", of: "peer_tc", bars: []float64{1.15}},
			{name: "weir_peer_nat", what: "weir, tc to a far end, NAT", of: "peer_tc", bars: []float64{1.15}},
			{name: "weir_generic", what: "weir, generic XDP, DR", of: "weir_peer", least: true, bars: []float64{1}},
			{name: "weir_generic_nat", what: "weir, generic XDP, NAT", of: "weir_peer_nat", least: true, bars: []float64{1}},
			{name: "ip_forward", what: "kernel ip_forward, no balancing"},
			{name: "nft_dnat", what: "nftables DNAT", of: "weir_native", least: true, bars: []float64{4}},
		}},
	{name: "routed", bench: "BenchmarkRouted", packets: 400_000,
		title:   "the same frames to an address that is no service's: the kernel routes them, programs at both devices let them pass",
		columns: single, rows: []row{
			{name: "none", what: "no program"},
			{name: "empty_tc", what: "floor: empty programs, tc"},
			{name: "weir_tc", what: "weir, tc", of: "empty_tc", bars: []float64{1.06}},
			{name: "empty_native", what: "floor: empty programs, native XDP"},
			{name: "weir_native", what: "weir, native XDP", of: "empty_native", bars: []float64{1.06}},
		}},
	{name: "vm", bench: "BenchmarkIPVS", guest: true, packets: 1,
		title:   "the same in a guest with Linux 6.1, beside its IPVS; in turn, in small parts; medians of its own rounds",
		columns: single, rows: append(slices.Clone(guestFloors), []row{
			{name: "dr/weir_native", what: "weir, native XDP, DR"},
			{name: "dr/weir_tc", what: "weir, tc, DR", of: "dr/ipvs", bars: []float64{0.74}},
			{name: "dr/ipvs", what: "IPVS, DR", of: "dr/weir_native", least: true, bars: []float64{7}},
			{name: "nat/weir_native", what: "weir, native XDP, NAT"},
			{name: "nat/weir_tc", what: "weir, tc, NAT", of: "nat/ipvs", bars: []float64{0.74}},
			{name: "nat/ipvs", what: "IPVS, NAT", of: "nat/weir_native", least: true, bars: []float64{7}},
			{name: "peer/dr/weir_tc", what: "weir, tc to a far end, DR", of: "peer/dr/ipvs", bars: []float64{0.74}},
			{name: "peer/dr/ipvs", what: "IPVS, DR, the same servers"},
			{name: "peer/nat/weir_tc", what: "weir, tc to a far end, NAT", of: "peer/nat/ipvs", bars: []float64{0.74}},
			{name: "peer/nat/ipvs", what: "IPVS, NAT, the same servers"},
		}...)},
	{name: "vm-new", bench: "BenchmarkIPVSNew", guest: true, packets: 1,
		title: "packets that begin a connection, which stays half open, in that guest; 64 servers; the tables are empty\n" +
			"before each 20,000; IPVS as it is by default (conn_tab_bits=12: 4,096 buckets), no conntrack;\n" +
			"in turn, in small parts; medians of its own rounds",
		columns: single, rows: begun()},
	{name: "vm-checks", bench: "BenchmarkBesideKeepalived", guest: true, weir: true, packets: 1,
		title: "100 TCP_CHECKs a second of servers that are up, in that guest: weir and the real keepalived, one after the\n" +
			"other with the same file; whole processes, and the kernel's part in a check; medians of its own rounds",
		columns: []column{{"200", "200 each 2 s"}, {"2000", "2,000 each 20 s"}}, rows: []row{
			{name: "keepalived/cpu", what: "keepalived, CPU a check", unit: "us/check"},
			{name: "weir/cpu", what: "weir, CPU a check", unit: "us/check", of: "keepalived/cpu", bars: []float64{1, 1}},
			{name: "keepalived/rss", what: "keepalived, RSS, MB", unit: "MB"},
			{name: "weir/rss", what: "weir, RSS, MB", unit: "MB", of: "keepalived/rss"},
			{name: "keepalived/pss", what: "keepalived, PSS, MB", unit: "MB"},
			{name: "weir/pss", what: "weir, PSS, MB", unit: "MB", of: "keepalived/pss"},
		}},
	{name: "http", bench: "BenchmarkHTTP", median: true, packets: 1, columns: single,
		title: "nginx is asked through weir (tc, DR) and others, default offloads, as fast as wrk can;\n" +
			"paced: at a quarter of the rate that the slowest serves, counted from when each request was due; medians", rows: http()},
}

// guestFloors are the least that a frame takes in the guest. The generator makes a new page, which the
// kernel zeroes, for each frame that leaves XDP: of the figures at tc and of IPVS, what a frame takes that
// tc drops is the generator's and the device's.
var guestFloors = []row{
	{name: "floor", what: "generator, dropped on arrival"},
	{name: "dropped_tc", what: "generator, dropped at tc"},
	{name: "redirect_tc", what: "floor: tc sends all to one device"},
	{name: "peer_tc", what: "floor: tc gives all to a far end"},
}

// begun is what a new connection takes, by scheduler and forward method.
func begun() (rows []row) {
	rows = slices.Clone(guestFloors)
	for _, scheduler := range []string{"rr", "wlc"} {
		for _, method := range []string{"dr", "nat"} {
			name, what := scheduler+"/"+method, scheduler+", "+strings.ToUpper(method)
			rows = append(rows,
				row{name: name + "/weir_native", what: "weir, native XDP, " + what},
				row{name: name + "/weir_tc", what: "weir, tc, " + what, of: name + "/ipvs", bars: []float64{0.71}}, // IPVS takes 1.4 times as long
				row{name: name + "/ipvs", what: "IPVS, " + what, of: name + "/weir_native", least: true, bars: []float64{3}},
				row{name: "peer/" + name + "/weir_tc", what: "weir, tc to a far end, " + what, of: "peer/" + name + "/ipvs", bars: []float64{0.71}},
				row{name: "peer/" + name + "/ipvs", what: "IPVS, the same servers, " + what})
		}
	}
	return rows
}

// http is what one request takes, one with a connection, one megabyte, and how
// long people wait. The others are compared with weir.
func http() (rows []row) {
	for _, f := range []struct {
		load, name, what, unit string
		proxies, none          float64 // what they are to take at least, as a ratio; none: at the most
	}{
		{"saturated", "request", "request", "us/request", 1.4, 1 / 0.85},
		{"saturated", "connection", "and connection", "us/connection", 1.5, 0},
		{"saturated", "down", "MB to the client", "us/MB", 2, 0},
		{"saturated", "up", "MB to the server", "us/MB", 2, 0},
		{"paced", "p50", "paced, half wait for", "us", 0, 0},
		{"paced", "p99", "1 in 100 waits for", "us", 1, 0},
	} {
		of := func(way string) row {
			return row{name: f.load + "/" + way + "/" + f.name, what: f.what + ", " + way, unit: f.unit}
		}
		direct, ours := of("none"), of("weir")
		direct.what = f.what + ", no balancer"
		ours.of = direct.name
		if f.none != 0 {
			ours.bars = []float64{math.Round(f.none*100) / 100}
		}
		rows = append(rows, direct, ours)
		for _, proxy := range []string{"haproxy", "nginx"} {
			r := of(proxy)
			r.of, r.least = ours.name, true
			if f.proxies != 0 {
				r.bars = []float64{f.proxies}
			}
			rows = append(rows, r)
		}
	}
	return rows
}
