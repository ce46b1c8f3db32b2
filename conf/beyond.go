package conf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/lvs"
)

// Beyond is what the weir block says of one virtual_server that keepalived has no words for.
type Beyond struct {
	// SlowStart is how long the weight of a real server rises after it has come in; 0 gives
	// it its whole weight at once.
	SlowStart time.Duration `json:"slow_start"`
	// CheckViaVIP has each real server checked through the virtual server's address.
	CheckViaVIP bool `json:"check_via_vip"`
	AgentCheck
}

// AgentCheck is agent_check: each real server has an agent that says what share of the
// connections the server takes.
type AgentCheck struct {
	// Port is where the agents listen; 0 is no agent.
	Port uint16 `json:"agent_check"`
	// Inter is how often an agent is asked, and how long it has to answer.
	Inter time.Duration `json:"agent_inter"`
	// Addr is the address of one agent for all servers; the zero Addr is the server's own.
	Addr netip.Addr `json:"agent_addr"`
	// Send is the line that an agent is sent first, where %s is the server's address and
	// port; empty is none.
	Send string `json:"agent_send"`
}

// AgentQuestion is what a server's agent is asked.
type AgentQuestion struct{ Send string }

// Check is the check of a real server by its agent.
func (a AgentCheck) Check(addr netip.Addr, port uint16) Check {
	at := addr
	if a.Addr.IsValid() {
		at = a.Addr
	}
	return Check{
		Kind: CheckAgent, Connect: netip.AddrPortFrom(at, a.Port),
		Timers: Timers{DelayLoop: a.Inter, Warmup: min(a.Inter, time.Second), ConnectTimeout: a.Inter},
		Agent:  &AgentQuestion{strings.ReplaceAll(a.Send, "%s", netip.AddrPortFrom(addr, port).String())},
	}
}

// ViaVIP is what a check through a virtual server's address has of its own.
type ViaVIP struct {
	// Server is the real server as it is in the service, and Method how packets reach it.
	Server netip.AddrPort
	Method lvs.ForwardMethod
	// Key is that of the data plane for the check, and Mark that of its packets.
	Key  lvs.ServiceKey
	Mark uint32
}

// IsOwn tells whether a kind of check is one of the weir block's.
func (k CheckKind) IsOwn() bool { return k == CheckViaVIP || k == CheckAgent }

// SharesByWeight tells whether a scheduler gives servers shares that are as their weights
// are to each other. To the others a weight is a limit or an order, or nothing.
func SharesByWeight(s lvs.Scheduler) bool {
	return slices.Contains([]lvs.Scheduler{
		lvs.WeightedRoundRobin, lvs.WeightedLeastConnection, lvs.ShortestExpectedDelay, lvs.NeverQueue,
		lvs.SourceHash, lvs.MaglevHash, lvs.PowerOfTwoChoices,
	}, s)
}

// Checkable tells whether a service can be checked through its address.
func Checkable(key lvs.ServiceKey) bool {
	return key.Protocol == lvs.TCP && key.Port != 0 && key.Mark == 0
}

// String is the key, which names the server by a number.
func (v *ViaVIP) String() string {
	if v == nil {
		return "none"
	}
	return v.Key.String()
}

// String is the line, which names the question by what it says.
func (a *AgentQuestion) String() string {
	if a == nil {
		return "none"
	}
	return strconv.Quote(a.Send)
}
