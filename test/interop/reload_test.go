package interop

import (
	"slices"
	"strings"
	"testing"
)

// reloadConf is the configuration of both programs before a reload.
const reloadConf = `vrrp_instance VI_1 {
    state BACKUP
    interface ens160
    virtual_router_id 51
    priority 110
    advert_int 1
    virtual_ipaddress {
        192.168.25.100
        192.168.25.101
    }
}
`

// outcome is the result of a reload as others see it.
type outcome struct {
	// vips are the addresses that it has in the end, and advert the content of the adverts
	// that it repeats; "" is none.
	vips, advert string
	// released says that it has sent an advert of priority 0, lost that the first address
	// was missing for a moment, and ended that the process has ended.
	released, lost, ended bool
}

// smallTables precedes the configuration of weir, so that a dozen of them start quickly at
// the same time.
const smallTables = "weir {\n    tables {\n        connections 1024\n        templates 1024\n        services 16\n        servers 16\n    }\n}\n"

const both, one = "192.168.25.100 192.168.25.101", "192.168.25.100"

// TestReload gives weir and keepalived, each alone on a segment and master, the same other
// file and SIGHUP. Where their outcomes differ, docs/differences.md says why.
func TestReload(t *testing.T) {
	t.Parallel()
	unchanged := outcome{vips: both, advert: "vrid 51 priority 110 " + both}
	for _, tt := range []struct {
		name, from, to   string
		weir, keepalived outcome
	}{
		{"the same", "", "", unchanged, unchanged},
		// With a file that is wrong, weir changes nothing.
		{"an unknown keyword", "advert_int 1", "advert_int 1\n    prioritty 120", unchanged, unchanged},
		{"a priority out of range", "priority 110", "priority 300",
			unchanged, outcome{vips: both, advert: "vrid 51 priority 100 " + both}},
		{"an address that is none", "192.168.25.100", "192.168.25.1000",
			unchanged, outcome{vips: "192.168.25.101", advert: "vrid 51 priority 110 192.168.25.101", lost: true}},
		{"a brace that is missing", "192.168.25.101\n    }\n}", "192.168.25.101\n", unchanged, unchanged},
		{"an interface that is not there", "interface ens160", "interface nosuch0",
			unchanged, outcome{vips: both, ended: true}},
		// With a file that is right, both do the same.
		{"a higher priority", "priority 110", "priority 150",
			outcome{vips: both, advert: "vrid 51 priority 150 " + both}, outcome{vips: both, advert: "vrid 51 priority 150 " + both}},
		{"a lower priority", "priority 110", "priority 50",
			outcome{vips: both, advert: "vrid 51 priority 50 " + both}, outcome{vips: both, advert: "vrid 51 priority 50 " + both}},
		{"a VIP is removed", "        192.168.25.101\n", "",
			outcome{vips: one, advert: "vrid 51 priority 110 " + one}, outcome{vips: one, advert: "vrid 51 priority 110 " + one}},
		{"another vrid", "virtual_router_id 51", "virtual_router_id 52",
			outcome{vips: both, advert: "vrid 52 priority 110 " + both, released: true, lost: true},
			outcome{vips: both, advert: "vrid 52 priority 110 " + both, released: true, lost: true}},
		{"another interface", "interface ens160", "interface ens161",
			outcome{vips: both, advert: unchanged.advert, released: true, lost: true},
			outcome{vips: both, advert: unchanged.advert, released: true, lost: true}},
		{"no instance", reloadConf, "# nothing\n",
			outcome{released: true, lost: true}, outcome{released: true, lost: true}},
	} {
		t.Run(tt.name+"/weir", func(t *testing.T) { reloads(t, "weir", "reload", tt.from, tt.to, tt.weir) })
		t.Run(tt.name+"/keepalived", func(t *testing.T) { reloads(t, "keepalived", "Reloading", tt.from, tt.to, tt.keepalived) })
	}
}

func reloads(t *testing.T, name, says, from, to string, want outcome) {
	t.Parallel()
	first, second := reloadConf, strings.Replace(reloadConf, from, to, 1)
	if name == "weir" {
		first, second = smallTables+first, smallTables+second
	}
	s := newSegment(t)
	h := s.host(t, name, "192.168.25.31")
	s.plug(t, h, "second", "ens161", "192.168.25.33")
	heard := listen(t, s.host(t, "ear", "192.168.25.9"))
	p := startProgram(t, h, name, first)
	eventually(t, name+" is master", starting, func() bool { return p.vips(t) == both && heard.mark() > 0 })

	away, mark := lost(t, h, vip), heard.mark()
	p.reload(t, second)
	eventually(t, name+" has taken the signal", starting, func() bool { return strings.Contains(p.log(t), says) })
	eventually(t, "the outcome", starting, func() bool {
		if want.ended != p.ended() || p.vips(t) != want.vips || want.released != released(heard.since(mark)) || want.lost && !away() {
			return false
		}
		return want.advert == "" || heard.last(mark, 3) == want.advert
	})
	if away() != want.lost {
		t.Errorf("%s was away: %v, want %v", vip, away(), want.lost)
	}
	if t.Failed() {
		t.Logf("adverts: %v", heard.since(mark))
	}
}

// released says whether any of the advertisements has priority 0.
func released(list []advert) bool {
	return slices.ContainsFunc(list, func(a advert) bool { return a.priority == 0 })
}
