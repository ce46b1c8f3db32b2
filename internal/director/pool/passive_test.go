package pool

import (
	"testing"
	"time"

	"weir/lvs"
)

// A real server is probed once its last three connections got no answer, and then rests; one
// answer begins the count anew. The probes leave it in.
func TestPassive(t *testing.T) {
	b := newBed(before{}, server("192.0.2.11", tcp(80, time.Second)), server("192.0.2.12"))
	p := b.pools[0]
	p.conf.Beyond.Passive = true
	begun := time.Now()
	for _, tt := range []struct {
		at                   time.Duration
		answered, unanswered int
		probed               bool
	}{
		{0, 0, 2, false},
		{1 * time.Second, 1, 5, false},
		{2 * time.Second, 0, 2, false},
		{3 * time.Second, 0, 1, true},
		{4 * time.Second, 0, 9, false},  // it rests for 5 seconds
		{8 * time.Second, 0, 1, true},   // and then for 10
		{17 * time.Second, 0, 5, false}, //
		{18 * time.Second, 0, 5, true},
		{30 * time.Second, 1, 0, false}, // an answer: from now on it is 5 seconds again, and then 10
		{31 * time.Second, 0, 3, true},
		{36 * time.Second, 0, 3, false},
		{41 * time.Second, 0, 3, true},
	} {
		var opened []lvs.Opened
		for _, m := range p.members {
			opened = append(opened, lvs.Opened{Service: p.keys[0], Server: m.server.AddrPort(), Answered: tt.answered, Unanswered: tt.unanswered})
		}
		told := b.pools.Opened(opened, begun.Add(tt.at))
		if got := len(told) == 1 && told[0].RealServer == "192.0.2.11:80"; got != tt.probed || len(told) > 1 {
			t.Errorf("after %s: probed %v, want %v", tt.at, told, tt.probed)
		}
		if weights := b.pools[0].Services()[0].RealServers; len(weights) != 2 || weights[0].Weight != 1 {
			t.Errorf("after %s the services are %v", tt.at, weights)
		}
	}
	p.conf.Beyond.Passive = false
	if told := b.pools.Opened([]lvs.Opened{{Service: p.keys[0], Server: p.members[0].server.AddrPort(), Unanswered: 9}}, begun.Add(time.Hour)); told != nil || b.pools.Passive() {
		t.Errorf("without the word: %v", told)
	}
}
