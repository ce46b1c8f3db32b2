package pool

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"weir/conf"
	"weir/internal/check"
)

// agentChecks are the checks of agent_check, by real server.
func agentChecks(vs conf.VirtualServer) [][]conf.Check {
	all := make([][]conf.Check, len(vs.RealServers))
	if vs.Beyond.AgentCheck.Port == 0 {
		return all
	}
	for i, rs := range vs.RealServers {
		all[i] = []conf.Check{agentCheck(vs.Beyond.AgentCheck, netip.AddrPortFrom(rs.Addr, rs.Port))}
	}
	return all
}

// agentCheck is the check of a real server by its agent.
func agentCheck(words conf.AgentCheck, server netip.AddrPort) conf.Check {
	at := server.Addr()
	if words.Addr.IsValid() {
		at = words.Addr
	}
	return conf.Check{
		Kind: conf.CheckAgent, Connect: netip.AddrPortFrom(at, words.Port),
		Timers: conf.Timers{DelayLoop: words.Inter, Warmup: min(words.Inter, time.Second), ConnectTimeout: words.Inter},
		Agent:  &conf.AgentQuestion{Send: strings.ReplaceAll(words.Send, "%s", server.String())},
	}
}

// agent is what the member's agent has said; the zero AgentState where it has none.
func (m *member) agent() check.AgentState {
	for _, c := range m.checkers {
		if c.spec.Kind == conf.CheckAgent {
			return check.AgentOf(c.weight.Value(), c.down)
		}
	}
	return check.AgentState{}
}

// resume has the checker of an agent go on from what its agent has said to an earlier one.
func (c *Checker) resume(asks check.Checker) {
	if agent, ok := asks.(*check.Agent); ok {
		agent.Resume(check.AgentOf(c.weight.Value(), c.down))
	}
}

// why is what the member's agent makes of it; empty where it is as it was configured.
func (m *member) why() string {
	said := m.agent()
	text := ""
	if !said.Plain() {
		text = "agent: " + said.String()
	}
	if said.Amiss != "" {
		if text != "" {
			text += "; "
		}
		text += "no word of its agent: " + said.Amiss
	}
	return text
}

// times is the member's weight where all weights of the pool are multiplied: what the
// configuration says, and what all its checks make of it.
func (m *member) times(scale int) int {
	weight := m.server.Weight * scale
	for _, c := range m.checkers {
		if c.weight == nil {
			continue
		}
		weight += c.weight.ChangeOf(m.server.Weight, scale)
		if c.weight.Agent.Drains() {
			return 0
		}
	}
	return min(max(weight, 0), math.MaxInt32)
}

// wholes is by how much the weights of a pool have to be multiplied for percentages of them
// to be whole numbers: a percentage of the weight 1 is none.
func (p *Pool) wholes() int {
	parts := 100
	for _, m := range p.members {
		if said := m.agent(); said.Weighs && m.in() && !said.Drains() {
			parts = gcd(parts, m.server.Weight*said.Percent)
		}
	}
	return 100 / parts
}

// gcd is the greatest common divisor; of a number and 0 it is the number.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
