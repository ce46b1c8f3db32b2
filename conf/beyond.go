package conf

import (
	"net/netip"
	"slices"
	"strconv"
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
func (k CheckKind) IsOwn() bool { return k == CheckViaVIP }

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
