package api

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
)

// table is a data plane's rules.
type table struct{ states []lvs.AccessState }

func (t *table) AddRule(rule lvs.AccessRule, deny bool, d time.Duration) error {
	s := lvs.AccessState{AccessRule: rule, Deny: deny, Live: true}
	if d > 0 {
		s.Until = time.Unix(0, 0).UTC().Add(d)
	}
	t.states = append(t.states, s)
	return nil
}

func (t *table) RemoveRule(rule lvs.AccessRule, deny bool) (bool, error) {
	for i, s := range t.states {
		if s.AccessRule == rule && s.Deny == deny && s.Live {
			t.states = append(t.states[:i], t.states[i+1:]...)
			return true, nil
		}
	}
	return false, nil
}

func (t *table) Rules() ([]lvs.AccessState, error) { return t.states, nil }

func TestRules(t *testing.T) {
	runDir, events := t.TempDir(), newStream()
	s, err := Listen(runDir, "/etc/keepalived/keepalived.conf", new(conf.Loader), &picture{}, events)
	if err != nil {
		t.Fatal(err)
	}
	s.ServeRules(&table{states: []lvs.AccessState{{AccessRule: lvs.AccessRule{Network: netip.MustParsePrefix("10.0.0.0/8")}, Deny: true, Packets: 7}}})
	running(t, s)
	c, network := NewClient(runDir), netip.MustParsePrefix("203.0.113.9/24")
	ten := RuleRequest{Action: Deny, Network: network, Protocol: "TCP", Port: 80, Seconds: 600}
	for _, r := range []RuleRequest{ten, {Action: Allow, Network: network}} {
		if err := c.AddRule(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		change RuleRequest
		want   string
	}{
		{RuleRequest{Action: "forbid", Network: network}, "expected deny or allow"},
		{RuleRequest{Action: Deny}, "expected one such as"},
		{RuleRequest{Action: Deny, Network: network, Protocol: "ICMP"}, "expected TCP or UDP"},
		{RuleRequest{Action: Deny, Network: network, Seconds: -1}, "expected 0 to"},
	} {
		if err := c.AddRule(t.Context(), tt.change); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.change, err, tt.want)
		}
	}
	if err := c.RemoveRule(t.Context(), RuleRequest{Action: Deny, Network: network}); err == nil || !strings.Contains(err.Error(), "no such live rule") {
		t.Errorf("removed what is not there: %v", err)
	}
	until := time.Unix(600, 0).UTC()
	want := []Rule{
		{Action: Deny, Network: netip.MustParsePrefix("10.0.0.0/8"), Denied: 7},
		{Action: Deny, Network: network.Masked(), Protocol: "TCP", Port: 80, Live: true, Until: &until},
		{Action: Allow, Network: network.Masked(), Live: true},
	}
	wantRules := func(want []Rule) {
		t.Helper()
		got, err := c.Rules(t.Context())
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || err != nil {
			t.Errorf("%v; rules (-want +got):\n%s", err, diff)
		}
	}
	wantRules(want)
	ten.Seconds = 0
	if err := c.RemoveRule(t.Context(), ten); err != nil {
		t.Fatal(err)
	}
	wantRules(append(want[:1:1], want[2]))
	var kinds []cluster.Kind
	held := events.Subscribe(0)
	for {
		e, _, ok := held.Held()
		if !ok {
			break
		}
		kinds = append(kinds, e.Kind)
	}
	if diff := cmp.Diff([]cluster.Kind{cluster.RuleAdded, cluster.RuleAdded, cluster.RuleRemoved}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
