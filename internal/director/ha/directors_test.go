package ha

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/internal/netlnk/fakenet"
	"weir/vrrp"
)

// An advertisement is easily forged: what is learned from them is bounded, by number and by
// rate, and expires; soon, where the sender ought to fall silent.
func TestForgedDirectors(t *testing.T) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, m, other *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1))
		b.heard = make(chan Heard, 10000)
		defer b.run()()
		time.Sleep(4 * time.Second)
		b.want("VI_51 master", vip1)
		owner := b.list[0].owner
		learn := func() (events int) {
			for len(b.heard) > 0 {
				if b.Learn(<-b.heard) != nil {
					events++
				}
			}
			return events
		}
		events := 0
		for i := range 60 * 20 { // a minute of twenty forged senders a second
			owner.Heard(netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)}), net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)})
			events += learn()
			time.Sleep(50 * time.Millisecond)
		}
		if events > 61 || len(owner.heard) > mostDirectors || len(b.Directors()) > mostDirectors {
			t.Errorf("%d were told, the owner knows %d, the data plane %d", events, len(owner.heard), len(b.Directors()))
		}
		time.Sleep(knowFor + time.Second)
		if !b.ForgetDirectors() || len(b.Directors()) > 0 {
			t.Errorf("%d are known for ever", len(b.Directors()))
		}
		// One real director is known while it speaks.
		o := newBed(t, other, on(51, 200, vip1))
		stop := o.run()
		for range 200 {
			time.Sleep(time.Second)
			learn()
			b.ForgetDirectors()
		}
		if got := b.Directors(); len(got) != 1 || got[0].MAC.String() != "02:00:00:00:00:02" {
			t.Errorf("directors %v, want the one that is there", got)
		}
		stop()
		time.Sleep(5 * time.Second)
		b.want("VI_51 master", vip1)
		if len(owner.heard) == 0 {
			t.Error("it is forgotten at once")
		}
	})
}

// A director of lower priority than a master is known no longer than a lease.
func TestLowerDirector(t *testing.T) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1))
		b.heard = make(chan Heard, 10)
		defer b.run()()
		time.Sleep(4 * time.Second)
		b.want("VI_51 master", vip1)
		lower := on(51, 1, vip1)
		link, err := s.Machine("192.0.2.9/24").OpenLink(LinkConfig{Interface: "eth0", VRID: 51, Source: netip.MustParseAddr("192.0.2.9")})
		if err != nil {
			t.Fatal(err)
		}
		defer link.Close()
		if err := link.Send(vrrp.Advertisement{VRID: 51, Priority: 1, Interval: time.Second, VIPs: Addrs(lower.VIPs)}); err != nil {
			t.Fatal(err)
		}
		b.Learn(<-b.heard)
		if len(b.Directors()) != 1 {
			t.Fatalf("directors %v", b.Directors())
		}
		time.Sleep(3*time.Second + time.Millisecond)
		if b.ForgetDirectors(); len(b.Directors()) > 0 {
			t.Errorf("it is still known: %v", b.Directors())
		}
	})
}
