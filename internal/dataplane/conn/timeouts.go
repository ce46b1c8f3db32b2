package conn

import (
	"fmt"
	"maps"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// longestTimeout is far below the nine years after which stamps wrap around.
const longestTimeout = 365 * 24 * time.Hour

// Timeouts is how long a connection may be silent in each state.
type Timeouts map[abi.BpfConnState]time.Duration

// TimeoutsOf takes what is 0 from IPVS: tcp 900, tcpfin 120 and udp 300 seconds,
// the inner ones as in tcp_timeouts (net/netfilter/ipvs/ip_vs_proto_tcp.c).
func TimeoutsOf(t lvs.Timeouts) (Timeouts, error) {
	all := Timeouts{}
	for _, of := range []struct {
		state     abi.BpfConnState
		name      string
		wanted    time.Duration
		otherwise time.Duration
	}{
		{abi.BpfConnStateSTATE_NONE, "None", t.None, 2 * time.Second},
		{abi.BpfConnStateSTATE_ESTABLISHED, "Established", t.Established, 900 * time.Second},
		{abi.BpfConnStateSTATE_SYN_SENT, "SynSent", t.SynSent, 120 * time.Second},
		{abi.BpfConnStateSTATE_SYN_RECV, "SynRecv", t.SynRecv, 60 * time.Second},
		{abi.BpfConnStateSTATE_FIN_WAIT, "FinWait", t.FinWait, 120 * time.Second},
		{abi.BpfConnStateSTATE_TIME_WAIT, "TimeWait", t.TimeWait, 120 * time.Second},
		{abi.BpfConnStateSTATE_CLOSE, "Close", t.Close, 10 * time.Second},
		{abi.BpfConnStateSTATE_CLOSE_WAIT, "CloseWait", t.CloseWait, 60 * time.Second},
		{abi.BpfConnStateSTATE_LAST_ACK, "LastAck", t.LastAck, 30 * time.Second},
		{abi.BpfConnStateSTATE_LISTEN, "Listen", t.Listen, 120 * time.Second},
		{abi.BpfConnStateSTATE_SYNACK, "SynAck", t.SynAck, 120 * time.Second},
		{abi.BpfConnStateSTATE_UDP, "UDP", t.UDP, 300 * time.Second},
	} {
		switch {
		case of.wanted == 0:
			all[of.state] = of.otherwise
		case of.wanted < TickLength || of.wanted > longestTimeout:
			return nil, fmt.Errorf("time-out %s is %s: expected %s to %s, or 0 for %s", of.name, of.wanted, TickLength, longestTimeout, of.otherwise)
		default:
			all[of.state] = of.wanted
		}
	}
	return all, nil
}

// SetTimeouts sets the time-outs. They take effect immediately, also for connections that
// exist.
func (t *Table) SetTimeouts(all Timeouts) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.setTimeouts(all)
}

// setTimeouts is SetTimeouts for a caller that has the lock.
func (t *Table) setTimeouts(all Timeouts) error {
	if maps.Equal(t.timeouts, all) {
		return nil
	}
	for state, limit := range all {
		if err := t.limits.Put(uint32(state), uint32(limit/TickLength)); err != nil {
			return fmt.Errorf("set the time-out of connection state %d: %w", state, err)
		}
	}
	t.timeouts = all
	t.expiry.all = true // they go by the old ones
	t.flows.Idle = idle(all)
	return t.putFlows()
}

// takeUpTimeouts begins with those that an earlier process left in force, or with
// the kernel's: until a state says otherwise no connection ends before its time.
func (t *Table) takeUpTimeouts() error {
	all, err := TimeoutsOf(lvs.Timeouts{})
	if err != nil {
		return err
	}
	for state := range all {
		var ticks uint32
		if err := t.maps.Timeouts.Lookup(uint32(state), &ticks); err != nil {
			return fmt.Errorf("read the time-out of connection state %d: %w", state, err)
		}
		if ticks > 0 {
			all[state] = time.Duration(ticks) * TickLength
		}
	}
	return t.setTimeouts(all)
}
