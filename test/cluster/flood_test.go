package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sync/errgroup"

	"weir/internal/dataplane"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

const (
	floodTable   = 65_536
	floodSYNs    = 8 * floodTable
	floodStreams = 500
	floodBurst   = 1000 // frames in one call; the queue of a veth device holds 256
)

// A flood of 524,288 SYNs, each from its own address and port, hits a table of 65,536
// connections while 500 established connections stream. None of these loses a byte, and most
// new connections of a real client succeed.
func TestSYNFlood(t *testing.T) {
	for _, method := range []lvs.ForwardMethod{lvs.DirectRoute, lvs.Masquerade} {
		t.Run(method.String(), func(t *testing.T) {
			n := newFloodNetwork(t, method)
			streams := n.open(t, floodStreams)
			flooding, over := context.WithCancel(t.Context())
			tasks, begun := errgroup.Group{}, time.Now()
			for _, s := range streams {
				tasks.Go(func() error { return s.stream(flooding) })
			}
			var tried atomic.Int32
			succeeded := 0
			tasks.Go(func() error {
				for ; flooding.Err() == nil; tried.Add(1) {
					if n.ask(10*time.Second) == nil {
						succeeded++
					}
				}
				return nil
			})
			n.flood(t, func() bool { return tried.Load() >= 20 })
			over()
			if err := tasks.Wait(); err != nil {
				t.Errorf("an established connection: %v", err)
			}
			t.Logf("%d SYNs in %s: %d bytes streamed each way, %d of %d new connections succeeded",
				floodSYNs, time.Since(begun).Round(time.Millisecond), streamed(streams), succeeded, tried.Load())
			if tried := int(tried.Load()); 2*succeeded <= tried {
				t.Errorf("%d of %d new connections succeeded, want more than half", succeeded, tried)
			}
			n.wantFlooded(t)
		})
	}
}

// floodNetwork is a client, a director that routes, and two servers behind it, whose answers
// pass the director.
type floodNetwork struct {
	client, director *nstest.Namespace
	plane            *dataplane.Plane
	generator        *floor.Programs
}

var floodVIP = netip.MustParseAddrPort("192.0.2.100:80")

func newFloodNetwork(t *testing.T, method lvs.ForwardMethod) *floodNetwork {
	t.Helper()
	n := &floodNetwork{client: nstest.New(t, "cl"), director: nstest.New(t, "lb")}
	nstest.Veth(n.director, "in0", n.client, "eth0")
	n.client.Batch("addr add 198.51.100.9/24 dev eth0", "route add default via 198.51.100.1")
	n.director.Batch("link set in0 address 02:00:00:00:00:01", "addr add 198.51.100.1/24 dev in0")
	service := lvs.VirtualServer{
		ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: floodVIP.Addr(), Port: floodVIP.Port()},
		Scheduler:  lvs.WeightedLeastConnection,
	}
	for i := range 2 {
		rs, dev := nstest.New(t, fmt.Sprintf("rs%d", i)), fmt.Sprintf("s%d", i)
		nstest.Veth(n.director, dev, rs, "eth0")
		n.director.IP("addr", "add", fmt.Sprintf("10.0.%d.1/24", i), "dev", dev)
		rs.Batch(fmt.Sprintf("addr add 10.0.%d.2/24 dev eth0", i), fmt.Sprintf("route add default via 10.0.%d.1", i))
		if method == lvs.DirectRoute {
			rs.IP("addr", "add", floodVIP.Addr().String(), "dev", "lo")
		}
		serveEcho(t, rs)
		service.RealServers = append(service.RealServers, lvs.RealServer{
			Addr: netip.AddrFrom4([4]byte{10, 0, byte(i), 2}), Port: 80, Weight: 1, Method: method,
		})
	}
	n.start(t, lvs.Plan{Services: []lvs.VirtualServer{service}, Devices: []lvs.Device{
		{Name: "in0", Hook: lvs.HookTC}, {Name: "s0", Hook: lvs.HookTC}, {Name: "s1", Hook: lvs.HookTC},
	}})
	return n
}

// start opens the data plane, and waits until it knows the servers' MAC addresses.
func (n *floodNetwork) start(t *testing.T, plan lvs.Plan) {
	t.Helper()
	var err error
	if n.generator, err = floor.Load(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.generator.Close() })
	n.director.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
		nstest.PassXDP(t, "in0") // a device accepts live frames from XDP only while its NAPI runs
		pins := fmt.Sprintf("/sys/fs/bpf/weirt-%d-flood-%s", os.Getpid(), plan.Services[0].RealServers[0].Method)
		n.plane, err = dataplane.Open(dataplane.Options{PinDir: pins, Connections: floodTable, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.director.Do(func() { n.remove(t) }) })
		if err := n.plane.Set(plan); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		go n.director.Do(func() { n.plane.Run(ctx) })
	})
	nstest.WaitFor(t, "an answer through the director", func() bool { return n.ask(time.Second) == nil })
}

func (n *floodNetwork) remove(t *testing.T) {
	if err := n.plane.Remove(); err != nil {
		t.Error(err)
	}
}

// flood sends SYNs from the client's device until floodSYNs have arrived, and it has been
// enough; the veth pair loses some. It fails where for five minutes none arrives.
func (n *floodNetwork) flood(t *testing.T, enough func() bool) {
	t.Helper()
	n.client.Do(func() {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		syn := make([]byte, 60)
		copy(syn, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 0, 192, 0, 2, 100})
		copy(syn[34:], []byte{4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 2, 2, 0})
		if err := n.generator.SetPacket(syn, floor.Flows{Count: 1 << 30}); err != nil {
			t.Fatal(err)
		}
		run := &ebpf.RunOptions{
			Data: syn, Repeat: floodBurst, Flags: 1 << 1, // BPF_F_TEST_XDP_LIVE_FRAMES
			Context: struct{ Data, DataEnd, DataMeta, Ingress, RxQueue, Egress uint32 }{DataEnd: uint32(len(syn)), Ingress: uint32(dev.Index)},
		}
		arrived, last := uint64(0), time.Now()
		for arrived < floodSYNs || !enough() {
			if now := n.begun(t); now > arrived {
				arrived, last = now, time.Now()
			} else if time.Since(last) > 5*time.Minute {
				t.Fatalf("after %d of %d SYNs none has come through for five minutes", arrived, floodSYNs)
			}
			for range 100 {
				if _, err := n.generator.Generate().Run(run); err != nil {
					t.Fatalf("send live frames: %v", err)
				}
			}
		}
	})
}

// begun is the number of connections that the data plane has counted.
func (n *floodNetwork) begun(t *testing.T) (conns uint64) {
	t.Helper()
	stats, err := n.plane.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stats.Services {
		conns += c.Counter.Conns
	}
	return conns
}

// wantFlooded expects that most of the flood's half-open connections gave way to others.
func (n *floodNetwork) wantFlooded(t *testing.T) {
	t.Helper()
	stats, err := n.plane.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if recycled := stats.Reasons["note_recycled"]; recycled < floodSYNs/2 {
		t.Errorf("only %d half-open connections gave way: %v", recycled, stats.Reasons)
	}
}

func serveEcho(t *testing.T, rs *nstest.Namespace) {
	t.Helper()
	var listener net.Listener
	var err error
	rs.Do(func() { listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp4", "0.0.0.0:80") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
}

// ask makes a new connection and waits for the answer to one byte.
func (n *floodNetwork) ask(patience time.Duration) error {
	conn, err := n.dial(patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = roundTrip(conn, []byte{1})
	return err
}

func (n *floodNetwork) dial(patience time.Duration) (conn net.Conn, err error) {
	n.client.Do(func() { conn, err = net.DialTimeout("tcp4", floodVIP.String(), patience) })
	return conn, err
}

// stream is an established connection.
type stream struct {
	net.Conn
	bytes atomic.Int64
}

// open makes connections, each of which has answered.
func (n *floodNetwork) open(t *testing.T, count int) (streams []*stream) {
	t.Helper()
	for range count {
		conn, err := n.dial(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := roundTrip(conn, []byte{1}); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, &stream{Conn: conn})
	}
	return streams
}

// stream sends and compares until the flood is over, and once more after it.
func (s *stream) stream(flooding context.Context) error {
	if err := s.SetDeadline(time.Now().Add(3 * time.Minute)); err != nil {
		return err
	}
	sent := make([]byte, 8192)
	for round := 0; ; round++ {
		last := flooding.Err() != nil
		for i := range sent {
			sent[i] = byte(i*7 + round)
		}
		n, err := roundTrip(s, sent)
		s.bytes.Add(int64(n))
		if err != nil || last {
			return err
		}
	}
}

// roundTrip sends some bytes and expects the same bytes back.
func roundTrip(conn net.Conn, sent []byte) (int, error) {
	var writing sync.WaitGroup
	var failed error
	writing.Go(func() { _, failed = conn.Write(sent) })
	got := make([]byte, len(sent))
	n, err := io.ReadFull(conn, got)
	writing.Wait()
	if err == nil && !bytes.Equal(got, sent) {
		err = errors.New("what came back differs from what was sent")
	}
	return n, errors.Join(err, failed)
}

func streamed(streams []*stream) (sum int64) {
	for _, s := range streams {
		sum += s.bytes.Load()
	}
	return sum
}
