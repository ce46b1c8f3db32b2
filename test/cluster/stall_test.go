package cluster

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

var (
	stallServers = flag.Int("stall-servers", 2000, "how many real servers TestAdvertsThroughEverything adds by a reload")
	stallChecks  = flag.Int("stall-checks", 300, "how many checks a second it makes")
)

// busyDirector is a master whose program of notify_master hangs, with so many checks a second,
// and so many real servers beside them.
func busyDirector(dir string, checks, servers int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global_defs {
    script_user root
}
vrrp_instance VI_1 {
    state MASTER
    interface ens160
    virtual_router_id 51
    priority 100
    version 3
    advert_int 0.1
    virtual_ipaddress {
        192.168.25.100
    }
    notify_master %s/hang
}
`, dir)
	service := func(vip string, n int, every string) {
		fmt.Fprintf(&b, "virtual_server %s 80 {\n    delay_loop %s\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n", vip, every)
		for i := range n {
			fmt.Fprintf(&b, "    real_server 192.168.25.10 %d {\n        TCP_CHECK {\n            connect_timeout 1\n            retry 1\n            delay_before_retry 1\n        }\n    }\n", 10000+i)
		}
		b.WriteString("}\n")
	}
	service("192.168.25.100", checks, "1")
	for i := 0; servers > 0; i, servers = i+1, servers-100 {
		service(fmt.Sprintf("10.25.%d.%d", i/250, 1+i%250), min(servers, 100), "600")
	}
	return b.String()
}

// A reload of thousands of servers, hundreds of checks a second that fail, a collector that
// always runs, a program that hangs and a log that nobody reads cost no advertisement its time.
func TestAdvertsThroughEverything(t *testing.T) {
	const interval = 100 * time.Millisecond
	dir := t.TempDir()
	log := newClogged(t, filepath.Join(dir, "log"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "hang"), []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	wrapper := filepath.Join(dir, "weir")
	must(os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\ncase \"$1\" in run) export GOGC=1; exec %[1]s \"$@\" >%[2]s 2>&1;; esac\nexec %[1]s \"$@\"\n", executable, log.path), 0o755))
	built, err := lab.NewCluster(lab.ClusterOptions{
		Options: lab.Options{Executable: wrapper},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: busyDirector(dir, 0, 0)}},
	})
	must(err)
	c := &cluster{Cluster: built, t: t, node01: built.Node("node01"), late: &lateness{}}
	t.Cleanup(func() { log.drain(); c.close() })
	l, err := listen(built.Client())
	must(err)
	t.Cleanup(l.close)
	must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, model.Master, 30*time.Second)

	c.late = watchEachCPU(t)
	from := time.Now()
	reload := func(servers int) {
		t.Helper()
		must(os.WriteFile(c.node01.ConfigFile(), []byte(busyDirector(dir, *stallChecks, servers)), 0o644))
		if out, err := c.node01.Exec(c.within(3*time.Minute), "reload", "--run-dir", c.node01.RunDir()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		} else if strings.Contains(string(out), "[listed-twice]") {
			t.Fatalf("the file has fewer servers than it is meant to have:\n%s", out)
		}
	}
	reload(*stallServers)
	reload(*stallServers / 2)
	log.clog(t)
	mark := l.count(c.node01)
	nstest.WaitFor(t, "3 s of advertisements while the log is blocked", func() bool { return l.count(c.node01) >= mark+30 })
	gap, late := l.gap(c.node01, from), c.late.most()
	log.drain()
	lost, err := l.lost()
	must(err)
	bound := interval*12/10 + 2*late
	t.Logf("longest gap %s of %d advertisements; bound %s, of which %s for the machine", gap, l.count(c.node01), bound, 2*late)
	if gap > bound || lost > 0 {
		t.Errorf("longest gap %s, want at most %s; %d frames were lost", gap, bound, lost)
	}
}

// clogged is a log that is read until clog, and again from drain on.
type clogged struct {
	path string
	file *os.File
	stop chan struct{}
	read sync.WaitGroup
	once sync.Once
}

func newClogged(t *testing.T, path string) *clogged {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &clogged{path: path, file: file, stop: make(chan struct{})}
	l.read.Go(func() { l.readUntil(l.stop) })
	return l
}

func (l *clogged) readUntil(stop <-chan struct{}) {
	b := make([]byte, 64<<10)
	for {
		select {
		case <-stop:
			return
		default:
		}
		_ = l.file.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = l.file.Read(b)
	}
}

// clog fills the log, so that the next line waits.
func (l *clogged) clog(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.read.Wait()
	for {
		_ = l.file.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := l.file.Write(make([]byte, 4096)); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads the log from now on.
func (l *clogged) drain() {
	l.once.Do(func() { go l.readUntil(nil) })
}

// answer is who has answered for the VIP, and when.
type answer struct {
	mac string
	at  time.Time
}

// asker asks for the VIP's Ethernet address every 10 ms, from the client.
type asker struct {
	mu      sync.Mutex
	answers []answer
}

func ask(t *testing.T, ns *lab.Namespace, vip netip.Addr) *asker {
	t.Helper()
	mac, err := ns.MAC("ens160")
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr("192.168.25.10")
	var fd, index int
	err = ns.Do(func() error {
		device, err := net.InterfaceByName("ens160")
		if err != nil {
			return err
		}
		index = device.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0608) // ETH_P_ARP, in network byte order
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	request := make([]byte, 42)
	copy(request, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(request[6:], mac)
	copy(request[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	copy(request[22:], mac)
	copy(request[28:], own.AsSlice())
	copy(request[38:], vip.AsSlice())
	a, stop := &asker{}, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for again := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-again.C:
				_ = unix.Sendto(fd, request, 0, &unix.SockaddrLinklayer{Ifindex: index, Protocol: 0x0608})
			case <-stop:
				again.Stop()
				return
			}
		}
	})
	running.Go(func() {
		frame, control := make([]byte, 2048), make([]byte, 256)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, nc, _, _, err := unix.Recvmsg(fd, frame, control, 0)
			if err != nil || n < 42 || binary.BigEndian.Uint16(frame[20:]) != 2 || netip.AddrFrom4([4]byte(frame[28:32])) != vip ||
				netip.AddrFrom4([4]byte(frame[38:42])) != own {
				continue
			}
			a.mu.Lock()
			a.answers = append(a.answers, answer{net.HardwareAddr(frame[22:28]).String(), stamp(control[:nc])})
			a.mu.Unlock()
		}
	})
	t.Cleanup(func() { close(stop); running.Wait(); unix.Close(fd) })
	return a
}

// by counts a machine's answers within a time.
func (a *asker) by(t *testing.T, n *lab.Node, from, to time.Time) (count int) {
	t.Helper()
	mac, err := n.Namespace().MAC("ens160")
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.answers {
		if x.mac == mac.String() && x.at.After(from) && x.at.Before(to) {
			count++
		}
	}
	return count
}

// A master whose process is stopped for five seconds, or killed, answers for the VIP no more once
// the new master has sent its first advertisement, though the kernel still has the address. When
// it goes on, it sends no advertisement before it has given up its mastership; it says so, and
// takes over again by the protocol: there are two owners for at most one advert interval.
func TestOneOwner(t *testing.T) {
	t.Parallel()
	vip := netip.MustParseAddr("192.168.25.100")
	for name, end := range map[string]unix.Signal{"stopped for 5 s": unix.SIGSTOP, "killed": unix.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, nil)
			l, err := listen(c.Client())
			c.must(err)
			t.Cleanup(l.close)
			a := ask(t, c.Client(), vip)
			nstest.WaitFor(t, "node01 answers for the VIP", func() bool { return a.by(t, c.node01, time.Time{}, time.Now()) > 0 })
			mark := time.Now()
			c.must(c.node01.Weir().Signal(end))
			c.waitState(c.node02, mark, model.Master, 30*time.Second)
			heard := func(n *lab.Node, from time.Time) (at time.Time) {
				nstest.WaitFor(t, "an advertisement of "+n.Spec.Name, func() bool { at = l.first(n, from); return !at.IsZero() })
				return at
			}
			taken := heard(c.node02, mark)
			nstest.WaitFor(t, "node02 answers for the VIP", func() bool { return a.by(t, c.node02, taken, time.Now()) > 50 })
			if end == unix.SIGKILL {
				if n := a.by(t, c.node01, taken, time.Now()); n > 0 {
					t.Errorf("the dead director has answered %d times after the new master's first advertisement", n)
				}
				return
			}
			time.Sleep(time.Until(mark.Add(5 * time.Second)))
			resumed := time.Now()
			c.must(c.node01.Weir().Signal(unix.SIGCONT))
			_, err = c.node01.WaitFrom(c.within(30*time.Second), resumed, "the word that it was held up", lab.IsKind(model.HeldUp))
			c.must(err)
			c.waitState(c.node01, resumed, model.Master, 30*time.Second)
			c.waitState(c.node02, resumed, model.Backup, 30*time.Second)
			back := heard(c.node01, taken)
			if down := (3*time.Second + 156*time.Second/256); back.Sub(resumed) < down {
				t.Errorf("it sent an advertisement %s after it went on, want none for a whole Master_Down_Interval of %s", back.Sub(resumed), down)
			}
			if n := a.by(t, c.node01, taken, back); n > 0 {
				t.Errorf("node01 has answered %d times between the new master's first advertisement and its own next one", n)
			}
			time.Sleep(time.Second)
			bound := back.Add(time.Second + wakeUps*c.late.most())
			if n := a.by(t, c.node02, bound, time.Now()); n > 0 {
				t.Errorf("node02 has answered %d times, more than one advert interval after node01's advertisement", n)
			}
		})
	}
}
