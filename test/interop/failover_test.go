package interop

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"weir/internal/netlnk/nstest"
	"weir/vrrp"
)

var failovers = flag.Int("failovers", 0, "how many machine deaths TestFailover measures of each pair of directors; 0 is that it does nothing")

// twins are two directors of one program on a segment, with a client that asks the VIP for an echo
// every two milliseconds.
type twins struct {
	name     string
	interval string // advert_int, in seconds
	version  int

	segment *segment
	client  *echo
	advert  chan struct{} // is told of the first director's adverts
	first   *host         // the one of higher priority
	port    netlink.Link
	gaps    []time.Duration
}

// TestFailover measures for how long a client gets no answer when the machine of the master dies
// (its link goes down), pair by pair in every round, and prints a table. It gives no verdict.
func TestFailover(t *testing.T) {
	if *failovers == 0 {
		return
	}
	pairs := []*twins{
		{name: "weir", interval: "1", version: 2}, {name: "keepalived", interval: "1", version: 2},
		{name: "weir", interval: "0.05", version: 3}, {name: "keepalived", interval: "0.05", version: 3},
		{name: "weir", interval: "0.01", version: 3},
	}
	for _, p := range pairs {
		p.start(t)
	}
	for n := range *failovers {
		for _, p := range pairs {
			p.die(t, (float64(n)+0.5)/float64(*failovers))
		}
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "both directors\tadvert_int\tdeaths\tby the protocol\tmedian gap\tworst gap")
	for _, p := range pairs {
		slices.Sort(p.gaps)
		fmt.Fprintf(w, "%s\t%s s\t%d\t%v\t%v\t%v\n", p.name, p.interval, len(p.gaps), p.expected().Round(time.Millisecond),
			p.gaps[len(p.gaps)/2].Round(100*time.Microsecond), p.gaps[len(p.gaps)-1].Round(100*time.Microsecond))
	}
	w.Flush()
	t.Logf("what a client waits for when the master's machine dies:\n%s", text.String())
}

// advertInterval is advert_int.
func (p *twins) advertInterval() time.Duration {
	interval, err := time.ParseDuration(p.interval + "s")
	if err != nil {
		panic(err)
	}
	return interval
}

// expected is the longest time that the protocol allows: the last advert has just been sent.
func (p *twins) expected() time.Duration {
	interval := p.advertInterval()
	skew := time.Second
	if p.version == 3 {
		skew = interval
	}
	return 3*interval + skew*(256-low)/256
}

func (p *twins) start(t *testing.T) {
	t.Helper()
	p.segment = newSegment(t)
	p.first = p.segment.host(t, "d1", "192.168.25.31")
	p.port = p.segment.ports[0]
	second := p.segment.host(t, "d2", "192.168.25.32")
	client := p.segment.host(t, "client", "192.168.25.10")
	p.client, p.advert = startEcho(t, client), make(chan struct{})
	capture(t, client, func(frame []byte) {
		const protocol, source = 14 + 9, 14 + 12
		if len(frame) > source+4 && frame[protocol] == vrrp.Protocol && bytes.Equal(frame[source:source+4], p.first.addr.AsSlice()) {
			select {
			case p.advert <- struct{}{}:
			default: // nobody waits for it
			}
		}
	})
	for h, priority := range map[*host]int{p.first: high, second: low} {
		startProgram(t, h, p.name, fmt.Sprintf(`vrrp_instance VI_1 {
    state BACKUP
    interface ens160
    virtual_router_id 51
    priority %d
    version %d
    advert_int %s
    virtual_ipaddress {
        %s
    }
}
`, priority, p.version, p.interval, vip))
	}
	p.settle(t)
}

// settle waits until the first director is master, alone and for a second.
func (p *twins) settle(t *testing.T) {
	t.Helper()
	var since time.Time
	nstest.WaitFor(t, fmt.Sprintf("%s with advert_int %s: the first one is master", p.name, p.interval), func() bool {
		if !p.first.owns(t, vip) {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		return !since.IsZero() && time.Since(since) > time.Second && p.client.answered(since) > 100
	})
}

// die is one death, and the return of the machine. The machine dies when so much of an interval
// has passed since its last advert: the same moments for each program, spread over the interval.
func (p *twins) die(t *testing.T, phase float64) {
	t.Helper()
	select {
	case <-p.advert:
	case <-time.After(time.Minute):
		t.Fatal("waited a minute in vain for an advert of the master")
	}
	time.Sleep(time.Duration(phase * float64(p.advertInterval())))
	at := time.Now()
	must(t, p.segment.sw.LinkSetDown(p.port))
	nstest.WaitFor(t, "an answer of the other director", func() bool { return p.client.gap(at) > 0 })
	p.gaps = append(p.gaps, p.client.gap(at))
	must(t, p.segment.sw.LinkSetUp(p.port))
	p.settle(t)
}

// echo is a client that asks the VIP for an echo, again and again.
type echo struct {
	mu      sync.Mutex
	answers []time.Time
}

func startEcho(t *testing.T, h *host) *echo {
	t.Helper()
	var conn *icmp.PacketConn
	must(t, within(h.ns, func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", h.addr.String())
		return err
	}))
	e, stop := &echo{}, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for n, again := uint32(0), time.NewTicker(2*time.Millisecond); ; n++ {
			select {
			case <-again.C:
			case <-stop:
				again.Stop()
				return
			}
			ask := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 51, Seq: int(uint16(n)), Data: binary.BigEndian.AppendUint32(nil, n)}}
			if b, err := ask.Marshal(nil); err == nil {
				_, _ = conn.WriteTo(b, &net.IPAddr{IP: vip.AsSlice()})
			}
		}
	})
	running.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			source, _ := netip.AddrFromSlice(from.(*net.IPAddr).IP.To4())
			if n > 0 && b[0] == byte(ipv4.ICMPTypeEchoReply) && source == vip {
				e.mu.Lock()
				e.answers = append(e.answers, time.Now())
				e.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { close(stop); conn.Close(); running.Wait() })
	return e
}

// answered is how often since then.
func (e *echo) answered(since time.Time) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.answers) - 1; i >= 0 && e.answers[i].After(since); i-- {
		n++
	}
	return n
}

// gap is the longest time without an answer that ended after then, at least ten answers ago; 0 as
// long as there is none. What was under way then may still be answered.
func (e *echo) gap(about time.Time) (longest time.Duration) {
	const least, last = 20 * time.Millisecond, 10
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.answers) - last; i > 0 && e.answers[i].After(about); i-- {
		if d := e.answers[i].Sub(e.answers[i-1]); d > least {
			longest = max(longest, d)
		}
	}
	return longest
}
