package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// byMark is the service of a mark with one server, rs1 for mark 1 and so on.
func byMark(mark uint32, ipv6 bool) lvs.VirtualServer {
	rs := real(fmt.Sprintf("192.0.2.%d", 10+mark), 1)
	if ipv6 {
		rs = real(fmt.Sprintf("2001:db8::%d", 10+mark), 1)
	}
	rs.Port = 0
	return lvs.VirtualServer{ServiceKey: lvs.MarkKey(mark, ipv6), Scheduler: lvs.RoundRobin, RealServers: []lvs.RealServer{rs}}
}

func rule(mark uint32, destination string) lvs.MarkRule {
	r := lvs.MarkRule{Mark: mark}
	if destination != "" {
		r.Destination = netip.MustParsePrefix(destination)
	}
	return r
}

func (f frame) towards(to string) frame { f.to = to; return f }

func TestMarks(t *testing.T) {
	fromNet := rule(1, "10.8.0.0/16")
	fromNet.Source = netip.MustParsePrefix("198.51.100.0/24")
	fromElsewhere := fromNet
	fromElsewhere.Source = netip.MustParsePrefix("198.51.101.0/24")
	sourceOnly := rule(1, "")
	sourceOnly.Source = netip.MustParsePrefix("198.51.100.8/31")
	udp, ports := rule(1, "10.8.0.0/16"), rule(1, "10.8.0.0/16")
	udp.Protocol = lvs.UDP
	ports.FirstPort, ports.LastPort = 80, 90
	client4, client6 := syn(1), syn(1)
	client6.from = "[2001:db8:9::1]:1000"

	tests := []struct {
		name  string
		rules []lvs.MarkRule
		in    frame
		want  string
	}{
		{"no rule", nil, client4.towards("10.8.0.1:80"), "local"},
		{"another destination", []lvs.MarkRule{rule(1, "10.8.0.0/16")}, client4.towards("10.9.0.1:80"), "local"},
		{"any port", []lvs.MarkRule{rule(1, "10.8.0.0/16")}, client4.towards("10.8.0.1:8080"), "rs1"},
		{"the first that fits, wide before narrow", []lvs.MarkRule{rule(1, "10.8.0.0/16"), rule(2, "10.8.0.1/32")}, client4.towards("10.8.0.1:80"), "rs1"},
		{"the first that fits, narrow before wide", []lvs.MarkRule{rule(2, "10.8.0.1/32"), rule(1, "10.8.0.0/16")}, client4.towards("10.8.0.1:80"), "rs2"},
		{"the wide one beside the narrow one", []lvs.MarkRule{rule(2, "10.8.0.1/32"), rule(1, "10.8.0.0/16")}, client4.towards("10.8.0.2:80"), "rs1"},
		{"by source", []lvs.MarkRule{fromElsewhere, fromNet}, client4.towards("10.8.0.1:80"), "rs1"},
		{"from another source", []lvs.MarkRule{fromElsewhere}, client4.towards("10.8.0.1:80"), "local"},
		{"source only", []lvs.MarkRule{sourceOnly}, client4.towards("203.0.113.5:80"), "rs1"},
		{"another protocol", []lvs.MarkRule{udp, rule(2, "10.8.0.0/16")}, client4.towards("10.8.0.1:80"), "rs2"},
		{"first port", []lvs.MarkRule{ports}, client4.towards("10.8.0.1:80"), "rs1"},
		{"last port", []lvs.MarkRule{ports}, client4.towards("10.8.0.1:90"), "rs1"},
		{"below the ports", []lvs.MarkRule{ports}, client4.towards("10.8.0.1:79"), "local"},
		{"above the ports", []lvs.MarkRule{ports}, client4.towards("10.8.0.1:91"), "local"},
		{"everything", []lvs.MarkRule{rule(1, "")}, client4.towards("203.0.113.5:80"), "rs1"},
		{"everything of IPv6", []lvs.MarkRule{rule(1, "")}, client6.towards("[2001:db8:7::1]:80"), "rs1"},
		{"all of IPv6 is not IPv4", []lvs.MarkRule{rule(1, "::/0"), rule(2, "")}, client4.towards("10.8.0.1:80"), "rs2"},
		{"all of IPv4 is not IPv6", []lvs.MarkRule{rule(1, "0.0.0.0/0"), rule(2, "")}, client6.towards("[2001:db8:7::1]:80"), "rs2"},
		{"IPv6 by prefix", []lvs.MarkRule{rule(1, "2001:db8:7::/48")}, client6.towards("[2001:db8:7::1]:80"), "rs1"},
		{"before the address", []lvs.MarkRule{rule(1, "192.0.2.100/32")}, client4, "rs1"},
		{"a mark without a service: by address", []lvs.MarkRule{rule(9, "192.0.2.100/32")}, client4, "rs3"},
		{"a mark of 32 bits", []lvs.MarkRule{rule(1<<31+5, "192.0.2.100/32")}, client4, "rs4"},
	}
	large := byMark(4, false)
	large.Mark = 1<<31 + 5
	plan := planOf(byMark(1, false), byMark(2, false), byMark(1, true), byMark(2, true), large,
		virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.13", 1)))
	withPlane(t, plan, func(b *bench) {
		for i, tt := range tests {
			for j, place := range places {
				plan.Marks = tt.rules
				b.set(t, plan)
				in := tt.in
				from := netip.MustParseAddrPort(in.from)
				in.from = netip.AddrPortFrom(from.Addr(), uint16(1000+10*i+j)).String()
				if got := b.pick(t, place, in); got != tt.want {
					t.Errorf("%s, %s: got %s, want %s", place.name, tt.name, got, tt.want)
				}
			}
		}
		plan.Marks = nil
		b.set(t, plan)
		if left := written[abi.BpfMarkPrefix, abi.BpfMarkList](b.maps.MarkLists); len(left) > 0 {
			t.Errorf("without rules the lists %v are left", left)
		}
	})
}

// A service by mark has no address of its own: the packet's says by which lease it
// is served.
func TestMarkedServiceFollowsTheLease(t *testing.T) {
	plan := planOf(byMark(1, false))
	plan.Marks = []lvs.MarkRule{rule(1, "192.0.2.100/32"), rule(1, "10.8.0.0/16")}
	plan.Instances = []lvs.Instance{{ID: vi1, VIPs: []netip.Addr{vip4}}}
	withPlane(t, plan, func(b *bench) {
		if got := b.pick(t, places[0], syn(1)); got != "local" {
			t.Errorf("without a lease: %s, want local", got)
		}
		if got := b.pick(t, places[0], syn(2).towards("10.8.0.1:80")); got != "rs1" {
			t.Errorf("an address of no instance: %s, want rs1", got)
		}
		b.renew(t, time.Minute)
		if got := b.pick(t, places[0], syn(3)); got != "rs1" {
			t.Errorf("with a lease: %s, want rs1", got)
		}
	})
}

func TestMarksThatCannotBe(t *testing.T) {
	mixed, ports := rule(1, "10.8.0.0/16"), rule(1, "")
	mixed.Source = netip.MustParsePrefix("2001:db8::/32")
	ports.FirstPort, ports.LastPort = 90, 80
	tests := []struct {
		name string
		rule lvs.MarkRule
		want string
	}{
		{"mark 0", rule(0, ""), "0 is no mark"},
		{"two families", mixed, "two address families"},
		{"ports the wrong way round", ports, "the first is above the last"},
	}
	good := planOf(byMark(1, false))
	good.Marks = []lvs.MarkRule{rule(1, "10.8.0.0/16")}
	withPlane(t, good, func(b *bench) {
		for i, tt := range tests {
			bad := good
			bad.Marks = []lvs.MarkRule{tt.rule}
			if err := b.Set(bad); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
			}
			if got := b.pick(t, places[0], syn(i+1).towards("10.8.0.1:80")); got != "rs1" {
				t.Errorf("%s: after it the old rules give %s, want rs1", tt.name, got)
			}
		}
	})
}

// A thousand destinations, each with two rules, all looked up; and too many that
// cover one another are refused.
func TestManyMarks(t *testing.T) {
	plan := planOf(byMark(1, false), byMark(2, false))
	for i := range 1000 {
		to := fmt.Sprintf("10.%d.%d.0/24", 1+i/250, i%250)
		r := rule(1, to)
		r.Source = netip.MustParsePrefix("203.0.113.0/24")
		plan.Marks = append(plan.Marks, r, rule(2, to))
	}
	withPlane(t, plan, func(b *bench) {
		for i := range 1000 {
			if got := b.pick(t, places[i%2], syn(i+1).towards(fmt.Sprintf("10.%d.%d.7:80", 1+i/250, i%250))); got != "rs2" {
				t.Fatalf("destination %d: got %s, want rs2", i, got)
			}
		}
		for range 33000 {
			plan.Marks = append(plan.Marks, rule(1, "10.1.0.0/24"))
		}
		if err := b.Set(plan); err == nil || !strings.Contains(err.Error(), "use fewer") {
			t.Errorf("33,000 rules of one destination: got error %v", err)
		}
	})
}
