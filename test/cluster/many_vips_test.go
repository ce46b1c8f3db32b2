package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"weir/internal/api"
	model "weir/internal/cluster"
	"weir/internal/lab"
)

// manyVIPs is how many VIPs of each family a master announces.
const manyVIPs = 1000

// vipsOfFamily lists the many VIPs of IPv4, or of IPv6.
func vipsOfFamily(six bool) (list []netip.Addr) {
	for i := range manyVIPs {
		a := fmt.Sprintf("10.25.%d.%d", i/250, i%250+1)
		if six {
			a = fmt.Sprintf("2001:db8:25::1:%x", i)
		}
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

// manyConfig is an instance that has all of them, and announces them again after two
// seconds.
func manyConfig(state string, priority int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vrrp_instance VI_1 {\n    state %s\n    interface ens160\n    virtual_router_id 51\n    priority %d\n    advert_int 1\n"+
		"    garp_master_delay 2\n    garp_master_repeat 5\n    virtual_ipaddress {\n        192.168.25.100\n    }\n    virtual_ipaddress_excluded {\n", state, priority)
	for _, six := range []bool{false, true} {
		for _, a := range vipsOfFamily(six) {
			fmt.Fprintf(&b, "        %s\n", a)
		}
	}
	return b.String() + "    }\n}\n"
}

// startMany builds two directors with many VIPs, and a client that listens; no director
// runs yet.
func startMany(tb testing.TB) (*cluster, *listener) {
	built, err := lab.NewCluster(lab.ClusterOptions{
		Options: lab.Options{Executable: executable}, IPv6: true,
		Client: netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: manyConfig("MASTER", 100)},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Config: manyConfig("BACKUP", 90)},
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	t, _ := tb.(*testing.T) // a benchmark does without
	c := &cluster{Cluster: built, t: t, late: watchLateness(tb), node01: built.Node("node01"), node02: built.Node("node02")}
	tb.Cleanup(func() { c.Close() })
	l, err := listen(built.Client())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.close)
	return c, l
}

// listener counts what a host of the link hears: advertisements, gratuitous ARPs and
// unsolicited neighbour advertisements. It also measures for how long at most the machine
// had no time for the test, and perhaps none for the directors either.
type listener struct {
	fd   int
	done sync.WaitGroup
	stop chan struct{}

	mu      sync.Mutex
	adverts map[netip.Addr][]time.Time // by sender, by the kernel's clock
	heard   map[netip.Addr][]time.Time // the announcements of each VIP
	syns    map[netip.Addr][]time.Time // the first segments of TCP to port 80 of each address
	late    time.Duration
}

// count is how many advertisements of a director were heard.
func (l *listener) count(n *lab.Node) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.adverts[n.Spec.Addr.Addr()])
}

func listen(ns *lab.Namespace) (*listener, error) {
	l := &listener{stop: make(chan struct{}), adverts: map[netip.Addr][]time.Time{}, heard: map[netip.Addr][]time.Time{}, syns: map[netip.Addr][]time.Time{}}
	err := ns.Do(func() (err error) {
		if l.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		_ = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		_ = unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
		return unix.Bind(l.fd, &unix.SockaddrLinklayer{Protocol: 0x0300}) // ETH_P_ALL, in network byte order
	})
	if err != nil {
		return nil, err
	}
	l.done.Go(l.read)
	l.done.Go(l.watch)
	return l, nil
}

func (l *listener) close() {
	close(l.stop)
	l.done.Wait()
	unix.Close(l.fd)
}

func (l *listener) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// watch measures how late a timer is.
func (l *listener) watch() {
	const every = 5 * time.Millisecond
	for last := time.Now(); !l.stopped(); {
		time.Sleep(every)
		now := time.Now()
		l.mu.Lock()
		l.late = max(l.late, now.Sub(last)-every)
		l.mu.Unlock()
		last = now
	}
}

func (l *listener) read() {
	frame, control := make([]byte, 2048), make([]byte, 256)
	for !l.stopped() {
		n, nc, _, from, err := unix.Recvmsg(l.fd, frame, control, 0)
		if err != nil {
			continue // nothing was heard for a while
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		l.take(frame[:n], stamp(control[:nc]))
	}
}

// lost is how many frames came faster than they were read.
func (l *listener) lost() (uint32, error) {
	s, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, err
	}
	return s.Drops, nil
}

// stamp is when the kernel received a frame.
func stamp(control []byte) time.Time {
	if all, err := unix.ParseSocketControlMessage(control); err == nil && len(all) > 0 && len(all[0].Data) >= 16 {
		return time.Unix((*unix.Timespec)(unsafe.Pointer(&all[0].Data[0])).Unix())
	}
	return time.Now()
}

// take reads an Ethernet frame.
func (l *listener) take(b []byte, at time.Time) {
	if len(b) < 14 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch payload := b[14:]; binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_ARP:
		if len(payload) >= 28 && bytes.Equal(payload[14:18], payload[24:28]) {
			a := netip.AddrFrom4([4]byte(payload[14:18]))
			l.heard[a] = append(l.heard[a], at)
		}
	case unix.ETH_P_IP:
		if len(payload) >= 28 && payload[9] == 112 && payload[22] > 0 { // VRRP, not of priority 0
			a := netip.AddrFrom4([4]byte(payload[12:16]))
			l.adverts[a] = append(l.adverts[a], at)
		}
		if len(payload) >= 40 && payload[0] == 0x45 && payload[9] == unix.IPPROTO_TCP && binary.BigEndian.Uint16(payload[22:]) == 80 && payload[33] == 2 {
			a := netip.AddrFrom4([4]byte(payload[16:20]))
			l.syns[a] = append(l.syns[a], at)
		}
	case unix.ETH_P_IPV6:
		if len(payload) >= 64 && payload[6] == unix.IPPROTO_ICMPV6 && payload[40] == 136 && payload[24] == 0xff {
			a := netip.AddrFrom16([16]byte(payload[48:64]))
			l.heard[a] = append(l.heard[a], at)
		}
	}
}

// gap is the longest time between two advertisements of a director, after the first one
// from a moment on until now.
func (l *listener) gap(n *lab.Node, from time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last time.Time
	for _, at := range append(l.adverts[n.Spec.Addr.Addr()], time.Now()) {
		if at.Before(from) {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, at.Sub(last))
		}
		last = at
	}
	return longest
}

// first is a director's first advertisement from a moment on.
func (l *listener) first(n *lab.Node, from time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.adverts[n.Spec.Addr.Addr()] {
		if !at.Before(from) {
			return at
		}
	}
	return time.Time{}
}

// least is how often the VIP was heard from a moment on that was heard least, and when the
// last one was heard for the first time, and the last time of all.
func (l *listener) least(from time.Time) (times int, allHeard, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	times = 1 << 30
	for _, six := range []bool{false, true} {
		for _, a := range vipsOfFamily(six) {
			n := 0
			for _, at := range l.heard[a] {
				if at.Before(from) {
					continue
				}
				if n++; n == 1 && at.After(allHeard) {
					allHeard = at
				}
				if at.After(end) {
					end = at
				}
			}
			times = min(times, n)
		}
	}
	return times, allHeard, end
}

// total is how many announcements of all VIPs were heard.
func (l *listener) total() (arps, nas uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a, all := range l.heard {
		if a.Is4() {
			arps += uint64(len(all))
		} else {
			nas += uint64(len(all))
		}
	}
	return arps, nas
}

// waitHeard waits until every VIP was heard so often from a moment on.
func (l *listener) waitHeard(ctx context.Context, times int, from time.Time) error {
	for {
		n, _, _ := l.least(from)
		if n >= times {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("some VIP was heard %d times, want %d: %w", n, times, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wantSteady wants no gap between a master's advertisements that is longer than 1.2 of
// their interval, beside what the machine was late, and that the standby stays one.
func (c *cluster) wantSteady(what string, l *listener, from time.Time) {
	c.t.Helper()
	l.mu.Lock()
	late := l.late
	l.mu.Unlock()
	c.t.Logf("%s: the machine was late by up to %s", what, late)
	c.wantAtMost(what+": the longest gap between advertisements", l.gap(c.node01, from), 1200*time.Millisecond+late)
	events, err := c.node02.Happened(c.within(5*time.Second), from)
	c.must(err)
	for _, e := range events {
		if lab.IsState(model.Master)(e) {
			c.t.Errorf("%s: the standby became master at %s", what, e.Time)
		}
	}
}

// With 2,000 VIPs a director becomes master, and all of them are removed and repaired,
// without an advertisement being late; the hosts of the link hear of each VIP as often as
// the configuration says, and the director counts what they hear.
func TestManyVIPs(t *testing.T) {
	c, l := startMany(t)
	begun := time.Now()
	c.must(c.Start(c.within(2 * time.Minute)))
	became := c.waitState(c.node01, begun, model.Master, 15*time.Second)
	c.must(l.waitHeard(c.within(30*time.Second), 10, begun)) // five times at once, and five more after two seconds
	c.wantSteady("it becomes master", l, begun)
	_, all, _ := l.least(begun)
	t.Logf("all are heard %s after it became master", all.Sub(became).Round(time.Millisecond))

	mark := time.Now()
	c.must(ipBatch(c.node01, "del"))
	c.must(l.waitHeard(c.within(30*time.Second), 5, mark))
	time.Sleep(1500 * time.Millisecond) // for the advertisement that follows
	c.wantSteady("its VIPs are removed", l, mark.Add(-1500*time.Millisecond))

	s, err := api.NewClient(c.node01.RunDir()).Snapshot(c.within(5 * time.Second))
	c.must(err)
	arps, nas := l.total()
	if in := s.Instances[0]; in.GratuitousARPs != arps || in.UnsolicitedNAs != nas {
		t.Errorf("heard %d gratuitous ARPs and %d neighbour advertisements, the director counts %d and %d", arps, nas, in.GratuitousARPs, in.UnsolicitedNAs)
	}
	mark = time.Now()
	c.must(c.node01.StopWeir(c.within(30 * time.Second)))
	addrs, err := c.node01.Namespace().Addrs("ens160")
	c.must(err)
	if len(addrs) > 2 { // its own, and that of the link
		t.Errorf("it has stopped and keeps %d addresses", len(addrs))
	}
	c.waitState(c.node02, mark, model.Master, 10*time.Second)
	c.must(l.waitHeard(c.within(30*time.Second), 10, mark))
	if lost, err := l.lost(); lost > 0 || err != nil {
		t.Errorf("the listener lost %d frames, %v", lost, err)
	}
}

// ipBatch adds or deletes all VIPs of a node by one process of ip.
func ipBatch(n *lab.Node, verb string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "addr %s 192.168.25.100/32 dev ens160\n", verb)
	for i, a := range append(vipsOfFamily(false), vipsOfFamily(true)...) {
		fmt.Fprintf(&b, "addr %s %s/%d dev ens160\n", verb, a, []int{32, 128}[i/manyVIPs])
	}
	cmd := exec.Command("ip", "-n", n.Namespace().Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s", err, out)
	}
	return nil
}

// BenchmarkManyVIPs has a director with 2,000 VIPs become master. It reports the longest
// gap between its advertisements, and how long after the first of them the hosts of the
// link have heard of all VIPs once, and of each of the five rounds; and how long after all
// VIPs were removed at once they have heard of all of them again.
func BenchmarkManyVIPs(b *testing.B) {
	c, l := startMany(b)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(c.Start(ctx))
	_, err := c.node01.WaitFrom(ctx, begun, "master", lab.IsState(model.Master))
	must(err)
	must(l.waitHeard(ctx, 5, begun))
	became := l.first(c.node01, begun)
	_, all, rounds := l.least(became)
	must(l.waitHeard(ctx, 10, begun))
	removed := time.Now()
	must(ipBatch(c.node01, "del"))
	must(l.waitHeard(ctx, 1, removed))
	_, again, _ := l.least(removed)
	time.Sleep(1500 * time.Millisecond) // for the advertisement that follows
	for _, figure := range []struct {
		name  string
		value time.Duration
	}{
		{"gap", l.gap(c.node01, begun)},
		{"all", all.Sub(became)},
		{"rounds", rounds.Sub(became)},
		{"repaired", again.Sub(removed)},
	} {
		b.Run(figure.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(milliseconds(figure.value), "ms")
		})
	}
}
