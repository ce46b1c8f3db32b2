package conf

import (
	"fmt"
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
	// Passive has a real server asked at once whose new connections get no answer.
	Passive bool `json:"passive"`
	// Spares are the tiers of spare real servers, in the order in which they take part.
	Spares []SpareTier `json:"spare_tier"`
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

// SpareTier is a spare_tier: real servers of a virtual_server that take part only while fewer
// than so many servers of the tiers before it are in. The first tier is all those that no
// spare_tier names.
type SpareTier struct {
	Fewer   int              `json:"fewer_than"`
	Servers []netip.AddrPort `json:"real_servers"`
}

// OwnVRRP is what the weir block says of one vrrp_instance that keepalived has no words for.
type OwnVRRP struct {
	// TrackQuorum has the instance follow the quorums of the virtual_servers at its
	// addresses.
	TrackQuorum QuorumWeight `json:"track_quorum"`
}

// QuorumWeight is a weight as it is written; empty does not track quorums.
type QuorumWeight string

// Weight is the number; ok is false where quorums are not tracked. 0 is a fault.
func (w QuorumWeight) Weight() (n int, ok bool) {
	n, err := strconv.Atoi(string(w))
	return n, err == nil
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

// TierOf is the number of a real server's tier: 0 is that of all that no spare_tier names.
func (b *Beyond) TierOf(server netip.AddrPort) int {
	for i, tier := range b.Spares {
		if slices.Contains(tier.Servers, server) {
			return i + 1
		}
	}
	return 0
}

// String is the tier as a file has it.
func (t SpareTier) String() string {
	words := []string{fmt.Sprint(t.Fewer)}
	for _, server := range t.Servers {
		if server.Port() == 0 {
			words = append(words, server.Addr().String())
		} else {
			words = append(words, server.String())
		}
	}
	return strings.Join(words, " ")
}
