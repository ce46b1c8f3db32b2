package ndp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

func TestClaimOf(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	valid, err := Advertisement{Target: netip.MustParseAddr("2001:db8::100"), MAC: mac}.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, to ...byte) []byte {
		b := append([]byte(nil), valid...)
		copy(b[at:], to)
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"an advertisement", valid, "2001:db8::100 02:00:00:00:00:09"},
		{"without an option", valid[:64], "2001:db8::100 02:00:00:00:00:07"},
		{"another option", edit(64, 1), "2001:db8::100 02:00:00:00:00:07"},
		{"a solicitation", edit(40, 135), ""},
		{"forwarded by a router", edit(7, 254), ""},
		{"of a group", edit(48, 0xff), ""},
		{"of no address", edit(48, make([]byte, 16)...), ""},
		{"an option without a length", edit(65, 0), ""},
		{"an option beyond the end", edit(65, 2), ""},
		{"cut off", valid[:63], ""},
		{"nothing", nil, ""},
	} {
		got := ""
		if c, ok := claimOf(tt.b, net.HardwareAddr{2, 0, 0, 0, 0, 7}); ok {
			got = c.Addr.String() + " " + c.MAC.String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Another machine's advertisement is heard, this machine's is not, and nothing else is.
func TestListen(t *testing.T) {
	here, there := nstest.New(t, "ndp-here"), nstest.New(t, "ndp-there")
	nstest.Veth(here, "eth0", there, "eth0")
	for _, ns := range []*nstest.Namespace{here, there} {
		ns.IP("link", "set", "eth0", "up")
	}
	heard := make(chan Claim, 16)
	go here.Do(func() {
		if err := Listen(t.Context(), func(c Claim) { heard <- c }); err != nil {
			t.Error(err)
		}
	})
	announce := func(ns *nstest.Namespace, addr string) {
		ns.Do(func() {
			picture, err := netlnk.Look()
			if err != nil {
				t.Error(err)
				return
			}
			l, err := picture.Link("eth0")
			if err != nil {
				t.Error(err)
				return
			}
			frame, err := Frame(l, netip.MustParseAddr(addr), false)
			if err != nil {
				t.Error(err)
				return
			}
			sender, err := netlnk.OpenSender("eth0")
			if err != nil {
				t.Error(err)
				return
			}
			defer sender.Close()
			if _, err := sender.Send([]netlnk.Frame{frame}); err != nil {
				t.Error(err)
			}
		})
	}
	deadline := time.After(time.Minute)
	for again := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case c := <-heard:
			if c.Addr != netip.MustParseAddr("2001:db8::100") {
				if c.Addr == netip.MustParseAddr("2001:db8::1") {
					t.Error("it hears itself")
				}
				continue // the kernel's own, of link-local addresses
			}
			return
		case <-again.C: // until somebody listens
			announce(here, "2001:db8::1")
			announce(there, "2001:db8::100")
		case <-deadline:
			t.Fatal("nothing was heard")
		}
	}
}
