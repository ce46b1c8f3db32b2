package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

// virtualMAC is the Ethernet address of the virtual router 51 (RFC 9568 section 7.3).
var virtualMAC = net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}

// pairConfig is a director of two: priority, a keyword of the instance, forwarding method,
// servers, hook.
const pairConfig = `
vrrp_instance VI_1 {
    interface ens160
    virtual_router_id 51
    priority %d
    advert_int 1
    %s
    virtual_ipaddress {
        192.168.25.100
        192.168.25.101
    }
}
virtual_server 192.168.25.100 80 {
    delay_loop 6
    lb_algo rr
    lb_kind %s
    protocol TCP
%s}
weir {
    device ens160 {
        hook %s
    }
}
`

// buildPair builds two directors whose instance has a keyword. By direct routing both are servers as well, beside node03;
// behind NAT node03 is the server, and answers by the second VIP.
func buildPair(t *testing.T, keyword, kind, hook string) *cluster {
	t.Helper()
	servers, names := []string{"192.168.25.33"}, []string{"client", "node01", "node02", "node03"}
	if kind == "DR" {
		servers = []string{"192.168.25.31", "192.168.25.32", "192.168.25.33"}
	}
	opts := lab.ClusterOptions{
		Options: lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: fmt.Sprintf(pairConfig, 100, keyword, kind, realServers(servers...), hook)},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Config: fmt.Sprintf(pairConfig, 90, keyword, kind, realServers(servers...), hook)},
			{Name: "node03", Addr: netip.MustParsePrefix("192.168.25.33/24"), Web: "node03 service"},
		},
		Prepare: func(c *lab.Cluster) error {
			var err error
			if hook != "tc" {
				err = prepareXDP(t, c, names...)
			}
			if kind == "NAT" {
				to := c.Node("node03").Namespace()
				err = errors.Join(err, to.AddRoute(netip.MustParsePrefix("192.168.25.10/32"), netip.MustParseAddr("192.168.25.101")))
			}
			return err
		},
	}
	if kind == "DR" {
		for i := range opts.Nodes[:2] {
			opts.Nodes[i].Web = opts.Nodes[i].Name + " service"
		}
		opts.Nodes[2].RealServer = []string{"start", "--vip", "192.168.25.100", "--state", t.TempDir() + "/realserver.json"}
	}
	c := build(t, opts)
	return c
}

// said is what a machine has said as the virtual router.
type said uint8

const (
	saidAdvert said = iota
	saidReply       // to a question for the VIP
	saidOther
)

// frame is a frame that came to the switch from a machine.
type frame struct {
	said
	at time.Time
}

// port hears, at a port of the switch, what a machine says from the virtual router's address,
// or answers for the VIP from whatever address.
type port struct {
	mu     sync.Mutex
	frames []frame
	wrong  string // an answer for the VIP with another address
}

func watchPort(t *testing.T, c *cluster, name string) *port {
	t.Helper()
	var fd int
	c.must(c.Switch().Do(func() error {
		device, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index, Protocol: 0x0300}) // ETH_P_ALL, in network byte order
	}))
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	p, stop := &port{}, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		b, control := make([]byte, 2048), make([]byte, 256)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, nc, _, from, err := unix.Recvmsg(fd, b, control, 0)
			if link, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && link.Pkttype != unix.PACKET_OUTGOING {
				p.hear(b[:n], stamp(control[:nc]))
			}
		}
	})
	t.Cleanup(func() { close(stop); running.Wait(); unix.Close(fd) })
	return p
}

func (p *port) hear(b []byte, at time.Time) {
	if len(b) < 42 {
		return
	}
	what, virtual := saidOther, bytes.Equal(b[6:12], virtualMAC)
	switch kind := binary.BigEndian.Uint16(b[12:]); {
	case kind == 0x0806 && b[21] == 2 && netip.AddrFrom4([4]byte(b[28:32])) == netip.MustParseAddr("192.168.25.100"):
		what = saidReply
	case kind == 0x0800 && b[23] == 112:
		what = saidAdvert
	case !virtual:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, frame{what, at})
	if what == saidReply && !(virtual && bytes.Equal(b[22:28], virtualMAC)) {
		p.wrong = fmt.Sprintf("% x", b[:42])
	}
}

// first is when the machine first said this after a moment; zero is not yet.
func (p *port) first(what said, from time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frames {
		if f.said == what && f.at.After(from) {
			return f.at
		}
	}
	return time.Time{}
}

// count counts what the machine has said within a time; whatever is all of it.
func (p *port) count(from, to time.Time) (replies, whatever int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frames {
		if !f.at.After(from) || f.at.After(to) {
			continue
		}
		whatever++
		if f.said == saidReply {
			replies++
		}
	}
	return replies, whatever
}

// wantServed makes 200 requests, and wants that each machine has no more packets than such
// requests have: six or so each way, and past each machine at most twice.
func (c *cluster) wantServed(t *testing.T, when string) {
	t.Helper()
	const requests = 200
	names := []string{"client", "node01", "node02", "node03"}
	before := map[string]lab.Counters{}
	for _, n := range names {
		counters, err := c.Counters(n, "ens160")
		c.must(err)
		before[n] = counters
	}
	begun := time.Now()
	st := c.Requests(c.within(2*time.Minute), requests)
	// The asker's questions and the answers are among the noise.
	noise := backgroundOnce + uint64((backgroundPerSecond+250)*time.Since(begun).Seconds())
	if st.Failures() > 0 {
		t.Fatalf("%s: %s, answered %v", when, st, st.By)
	}
	for _, n := range names {
		counters, err := c.Counters(n, "ens160")
		c.must(err)
		if in := counters.Sub(before[n]).RxPackets; in > requests*24+noise {
			t.Errorf("%s: %d packets came to %s for %d requests, and at most %d others", when, in, n, requests, noise)
		}
	}
}

// Clients are served by frames to the virtual router's Ethernet address, which one machine
// alone speaks from and answers with: the master, also after its process was killed, when its
// kernel still has the device and the address.
func TestVirtualEthernetAddress(t *testing.T) {
	for _, kind := range []string{"DR", "NAT"} {
		for _, hook := range []string{"tc", "generic", "native"} {
			t.Run(kind+" "+hook, func(t *testing.T) {
				t.Parallel()
				c := buildPair(t, "use_vmac", kind, hook)
				first, second := watchPort(t, c, "node01"), watchPort(t, c, "node02")
				c.must(c.Start(c.within(2 * time.Minute)))
				c.waitState(c.node01, time.Time{}, model.Master, 30*time.Second)
				for _, n := range []*lab.Node{c.node01, c.node02} {
					if v, err := n.View(); err != nil || len(v.Devices) != 1 || v.Devices[0] != "ens160 "+hook {
						t.Errorf("%s is attached to %q, %v, want ens160 %s", n.Spec.Name, v.Devices, err, hook)
					}
				}
				ask(t, c.Client(), netip.MustParseAddr("192.168.25.100"))
				c.wantOne(t, "from the start", c.node01, first, second, time.Time{})

				killed := time.Now()
				c.must(c.node01.KillWeir())
				c.waitState(c.node02, killed, model.Master, 30*time.Second)
				c.wantOne(t, "its process killed", c.node02, second, first, killed)
				if replies, _ := first.count(second.first(saidAdvert, killed), time.Now()); replies > 0 {
					t.Errorf("the dead director has answered %d times after the new master's first advertisement", replies)
				}

				back := time.Now()
				c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
				c.waitState(c.node01, back, model.Master, 30*time.Second)
				c.waitState(c.node02, back, model.Backup, 30*time.Second)
				c.wantOne(t, "started again", c.node01, first, second, back)

				stopped := time.Now()
				c.must(c.node01.StopWeir(c.within(30 * time.Second)))
				c.waitState(c.node02, stopped, model.Master, 30*time.Second)
				c.wantOne(t, "stopped", c.node02, second, first, stopped)
				for _, p := range []*port{first, second} {
					if p.mu.Lock(); p.wrong != "" {
						t.Errorf("an answer for the VIP has another address than the virtual router's: %s", p.wrong)
					}
					p.mu.Unlock()
				}
			})
		}
	}
}

// wantOne waits until a machine is master and serves clients, at some time after a moment, and
// wants that from then on it alone answers for the VIP and speaks as the virtual router.
func (c *cluster) wantOne(t *testing.T, when string, n *lab.Node, master, other *port, from time.Time) {
	t.Helper()
	var taken time.Time
	nstest.WaitFor(t, when+": an advertisement of "+n.Spec.Name, func() bool { taken = master.first(saidAdvert, from); return !taken.IsZero() })
	nstest.WaitFor(t, when+": answers of "+n.Spec.Name, func() bool {
		replies, _ := master.count(taken, time.Now())
		return replies > 20
	})
	c.waitAnswer()
	alone := time.Now()
	c.wantServed(t, when)
	if replies, whatever := other.count(alone, time.Now()); whatever > 0 {
		t.Errorf("%s: %d frames of the machine that is not master came from the virtual router, %d of them answers for the VIP", when, whatever, replies)
	}
	if mac, err := c.Client().Neighbour("ens160", netip.MustParseAddr("192.168.25.100")); err != nil || !bytes.Equal(mac, virtualMAC) {
		t.Errorf("%s: the client has %s for the VIP, %v, want %s", when, mac, err, virtualMAC)
	}
}
