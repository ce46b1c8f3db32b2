package cluster

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
	"weir/vrrp"
)

// A program that speaks VRRP on the same machine is not heard; weir status says that it is there,
// who it is, what it advertises, and when it has gone. It needs somebody only while it advertises
// a virtual router of weir's.
func TestAnotherProgramThatSpeaksVRRP(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	is := func(text string, code int) func() bool {
		return func() bool {
			out, got := c.weir(c.node01, "status")
			return strings.Contains(out, text) && got == code
		}
	}
	silent := c.otherLink(51)
	nstest.WaitFor(t, "a note of one that advertises nothing", is("(cluster.test) speaks VRRP here, too\n      it advertises nothing", 0))
	end := advertise(t, c.otherLink(77), 77)
	nstest.WaitFor(t, "a note of one with another VRID", is("it advertises IPv4 VRID 77 on ens160, which weir does not", 0))
	end()
	c.must(silent.Close())
	end = advertise(t, c.otherLink(51), 51)
	nstest.WaitFor(t, "one with weir's VRID needs somebody", is("(cluster.test) is master of VRID 51 on ens160, too: end it", 2))
	end()
	nstest.WaitFor(t, "weir status has forgotten it", func() bool {
		out, code := c.weir(c.node01, "status")
		return !strings.Contains(out, "cluster.test") && code == 0
	})
}

// otherLink is a program's on node01 that speaks VRRP.
func (c *cluster) otherLink(vrid uint8) (link *vrrp.Link) {
	c.must(c.node01.Namespace().Do(func() (err error) {
		link, err = vrrp.OpenLink(vrrp.LinkConfig{Interface: "ens160", VRID: vrid, Source: netip.MustParseAddr("192.168.25.31")}, slog.New(slog.DiscardHandler))
		return err
	}))
	c.t.Cleanup(func() { link.Close() })
	return link
}

// advertise has it be master, beside weir, until end is called.
func advertise(t *testing.T, link *vrrp.Link, vrid uint8) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(time.Second)
		defer every.Stop()
		for {
			a := vrrp.Advertisement{VRID: vrid, Priority: 99, Interval: time.Second, VIPs: []netip.Addr{netip.MustParseAddr("192.168.25.99")}}
			if err := link.Send(a); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		if err := link.Close(); err != nil {
			t.Error(err)
		}
	}
}
