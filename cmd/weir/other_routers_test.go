package main

import (
	"net/netip"
	"slices"
	"testing"

	"weir/internal/cluster"
	"weir/lvs"
	"weir/vrrp"
)

// Which adverts that leave the machine are not weir's: by its instances' states, by how many they
// have sent, and by adverts that alternate.
func TestNotOurs(t *testing.T) {
	id := lvs.InstanceID{Interface: "eth0", VRID: 51}
	group, peer := netip.MustParseAddr("224.0.0.18"), netip.MustParseAddr("192.0.2.2")
	instance := func(state cluster.State, sent uint64) []cluster.Instance {
		return []cluster.Instance{{ID: id, State: state, Sent: sent}}
	}
	twoOf := func(list []cluster.Instance) []cluster.Instance { return append(list, list...) }
	adverts := func(to netip.Addr, contents string) (list []vrrp.Sent) {
		for _, c := range contents {
			list = append(list, vrrp.Sent{VRID: 51, To: to, Content: string(c)})
		}
		return list
	}
	for _, tt := range []struct {
		name          string
		before, after []cluster.Instance
		heard         []vrrp.Sent
		other         bool
	}{
		{"a VRID that weir has not", nil, nil, adverts(group, "a"), true},
		{"weir is backup", instance(cluster.Backup, 7), instance(cluster.Backup, 7), adverts(group, "a"), true},
		{"weir is master alone", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaaaaaaa"), false},
		{"and has counted one less", instance(cluster.Master, 7), instance(cluster.Master, 14), adverts(group, "aaaaaaaa"), false},
		{"and counts late, at a short interval", instance(cluster.Master, 0), instance(cluster.Master, 4), adverts(group, "aaaaa"), false},
		{"and changes its priority", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaabbbbb"), false},
		{"and changes it and changes it back", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaabbaaa"), false},
		{"two instances with peers have the VRID", twoOf(instance(cluster.Master, 7)), twoOf(instance(cluster.Master, 15)), adverts(group, "abababababababab"), false},
		{"and has two peers", instance(cluster.Master, 7), instance(cluster.Master, 11), append(adverts(group, "aaaa"), adverts(peer, "aaaa")...), false},
		{"weir becomes master", instance(cluster.Backup, 7), instance(cluster.Master, 9), adverts(group, "aa"), false},
		{"weir is no master any more", instance(cluster.Master, 7), instance(cluster.Backup, 9), adverts(group, "aa"), false},
		{"both, each with its priority", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "abababababababab"), true},
		{"both, the other one rarely", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaaabaaaa"), true},
		{"both say the same", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaaaaaaaaaaaaaaa"), true},
		{"both say the same, one less", instance(cluster.Master, 7), instance(cluster.Master, 15), adverts(group, "aaaaaaaaaaaaaaa"), true},
		{"a reload adds the instance", nil, instance(cluster.Master, 3), adverts(group, "aaa"), false},
		{"a reload makes it anew", instance(cluster.Master, 7), instance(cluster.Master, 3), adverts(group, "aaa"), false},
	} {
		h := new(heardRouter)
		for _, s := range tt.heard {
			h.add(s)
		}
		got := notOurs(tt.before, tt.after, map[lvs.InstanceID]*heardRouter{id: h})
		if slices.Contains(got, id) != tt.other {
			t.Errorf("%s: %v, want another program's: %t", tt.name, got, tt.other)
		}
	}
}
