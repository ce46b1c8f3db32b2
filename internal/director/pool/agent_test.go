package pool

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/lvs"
)

// agentBed is three servers of weight 1 that have a check and an agent each.
func agentBed(change func(*conf.VirtualServer)) *bed {
	vs := virtual(80, server("192.0.2.11", tcp(80, 1)), server("192.0.2.12", tcp(80, 1)), server("192.0.2.13", tcp(80, 1)))
	vs.Scheduler, vs.Quorum = lvs.WeightedRoundRobin, 1
	vs.Beyond.AgentCheck = conf.AgentCheck{Port: 9000, Inter: time.Second}
	change(&vs)
	return bedOf(before{}, vs)
}

// agentSays has a server's agent say a line.
func (b *bed) agentSays(server int, line string) *cluster.Event {
	m := b.pools[0].members[server]
	said := m.agent().Hear(line)
	v := check.Verdict{Up: true, Weight: check.Weight{Agent: said}}
	if said.Out() {
		v = check.Verdict{Reason: &check.AgentOut{State: said}}
	}
	return m.checkers[1].Judge(v)
}

// What an agent says is the weight of its server alone: a percentage of a small weight has all
// weights of a pool multiplied, where the scheduler shares by weight.
func TestAgentsWeights(t *testing.T) {
	b := agentBed(func(*conf.VirtualServer) {})
	for _, step := range []struct {
		server            int
		line, event, want string
	}{
		{0, "75%", "real_server_agent: 75%", ".11=3 .12=4 .13=4"},
		{0, "75%", "", ".11=3 .12=4 .13=4"},
		{1, "50%", "real_server_agent: 50%", ".11=3 .12=2 .13=4"},
		{1, "drain", "real_server_weight: 1 0 agent: drain 50%", ".11=3 .12=0 .13=4"},
		{0, "100%", "real_server_agent: 100%", ".11=1 .12=0 .13=1"},
		{1, "ready 100%", "real_server_weight: 0 1 ", ".11=1 .12=1 .13=1"},
		{1, "250%", "real_server_weight: 1 3 agent: 250%", ".11=2 .12=5 .13=2"},
		{1, "maint # disks", "real_server_down: its agent says maint 250% (disks)", ".11=1 .13=1"},
		{1, "up", "real_server_agent: maint 250%", ".11=1 .13=1"},
		{1, "ready 100%", "real_server_up: ", ".11=1 .12=1 .13=1"},
		{1, "down # oom", "real_server_down: its agent says down 100% (oom)", ".11=1 .13=1"},
		{1, "maint", "real_server_agent: maint down 100%", ".11=1 .13=1"},
		{1, "nonsense", `real_server_agent: maint down 100% amiss "nonsense" is no word of agent-check`, ".11=1 .13=1"},
		{1, "ready up", "real_server_up: ", ".11=1 .12=1 .13=1"},
		{1, "0%", "real_server_weight: 1 0 agent: 0%", ".11=1 .12=0 .13=1"},
		{2, "maxconn:30", "real_server_agent: maxconn:30", ".11=1 .12=0 .13=1"},
	} {
		got := ""
		if e := b.agentSays(step.server, step.line); e != nil {
			got = string(e.Kind) + ": "
			switch e.Kind {
			case cluster.RealServerAgent:
				got += e.Detail("says")
				if e.Reason != "" {
					got += " amiss " + e.Reason
				}
			case cluster.RealServerWeight:
				got += e.From + " " + e.To + " " + e.Reason
			default:
				got += e.Reason
			}
		}
		weights := strings.ReplaceAll(b.weights(), "192.0.2", "")
		if got != step.event || weights != step.want {
			t.Errorf("%d says %s: event %q, servers %q, want %q, %q", step.server, step.line, got, weights, step.event, step.want)
		}
	}
	if rs := b.pools[0].Services()[0].RealServers[2]; rs.Upper != 30 {
		t.Errorf("maxconn:30: the server is %+v", rs)
	}
	for i, want := range []string{"", "agent: 0%", "agent: maxconn:30"} {
		if got := b.pools[0].members[i].why(); got != want {
			t.Errorf("server %d: %q, want %q", i, got, want)
		}
	}
}

// To a scheduler that does not share by weight a weight is a limit: it is not multiplied.
func TestAgentsWeightsThatAreLimits(t *testing.T) {
	b := agentBed(func(vs *conf.VirtualServer) { vs.Scheduler = lvs.WeightedOverflow })
	b.agentSays(0, "75%")
	if got := b.weights(); got != "192.0.2.11=1 192.0.2.12=1 192.0.2.13=1" {
		t.Errorf("%s, want no weight multiplied", got)
	}
	b.pools[0].members[1].server.Weight = 100
	b.agentSays(1, "75%")
	if got := b.weights(); got != "192.0.2.11=1 192.0.2.12=75 192.0.2.13=1" {
		t.Errorf("%s, want 75 of 100", got)
	}
}

// An agent and the checks each take a server out, and both have to want it in.
func TestAgentBesideChecks(t *testing.T) {
	b := agentBed(func(vs *conf.VirtualServer) { vs.Quorum = 2 })
	check1 := b.pools[0].members[0].checkers[0]
	check1.Judge(check.Verdict{Reason: errors.New("refused")})
	b.agentSays(0, "up 100%")
	if got := b.in(); got != "192.0.2.12 192.0.2.13" {
		t.Errorf("%s: an agent takes no server in whose check fails", got)
	}
	b.agentSays(1, "drain")
	if c := b.pools[0].members[1].checkers[1]; b.pools[0].quorum.up || c.Quorum() == nil {
		t.Error("one drained and one out of three hold a quorum of 2")
	}
	b.agentSays(1, "ready")
	if !b.pools[0].quorum.up {
		t.Error("the quorum is not held again")
	}
}

// What an agent has said goes on over a reload, also where it is asked at other times, and is
// forgotten with the agent.
func TestAgentsWordGoesOn(t *testing.T) {
	b := agentBed(func(*conf.VirtualServer) {})
	b.agentSays(0, "drain 40%")
	b.agentSays(1, "maint # disks")
	vs := b.pools[0].conf
	vs.Beyond.Inter = 5 * time.Second
	b.become(vs)
	if got := b.weights(); got != "192.0.2.11=0 192.0.2.13=1" {
		t.Errorf("asked at other times: %s", got)
	}
	asks := &check.Agent{}
	b.pools[0].members[1].checkers[1].resume(asks)
	if _, err := asks.Check(cancelled(t)); err == nil {
		t.Error("the check is made")
	}
	if got := b.pools[0].members[1].agent().String(); got != "maint (disks)" {
		t.Errorf("its agent says %q, want what it has said before", got)
	}
	vs.Beyond.AgentCheck = conf.AgentCheck{}
	b.become(vs)
	if got := b.weights(); got != "192.0.2.11=1 192.0.2.12=1 192.0.2.13=1" {
		t.Errorf("without agents: %s", got)
	}
}

// A probe does not ask an agent, which says nothing of whether its server serves.
func TestProbeAsksNoAgent(t *testing.T) {
	vs := virtual(80, server("192.0.2.11"), server("192.0.2.12"))
	vs.Beyond.AgentCheck = conf.AgentCheck{Port: 9000, Inter: time.Second}
	b := bedOf(before{}, vs)
	if n := b.pools.Doubt(b.pools[0].members[0].server.Addr); n != 0 {
		t.Errorf("%d servers are probed, want none: nothing checks them", n)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// An agent is asked at its server's address, or all are at the one of agent_addr.
func TestAgentsAddress(t *testing.T) {
	words := conf.AgentCheck{Port: 9000, Inter: 2 * time.Second, Send: "weight of %s?"}
	server := netip.MustParseAddrPort("[2001:db8::1]:80")
	c := agentCheck(words, server)
	if c.Connect.String() != "[2001:db8::1]:9000" || c.Agent.Send != "weight of [2001:db8::1]:80?" || c.DelayLoop != 2*time.Second || c.ConnectTimeout != 2*time.Second {
		t.Errorf("the server is asked by %+v", c)
	}
	words.Addr = netip.MustParseAddr("192.0.2.5")
	if c := agentCheck(words, server); c.Connect.String() != "192.0.2.5:9000" {
		t.Errorf("with agent_addr %s is asked", c.Connect)
	}
}
