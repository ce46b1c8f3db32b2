package conf

import (
	"time"

	"weir/lvs"
)

// Timeouts are how long a connection lives in each state after its last packet.
type Timeouts struct {
	given
	lvs.Timeouts
}

// timeoutsBlock is the table of timeouts. The times are the kernel's
// (net/netfilter/ipvs/ip_vs_proto_tcp.c and ip_vs_proto_udp.c).
func timeoutsBlock() *blockSpec {
	type T = Timeouts
	state := func(name string, at func(*T) *time.Duration, help string, initial time.Duration) *entry {
		return value(name, wholeSeconds(time.Second, maxWhole), at, help, initially(initial))
	}
	return &blockSpec{name: "timeouts", entries: []*entry{
		state("tcp_none", func(t *T) *time.Duration { return &t.None }, "a TCP connection of which nothing is known", 2*time.Second),
		state("tcp_established", func(t *T) *time.Duration { return &t.Established }, "a TCP connection in use", 15*time.Minute),
		state("tcp_syn_sent", func(t *T) *time.Duration { return &t.SynSent }, "a TCP connection that a server began", 2*time.Minute),
		state("tcp_syn_recv", func(t *T) *time.Duration { return &t.SynRecv }, "a TCP connection that a client has begun", time.Minute),
		state("tcp_fin_wait", func(t *T) *time.Duration { return &t.FinWait }, "a TCP connection after the first FIN", 2*time.Minute),
		state("tcp_time_wait", func(t *T) *time.Duration { return &t.TimeWait }, "a TCP connection after both FINs", 2*time.Minute),
		state("tcp_close", func(t *T) *time.Duration { return &t.Close }, "a TCP connection after a reset", 10*time.Second),
		state("tcp_close_wait", func(t *T) *time.Duration { return &t.CloseWait }, "a TCP connection whose client has sent its FIN", time.Minute),
		state("tcp_last_ack", func(t *T) *time.Duration { return &t.LastAck }, "a TCP connection that waits for the last acknowledgement", 30*time.Second),
		state("tcp_listen", func(t *T) *time.Duration { return &t.Listen }, "a TCP connection in LISTEN", 2*time.Minute),
		state("tcp_synack", func(t *T) *time.Duration { return &t.SynAck }, "a TCP connection whose SYN was answered with a cookie", 2*time.Minute),
		state("udp", func(t *T) *time.Duration { return &t.UDP }, "a UDP flow", 5*time.Minute),
	}}
}

// take fills in lvs_timeouts of global_defs, where the weir block says nothing.
func (t *Timeouts) take(g *Global) {
	for _, from := range []struct {
		name, state string
		time        time.Duration
		to          *time.Duration
	}{
		{"lvs_timeouts tcp", "tcp_established", g.LVSTimeouts.Established, &t.Established},
		{"lvs_timeouts tcpfin", "tcp_fin_wait", g.LVSTimeouts.FinWait, &t.FinWait},
		{"lvs_timeouts udp", "udp", g.LVSTimeouts.UDP, &t.UDP},
	} {
		if g.Has(from.name) && from.time != 0 && !t.Has(from.state) {
			*from.to = from.time
			t.note(from.state, g.PlaceOf(from.name))
		}
	}
}
