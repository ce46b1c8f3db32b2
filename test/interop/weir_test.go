package interop

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// vip is the address for which the directors of each test compete.
var vip = netip.MustParseAddr("192.168.25.100")

// weir is a vrrp.Instance on a host.
type weir struct {
	*vrrp.Instance
	link *vrrp.Link
	stop func() // stops it cleanly and waits until it has ended
}

// owner adds the VIP to the host's interface while the instance is master.
type owner struct {
	t    *testing.T
	host *host
	vip  netip.Addr
	dead atomic.Bool // its process is: what it has stays as it is

	mu    sync.Mutex
	heard map[string]string // MAC by address
}

func (o *owner) Enter(from, to vrrp.State) {
	if o.dead.Load() {
		return
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: o.vip.AsSlice(), Mask: net.CIDRMask(o.vip.BitLen(), o.vip.BitLen())}}
	if o.vip.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if to == vrrp.Master {
		if err := o.host.AddrReplace(o.host.dev, addr); err != nil {
			o.t.Errorf("add %s: %v", o.vip, err)
		}
	}
	if from == vrrp.Master {
		if err := o.host.AddrDel(o.host.dev, addr); err != nil {
			o.t.Errorf("remove %s: %v", o.vip, err)
		}
	}
}

// Announce does nothing: these segments have no client.
func (o *owner) Announce() {}

func (o *owner) Sent(time.Time) {}

func (o *owner) Heard(peer netip.Addr, mac net.HardwareAddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard[peer.String()] = mac.String()
}

func (o *owner) macOf(peer netip.Addr) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heard[peer.String()]
}

// seedConfig is the seed's instance on the host at the priority.
func seedConfig(h *host, priority uint8) vrrp.Config {
	return vrrp.Config{
		Name: "VI_1", VRID: 51, Priority: priority, AdvertInterval: time.Second,
		Auth: vrrp.Password("1111"), VIPs: []netip.Addr{vip}, Source: h.addr,
	}
}

// startWeir runs an instance on the host until the end of the test.
func startWeir(t *testing.T, h *host, cfg vrrp.Config) (*weir, *owner) {
	t.Helper()
	return runWeir(t, h, cfg, vrrp.LinkConfig{Interface: "ens160", VRID: cfg.VRID, Source: h.addr, UnicastPeers: cfg.UnicastPeers}, vip)
}

// runWeir runs an instance with this transport, and with one address.
func runWeir(t *testing.T, h *host, cfg vrrp.Config, on vrrp.LinkConfig, addr netip.Addr) (*weir, *owner) {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	var link *vrrp.Link
	must(t, within(h.ns, func() (err error) {
		link, err = vrrp.OpenLink(on, logger)
		return err
	}))
	o := &owner{t: t, host: h, vip: addr, heard: make(map[string]string)}
	instance, err := vrrp.New(cfg, link, o, logger)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- instance.Run(ctx) }()
	w := &weir{Instance: instance, link: link}
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("weir on %s: %v", h.addr, err)
		}
		if err := link.Close(); err != nil {
			t.Errorf("weir on %s: %v", h.addr, err)
		}
	})
	t.Cleanup(w.stop)
	return w, o
}
