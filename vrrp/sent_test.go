package vrrp

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Adverts that leave a machine are heard there, whoever sends them, in each version, family and
// authentication, and those that come in are not.
func TestHearSent(t *testing.T) {
	a, b := twoHosts(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard, opened, ended := make(chan Sent, 16), make(chan struct{}), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := netns.Set(a.ns)
		if err == nil {
			err = HearSent(ctx, "ens160", func() { close(opened) }, func(s Sent) { heard <- s })
		}
		ended <- err
	}()
	select {
	case <-opened:
	case err := <-ended:
		t.Fatal(err)
	}
	send := func(h *host, cfg LinkConfig, ad Advertisement) {
		t.Helper()
		within(t, h.ns, func() error {
			cfg.Interface, cfg.VRID = "ens160", ad.VRID
			link, err := OpenLink(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer link.Close()
			return link.Send(ad)
		})
	}
	v6, err := netlink.ParseAddr("fe80::31/64")
	must(t, err)
	v6.Flags = unix.IFA_F_NODAD
	must(t, a.handle.AddrAdd(a.dev, v6))
	vip4, vip6 := []netip.Addr{netip.MustParseAddr("192.168.25.100")}, []netip.Addr{netip.MustParseAddr("fe80::100")}
	contents := map[string]bool{}
	for i, tt := range []struct {
		cfg LinkConfig
		ad  Advertisement
	}{
		{LinkConfig{Source: a.addr}, Advertisement{Priority: 100, Interval: time.Second, VIPs: vip4}},
		{LinkConfig{Source: a.addr}, Advertisement{Priority: 90, Interval: time.Second, VIPs: vip4}},
		{LinkConfig{Source: a.addr}, Advertisement{Priority: 100, Interval: time.Second, VIPs: append(vip4, a.addr)}},
		{LinkConfig{Source: a.addr, Auth: Key("k")}, Advertisement{Priority: 80, Interval: time.Second, VIPs: vip4, Auth: Key("k")}},
		{LinkConfig{Source: a.addr}, Advertisement{Version: Version3, Priority: 100, Interval: time.Second, VIPs: vip4}},
		{LinkConfig{Source: a.addr, UnicastPeers: []netip.Addr{b.addr}}, Advertisement{Version: Version3, Priority: 70, Interval: time.Second, VIPs: vip4}},
		{LinkConfig{Source: fe31}, Advertisement{Version: Version3, Priority: 100, Interval: time.Second, VIPs: vip6}},
	} {
		tt.ad.VRID = 51
		send(b, LinkConfig{Source: b.addr}, Advertisement{VRID: 99, Priority: 1, Interval: time.Second, VIPs: vip4}) // not heard
		for range 2 {
			send(a, tt.cfg, tt.ad)
		}
		first, second := <-heard, <-heard
		if first != second || first.VRID != 51 || first.IPv6 != tt.cfg.Source.Is6() {
			t.Errorf("%d: heard %q and %q", i, fmt.Sprint(first), fmt.Sprint(second))
		}
		if contents[first.Content] {
			t.Errorf("%d: the content is that of another advert", i)
		}
		contents[first.Content] = true
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What is cut off anywhere is read without a panic.
func TestSentOfBytesThatAreCut(t *testing.T) {
	w, err := newWire(LinkConfig{Source: netip.MustParseAddr("192.0.2.1"), Auth: Key("k")})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.packet(Advertisement{VRID: 51, Priority: 1, Interval: time.Second, Auth: Key("k"), VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}, Group4(), w.stamp())
	if err != nil {
		t.Fatal(err)
	}
	for n := minIPv4; n <= len(b); n++ {
		ip := slices.Clone(b[:n])
		binary.BigEndian.PutUint16(ip[2:], uint16(n))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:minIPv4]))
		if _, ok := sentOf(ip); ok != (n >= minIPv4+ahLen+headerLen) {
			t.Errorf("%d bytes: read: %t", n, ok)
		}
	}
}
