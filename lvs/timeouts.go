package lvs

import "time"

// Timeouts are how long a connection entry lives in each state after its last packet. The
// states are those of IPVS (net/netfilter/ipvs/ip_vs_proto_tcp.c and ip_vs_proto_udp.c).
// 0 stands for IPVS's own timeout of that state.
type Timeouts struct {
	None        time.Duration
	Established time.Duration
	SynSent     time.Duration
	SynRecv     time.Duration
	FinWait     time.Duration
	TimeWait    time.Duration
	Close       time.Duration
	CloseWait   time.Duration
	LastAck     time.Duration
	Listen      time.Duration
	SynAck      time.Duration
	UDP         time.Duration
}
