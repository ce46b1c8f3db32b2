package cluster

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/internal/lab"
	"weir/test/cpu"
)

var (
	checkedServers = flag.Int("checked-servers", 1000, "how many real servers TestChecksOfManyServers has checked; 40000 is the long form")
	checkedLoop    = flag.Int("checked-loop", 3, "their delay_loop, in seconds; 12 is the long form")
	checkedTime    = flag.Duration("checked-time", 12*time.Second, "for how long; 5m is the long form")
	checkedHogs    = flag.Int("checked-hogs", 0, "how many programs that only use a CPU run meanwhile; 2 is the long form")
)

// checkedFile has so many real servers with TCP_CHECK, all behind a router.
func checkedFile(servers, loop int) string {
	var b strings.Builder
	for i := range servers {
		if i%20 == 0 {
			if i > 0 {
				b.WriteString("}\n")
			}
			fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n    delay_loop %d\n    warmup %d\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n", i/20/250, i/20%250, loop, loop)
		}
		fmt.Fprintf(&b, "    real_server 172.%d.%d.%d 80 {\n        TCP_CHECK {\n            connect_timeout 3\n            retry 3\n            delay_before_retry 1\n        }\n    }\n", 16+i/20/250, i/20%250, i%20+1)
	}
	return b.String() + "}\n"
}

// No real server that is up all the time is ever taken out, however many there are and whatever
// else the machine does. The checks leave no connection in TIME_WAIT behind. How late they begin
// is told beside what timers of the same interval are late by, which is the machine's.
func TestChecksOfManyServers(t *testing.T) {
	t.Parallel()
	router := netip.MustParsePrefix("172.16.0.0/12")
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("10.0.0.1:80"),
		Nodes: []lab.NodeSpec{{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: checkedFile(*checkedServers, *checkedLoop)}},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("node01").Namespace().AddRoute(router, netip.MustParseAddr("192.168.25.10"))
		},
	})
	c.serveAll(router)
	l, err := listen(c.Client())
	c.must(err)
	t.Cleanup(l.close)
	cpu.Hogs(t, *checkedHogs)
	interval := time.Duration(*checkedLoop) * time.Second
	c.must(c.Start(c.within(5 * time.Minute)))
	time.Sleep(2 * interval) // the first checks
	weir := c.node01.Weir().Pid()
	from, before := time.Now(), cpu.Of(t, weir)
	bare := latenessOfTimers(interval, *checkedTime)
	took := cpu.Of(t, weir) - before
	lost, err := l.lost()
	c.must(err)

	// The log, since a reader of events does not keep up with 40,000 first checks.
	records, err := c.node01.Log.Records(0)
	c.must(err)
	for _, r := range records {
		if r.Level == "WARN" && strings.Contains(r.Raw, "real_server") || strings.Contains(r.Attrs["message"], "real server") {
			t.Errorf("a server that is up all the time was taken out: %s", r)
		}
	}
	count, late := l.checks(from, interval)
	sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", weir))
	c.must(err)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", weir))
	c.must(err)
	t.Logf("%d checks in %s, %.0f a second, of %d servers, beside %d hogs; late by %s (median), %s (99.9 %%), bare timers by %s and %s; %s of CPU a check; %d files are open; %d frames were not seen",
		count, *checkedTime, float64(count)/checkedTime.Seconds(), *checkedServers, *checkedHogs, quantile(late, 0.5), quantile(late, 0.999),
		quantile(bare, 0.5), quantile(bare, 0.999), (took / time.Duration(max(count, 1))).Round(time.Microsecond), len(files), lost)
	var waiting int
	if _, rest, ok := strings.Cut(string(sockets), " tw "); !ok {
		t.Errorf("sockstat has no tw: %s", sockets)
	} else if _, err := fmt.Sscan(rest, &waiting); err != nil || waiting > 10 {
		t.Errorf("%d connections are in TIME_WAIT (%v)", waiting, err)
	}
	if seen := l.servers(from); seen != *checkedServers && lost == 0 {
		t.Errorf("%d servers were checked, want %d", seen, *checkedServers)
	}
}

// serveAll has the client's machine be the router and all the servers behind it.
func (c *cluster) serveAll(all netip.Prefix) {
	c.t.Helper()
	var l net.Listener
	c.must(c.Client().Do(func() (err error) {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		to := &net.IPNet{IP: all.Masked().Addr().AsSlice(), Mask: net.CIDRMask(all.Bits(), 32)}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: to, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST}); err != nil {
			return err
		}
		l, err = net.Listen("tcp4", ":80")
		return err
	}))
	// A server that accepts late is not what is asked about.
	c.must(c.Client().Sysctl("core/somaxconn", "65535"))
	raw, err := l.(*net.TCPListener).SyscallConn()
	c.must(err)
	c.must(raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 65535) }))
	c.must(err)
	c.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // the check has reset it
		}
	}()
}

// latenessOfTimers tells by how much timers are late that do nothing, in order.
func latenessOfTimers(interval, long time.Duration) (all []time.Duration) {
	var mu sync.Mutex
	var running sync.WaitGroup
	end := time.Now().Add(long)
	for i := range 1000 {
		running.Go(func() {
			time.Sleep(interval * time.Duration(i) / 1000)
			for begun := time.Now(); begun.Add(interval).Before(end); begun = time.Now() {
				time.Sleep(interval)
				mu.Lock()
				all = append(all, time.Since(begun)-interval)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	time.Sleep(time.Until(end))
	slices.Sort(all)
	return all
}

// checks counts the checks from a moment on, and tells by how much each of them was late behind
// the one before, in order.
func (l *listener) checks(from time.Time, interval time.Duration) (count int, late []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.syns {
		for i, at := range times {
			if at.Before(from) {
				continue
			}
			if count++; i > 0 {
				late = append(late, at.Sub(times[i-1])-interval)
			}
		}
	}
	slices.Sort(late)
	return count, late
}

// servers is how many addresses were checked from a moment on.
func (l *listener) servers(from time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.syns {
		if !times[len(times)-1].Before(from) {
			n++
		}
	}
	return n
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(float64(len(sorted)-1)*q)].Round(100 * time.Microsecond)
}
