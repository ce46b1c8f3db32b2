package cluster

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// silentWeb drops what clients and checks ask a web server.
const silentWeb = `table inet silent {
	chain input { type filter hook input priority filter; policy accept; tcp dport 80 tcp flags syn drop; }
}
`

// With passive and checks once a minute, SYNs of forged sources have the servers probed, which
// takes none out; then one of them drops SYNs, and is out at once.
func TestPassive(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *lab.ClusterOptions) {
		for i := range o.Nodes {
			o.Nodes[i].Config = strings.ReplaceAll(o.Nodes[i].Config, "delay_loop 6 ", "delay_loop 60\n warmup 1 ") +
				"weir {\n service TCP 192.168.25.100 80 {\n passive\n }\n}\n"
		}
	})
	c.waitFirstChecks()
	flood := time.Now()
	end := c.forge()
	for _, n := range []*lab.Node{c.node01, c.node02} {
		c.waitSilent(n, c.waitSilent(n, flood)) // the second time it has answered the first probe
	}
	for _, n := range []*lab.Node{c.node01, c.node02} {
		v, err := c.node01.View()
		c.must(err)
		if v.Down[n.Service()] != "" {
			t.Errorf("a flood of SYNs has taken %s out", n.Spec.Name)
		}
	}
	end()
	c.wantSplit(100, 200) // their answers end what the flood has counted

	stream := c.Stream(c.within(time.Minute), 50)
	defer stream.Stop()
	begun := time.Now()
	c.must(nft(c.node02.Namespace(), silentWeb))
	e, err := c.node01.WaitFrom(c.within(30*time.Second), begun, "node02 down", lab.IsServer(c.node02.Service(), "down"))
	c.must(err)
	if !strings.Contains(e.Reason, "no answer within 1s") {
		t.Errorf("it is out for %q, want the probe's reason", e.Reason)
	}
	c.wantAtMost("a server that drops SYNs is out", e.Time.Sub(begun), 8*time.Second) // 5 of them since the probe of the flood
	c.wantSplit(300, 0)
}

// waitSilent waits until a node's web server is probed since its connections get no answer, and
// returns a moment behind that.
func (c *cluster) waitSilent(n *lab.Node, from time.Time) time.Time {
	c.t.Helper()
	e, err := c.node01.WaitFrom(c.within(30*time.Second), from, n.Service()+" is probed", func(e model.Event) bool {
		return e.Kind == model.RealServerSilent && e.RealServer == n.Service()
	})
	c.must(err)
	return e.Time.Add(time.Millisecond)
}

// forge sends the VIP SYNs of forged sources, 200 a second until end is called.
func (c *cluster) forge() (end func()) {
	var fd int
	c.must(c.Client().Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}))
	ctx, stop := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		defer unix.Close(fd)
		every := time.NewTicker(5 * time.Millisecond)
		defer every.Stop()
		for i := uint16(0); ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				// Where the device's queue is full, this one is lost.
				_ = unix.Sendto(fd, forgedSYN(i), 0, &unix.SockaddrInet4{Addr: [4]byte{192, 168, 25, 100}})
			}
		}
	})
	end = func() {
		stop()
		running.Wait()
	}
	c.t.Cleanup(end)
	return end
}

// forgedSYN is the number-th SYN to the VIP, as an IPv4 packet whose checksum the kernel fills in.
func forgedSYN(number uint16) []byte {
	from, to := netip.AddrFrom4([4]byte{198, 51, byte(number >> 8), byte(number)}), netip.MustParseAddr("192.168.25.100")
	p := []byte{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0}
	p = append(append(p, from.AsSlice()...), to.AsSlice()...)
	p = append(p, 0x13, 0x88, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0, 0, 0, 0, 0)
	sum := uint32(unix.IPPROTO_TCP + 20)
	for i := 12; i < len(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[36:], ^uint16(sum))
	return p
}
