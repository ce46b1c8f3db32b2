package stats

import (
	"fmt"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// reasonNames are the reasons as people read them: drop_ went nowhere, pass_
// went to the local stack, note_ was forwarded.
var reasonNames = map[abi.BpfReason]string{
	abi.BpfReasonDROP_NO_SERVER:      "drop_no_server",
	abi.BpfReasonDROP_NO_NEXT_HOP:    "drop_no_next_hop",
	abi.BpfReasonDROP_SERVER_REMOVED: "drop_server_removed",
	abi.BpfReasonDROP_TTL:            "drop_ttl",
	abi.BpfReasonDROP_EXPIRING:       "drop_expiring",
	abi.BpfReasonDROP_COLLISION:      "drop_collision",
	abi.BpfReasonPASS_PASSIVE:        "pass_passive",
	abi.BpfReasonPASS_FROM_DIRECTOR:  "pass_from_director",
	abi.BpfReasonPASS_NO_CONNECTION:  "pass_no_connection",
	abi.BpfReasonPASS_FRAGMENT:       "pass_fragment",
	abi.BpfReasonPASS_NO_SERVICE:     "pass_no_service",
	abi.BpfReasonDROP_TABLE_FULL:     "drop_table_full",
	abi.BpfReasonDROP_TOO_BIG:        "drop_too_big",
	abi.BpfReasonNOTE_TABLE_FULL:     "note_table_full",
	abi.BpfReasonNOTE_BY_HASH:        "note_by_hash",
	abi.BpfReasonNOTE_RECYCLED:       "note_recycled",
	abi.BpfReasonNOTE_ICMP_SENT:      "note_icmp_sent",
	abi.BpfReasonNOTE_ICMP_FORWARDED: "note_icmp_forwarded",
	abi.BpfReasonNOTE_FRAGMENT_HELD:  "note_fragment_held",
	abi.BpfReasonDROP_FRAGMENT:       "drop_fragment",
	abi.BpfReasonDROP_DENIED:         "drop_denied",
	abi.BpfReasonDROP_NOT_ACCEPTED:   "drop_not_accepted",
	abi.BpfReasonPASS_TRACKED:        "pass_tracked",
}

// Reasons reads how many packets there were for each reason, on all CPUs together.
func Reasons(table *ebpf.Map) (map[string]uint64, error) {
	out := map[string]uint64{}
	for reason, name := range reasonNames {
		var each []uint64
		if err := table.Lookup(uint32(reason), &each); err != nil {
			return out, fmt.Errorf("counter %s: %w", name, err)
		}
		for _, n := range each {
			out[name] += n
		}
	}
	return out, nil
}
