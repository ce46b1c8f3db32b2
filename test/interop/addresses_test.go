package interop

import (
	"flag"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// all has every file and every story told, not only those that show most.
var all = flag.Bool("all", false, "every file of addresses, and every story")

// addressFile is what a master has on its machine: the inside of its vrrp_instance, and what
// stands outside.
type addressFile struct {
	name, inside, outside string
	// short is a file that is compared in short runs, too.
	short bool
	// kept are lines of what keepalived does not take away in fault, and should.
	kept *regexp.Regexp
}

var addressFiles = []addressFile{
	{name: "masks", short: true, inside: `
virtual_ipaddress {
    192.168.25.100
    192.168.25.101/24
    10.9.0.1/16 dev ens192
}`},
	{name: "labels", short: true, inside: `
virtual_ipaddress {
    192.168.25.100 label ens160:vip
    192.168.25.101/24 label ens160:1
    10.9.0.1/16 dev ens192 label ens192:a
}`},
	{name: "broadcast", inside: `
virtual_ipaddress {
    192.168.25.100 dev ens160
    10.9.0.1/16 brd +
    10.10.0.1/16 brd -
    10.11.0.1/16 brd 10.11.0.77
    10.12.0.1/16 broadcast + dev ens192
}`},
	{name: "scope", inside: `
virtual_ipaddress {
    192.168.25.100
    10.9.0.1/16 scope link
    10.10.0.1/16 scope host
    10.11.0.1/16 scope site dev ens192
    10.12.0.1/16 scope 200
}`},
	{name: "peer", kept: regexp.MustCompile(` peer 10\.|^route (local )?10\.`), inside: `
virtual_ipaddress {
    192.168.25.100
    10.9.0.1 peer 10.9.0.2
    10.10.0.1 peer 10.10.0.2 dev ens192
}`},
	{name: "noprefixroute", inside: `
virtual_ipaddress {
    192.168.25.100
    10.9.0.1/16 noprefixroute
    10.10.0.1/16 dev ens192 noprefixroute
}`},
	{name: "IPv6", short: true, inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_ipaddress_excluded {
    2001:db8::100
    2001:db8::101/64 preferred_lft forever
    2001:db8::102/128 preferred_lft forever dev ens192
}`},
	{name: "IPv6 flags", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_ipaddress_excluded {
    2001:db8::100/128 home
    2001:db8::101/64 preferred_lft forever noprefixroute
    2001:db8::102/64 preferred_lft forever mngtmpaddr
    2001:db8::103/128 -nodad
}`},
	{name: "excluded", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_ipaddress_excluded {
    10.9.0.1/16
    10.9.0.2/16 dev ens192 label ens192:x
    192.168.25.111/24
}`},
	{name: "secondaries", inside: `
virtual_ipaddress {
    192.168.25.100
    10.9.0.1/16
    10.9.0.2/16
    10.9.0.3/16
    10.9.0.4/24
}`},
	{name: "routes", short: true, inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_routes {
    10.20.0.0/16 via 192.168.25.254 dev ens160
    10.21.0.0/16 dev ens192
    10.22.0.0/16 dev ens192 scope link
    src 192.168.25.100 to 10.23.0.0/16 via 192.168.25.254 dev ens160 metric 5
    10.24.0.0/16 via 192.168.25.254 dev ens160 table 100
    default via 192.168.25.253 dev ens160 table 102
}`},
	{name: "route types", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_routes {
    blackhole 10.20.0.0/16 no_track
    unreachable 10.21.0.0/16 metric 7 no_track
    prohibit 10.22.0.0/16 no_track
    throw 10.23.0.0/16 table 103 no_track
}`},
	{name: "next hops", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_routes {
    10.20.0.0/16 no_track nexthop via 192.168.25.254 dev ens160 weight 3 nexthop via 192.168.26.254 dev ens192 weight 1
    10.21.0.0/16 via 172.16.0.1 dev ens160 onlink
}`},
	{name: "metrics", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_routes {
    10.20.0.0/16 via 192.168.25.254 dev ens160 mtu 1400 advmss 1300 hoplimit 5 tos 0x10
    10.21.0.0/16 via 192.168.25.254 dev ens160 mtu lock 1400 rtt 2400 rttvar 250ms window 5000 cwnd 30 ssthresh 20 realms 3
    10.22.0.0/16 via 192.168.25.254 dev ens160 rto_min 300 initcwnd 5 initrwnd 6 features ecn quickack 1 congctl reno
}`},
	{name: "IPv6 routes", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_ipaddress_excluded {
    2001:db8::100/64 preferred_lft forever
}
virtual_routes {
    2001:db8:1::/48 via 2001:db8::1 dev ens160
    2001:db8:2::/48 dev ens160 metric 77
    2001:db8:3::/48 via 2001:db8::1 dev ens160 table 101 pref high
}`},
	{name: "rules", short: true, inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_rules {
    from 192.168.25.0/24 table 100 priority 100
    to 10.0.0.0/8 table main priority 101
    from 192.168.25.1 to 10.9.0.0/16 lookup 102 priority 102
    not from 192.168.25.9 table 100 priority 103
    from 2001:db8::/32 table 101 priority 104
}`},
	{name: "rules of all kinds", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_rules {
    fwmark 7/0xff table 100 priority 103
    iif ens160 table 100 priority 104
    oif ens192 table 100 priority 105
    tos 0x10 from all table 300 priority 106
    ipproto 6 dport 1000-2000 table 100 priority 113
    uidrange 1-5 table 100 priority 114
    tunnel-id 9 table 100 priority 119
    from 192.168.25.5 realms 3/4 table 100 priority 120
}`},
	{name: "rule actions", inside: `
virtual_ipaddress {
    192.168.25.100
}
virtual_rules {
    from 192.168.25.2 blackhole priority 107
    from 192.168.25.3 unreachable priority 108
    from 192.168.25.4 prohibit priority 109
    from 192.168.25.5 goto 200 priority 111
    from 192.168.25.8 table 100 suppress_prefixlength 0 priority 115
    from 192.168.25.7 table 100 suppress_ifgroup 3 priority 116
    from 192.168.25.6 nop priority 117
}`},
	{name: "static", inside: `
virtual_ipaddress {
    192.168.25.100
}`, outside: `
static_ipaddress {
    10.30.0.1/16 dev ens192
    10.31.0.1/16 dev ens160 label ens160:s
}
static_routes {
    10.32.0.0/16 via 10.30.0.9 dev ens192
    10.33.0.0/16 dev ens160 scope link
}
static_rules {
    from 10.30.0.0/16 table 100 priority 300
}`},
	{name: "use_vmac", short: true, inside: `
use_vmac
virtual_ipaddress {
    192.168.25.100
    192.168.25.101/24
    192.168.25.102 dev ens160
    10.9.0.1/16 dev ens192
}
virtual_ipaddress_excluded {
    10.10.0.1/16
    2001:db8::100
}`},
	{name: "use_vmac by name", inside: `
use_vmac v51 02:00:00:00:07
vmac_xmit_base
virtual_ipaddress {
    192.168.25.100
    10.9.0.1/16 use_vmac dev ens192
}
virtual_routes {
    10.20.0.0/16 dev ens160
}`},
	{name: "use_vmac_addr", inside: `
use_vmac
use_vmac_addr
virtual_ipaddress {
    192.168.25.100
    10.9.0.1/16 dev ens192
    10.10.0.1/16 dev ens192
}`, outside: `
global_defs {
    vmac_prefix mac
    vmac_addr_prefix other
}`},
	{name: "use_vmac IPv6", inside: `
use_vmac
virtual_ipaddress {
    192.168.25.100
}`, outside: `
vrrp_instance VI_6 {
    state MASTER
    interface ens160
    virtual_router_id 51
    priority 200
    version 3
    use_vmac
    track_interface {
        ens224
    }
    virtual_ipaddress {
        fe80::77
        2001:db8::200/64 preferred_lft forever
    }
}`},
	{name: "all together", inside: `
virtual_ipaddress {
    192.168.25.100/32 dev ens160 label ens160:0
    192.168.25.101/24 brd + dev ens160
}
virtual_ipaddress_excluded {
    10.40.0.1/16 dev ens192
    2001:db8::100/128 preferred_lft forever
}
virtual_routes {
    10.41.0.0/16 via 10.40.0.9 dev ens192
    10.42.0.0/16 via 192.168.25.101 dev ens160 table 100
}
virtual_rules {
    from 10.40.0.1 table 100 priority 400
}`, outside: `
static_routes {
    10.43.0.0/16 dev ens192
}`},
}

// text is the whole file: an instance that gives its addresses up while ens224 is down.
func (f addressFile) text() string {
	return f.outside + `
vrrp_instance VI_1 {
    state MASTER
    interface ens160
    virtual_router_id 51
    priority 200
    advert_int 1
    garp_master_delay 0
    track_interface {
        ens224
    }` + f.inside + "\n}\n"
}

// few bounds how many directors start side by side.
var few = make(chan struct{}, 2)

// TestAddressesLikeKeepalived wants addresses, routes, rules and links to be those that
// the real keepalived leaves, as master, in fault, and as master again.
func TestAddressesLikeKeepalived(t *testing.T) {
	for _, f := range addressFiles {
		if !f.short && !*all {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			few <- struct{}{} // a weir that starts takes a CPU for seconds
			defer func() { <-few }()
			ours, theirs := addressHost(t, "weir"), addressHost(t, "keepalived")
			startProgram(t, ours, "weir", f.text())
			startProgram(t, theirs, "keepalived", f.text())
			for _, up := range []bool{true, false, true} {
				for _, h := range []*host{ours, theirs} {
					third, err := h.LinkByName("ens224")
					must(t, err)
					set := h.LinkSetDown
					if up {
						set = h.LinkSetUp
					}
					must(t, set(third))
				}
				wantSame(t, f, ours, theirs, up)
			}
		})
	}
}

// addressHost is a machine alone with its program, with three devices.
func addressHost(t *testing.T, name string) *host {
	t.Helper()
	s := newSegment(t)
	h := s.host(t, name, "192.168.25.31")
	s.plug(t, h, name+"2", "ens192", "192.168.26.31")
	s.plug(t, h, name+"3", "ens224", "192.168.27.31")
	own, err := netlink.ParseAddr("2001:db8::31/64")
	must(t, err)
	own.Flags = 2 // IFA_F_NODAD
	must(t, h.AddrAdd(h.dev, own))
	return h
}

// wantSame waits until both machines have the VIP, or have it not, and all else is the same.
func wantSame(t *testing.T, f addressFile, ours, theirs *host, master bool) {
	t.Helper()
	var got, want string
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		got, want = machineText(t, ours), machineText(t, theirs)
		if f.kept != nil && !master {
			lines := strings.Split(want, "\n")
			rest := slices.DeleteFunc(slices.Clone(lines), f.kept.MatchString)
			if len(rest) == len(lines) {
				continue // it has kept nothing
			}
			want = strings.Join(rest, "\n")
		}
		if got == want && strings.Contains(got, " 192.168.25.100/32") == master {
			return
		}
	}
	t.Fatalf("master %v: weir's machine\n%s\nkeepalived's\n%s\nonly weir's\n%s\nonly keepalived's\n%s", master, got, want, without(got, want), without(want, got))
}

// without lists the lines of a text that another has not.
func without(text, other string) string {
	have := strings.Split(other, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return slices.Contains(have, line) }), "\n")
}

// noise is what differs from machine to machine, or is the program's mark on an address.
var noise = regexp.MustCompile(`^\d+: |\\ .*| proto 0x77| proto \[?119\]?|link/ether [0-9a-f:]+|@\S+|<.*>.*$| *$`)

// machineText is what a machine has: links, addresses, routes, rules. Addresses that the
// kernel makes of a MAC address, and what follows from them, are left out.
func machineText(t *testing.T, h *host) string {
	t.Helper()
	var lines []string
	for _, l := range macvlans(t, h) {
		lines = append(lines, "macvlan "+l)
	}
	for _, args := range []string{"-o link", "-o addr", "route show table all", "-6 route show table all", "rule", "-6 rule"} {
		out, err := exec.Command("ip", append([]string{"-n", h.name}, strings.Fields(args)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
		for line := range strings.Lines(string(out)) {
			line = noise.ReplaceAllString(strings.TrimRight(line, "\n"), "")
			if line != "" && !strings.Contains(line, "fe80:") && !strings.Contains(line, "multicast ff00::/8") {
				lines = append(lines, fmt.Sprint(strings.Fields(args)[0], " ", line))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// shown is what is compared of a macvlan device.
var shown = regexp.MustCompile(`^\d+: (\S+): .* link/ether (\S+) .* macvlan mode (\S+) .* addrgenmode (\S+)`)

// macvlans are the macvlan devices of a machine, with what is below, their Ethernet addresses
// and modes.
func macvlans(t *testing.T, h *host) (lines []string) {
	t.Helper()
	out, err := exec.Command("ip", "-n", h.name, "-d", "-o", "link", "show", "type", "macvlan").CombinedOutput()
	if err != nil {
		t.Fatalf("list macvlan devices: %v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if m := shown.FindStringSubmatch(strings.ReplaceAll(line, "\\", " ")); m != nil {
			lines = append(lines, strings.Join(m[1:], " "))
		} else {
			t.Fatalf("ip says %q of a macvlan device", line)
		}
	}
	return lines
}
