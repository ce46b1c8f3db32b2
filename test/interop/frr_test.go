package interop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"weir/vrrp"
)

// TestFRR: weir understands FRR's vrrpd, another implementation of version 3, as backup and as
// master, and is understood by it.
func TestFRR(t *testing.T) {
	t.Parallel()
	for _, ipv6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[ipv6], func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			here, there := s.host(t, "weir", "192.168.25.31"), s.host(t, "frr", "192.168.25.32")
			c := cell{mode: mode{version: 3, ipv6: ipv6, interval: 400 * time.Millisecond}, segment: s, vip: vip}
			c.first = &side{host: here, name: "weir", own: here.addr, priority: lower}
			if ipv6 {
				c.vip = netip.MustParseAddr("fe80::100")
				eventually(t, "there is a link-local address", starting, func() bool {
					return here.linkLocal(t).IsValid() && there.linkLocal(t).IsValid()
				})
			}
			startFRR(t, there, c.vip, low)
			cfg, link := c.weirConfig(t, c.first)
			cfg.VIPs = []netip.Addr{c.vip}
			w, _ := runWeir(t, here, cfg, link, c.vip)
			eventually(t, "weir hears FRR", starting, func() bool { return w.Snapshot().Peer.Priority == low })
			heard(t, w, 5)
			if s := w.Snapshot(); s.State != vrrp.Backup {
				t.Errorf("weir is %s beside FRR of a higher priority", s.State)
			}
			cfg.Priority = high
			w.Reconfigure(cfg, nil, nil)
			eventually(t, "weir is master", starting, func() bool { return w.Snapshot().State == vrrp.Master })
			// FRR may have sent one more before it heard weir.
			time.Sleep(2 * c.interval)
			before := w.Snapshot().Counters.Received
			time.Sleep(5 * c.interval)
			if n := w.Snapshot().Counters.Received - before; n > 0 {
				t.Errorf("FRR has sent %d adverts beside a master of a higher priority", n)
			}
			noDrops(t, w)
			w.stop()
			cfg.Priority = lower
			w, _ = runWeir(t, here, cfg, link, c.vip)
			heard(t, w, 5)
		})
	}
}

// startFRR runs zebra and vrrpd on a host, where the VIP is on a macvlan as FRR wants it.
func startFRR(t *testing.T, h *host, addr netip.Addr, priority int) {
	t.Helper()
	const dir = "/usr/lib/frr"
	if _, err := os.Stat(filepath.Join(dir, "vrrpd")); err != nil {
		t.Fatalf("%v: install it (test/peers/install)", err)
	}
	family, name, last := "ip", "vrrp4-2-51", byte(1)
	if addr.Is6() {
		family, name, last = "ipv6", "vrrp6-2-51", 2
	}
	m := &netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: h.dev.Attrs().Index, HardwareAddr: net.HardwareAddr{0, 0, 0x5e, 0, last, 51}},
		Mode:      netlink.MACVLAN_MODE_BRIDGE,
	}
	must(t, h.LinkAdd(m))
	must(t, h.AddrAdd(m, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen()/32*24, addr.BitLen())}, Flags: nodad(addr)}))
	must(t, h.LinkSetUp(m))
	// FRR's own user writes here, who may not enter t.TempDir.
	at, err := os.MkdirTemp("", "weir-frr-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(at) })
	must(t, os.Chmod(at, 0o777))
	conf := fmt.Sprintf("interface ens160\n vrrp 51 version 3\n vrrp 51 priority %d\n vrrp 51 advertisement-interval 400\n vrrp 51 %s %s\n!\n", priority, family, addr)
	must(t, os.WriteFile(filepath.Join(at, "vrrpd.conf"), []byte(conf), 0o644))
	must(t, os.WriteFile(filepath.Join(at, "zebra.conf"), nil, 0o644))
	for _, daemon := range []string{"zebra", "vrrpd"} {
		cmd := exec.Command(filepath.Join(dir, daemon), "-f", filepath.Join(at, daemon+".conf"), "-i", filepath.Join(at, daemon+".pid"),
			"-z", filepath.Join(at, "zserv"), "--vty_socket", at, "-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout")
		log, err := os.Create(filepath.Join(at, daemon+".log"))
		must(t, err)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		runIn(t, h.ns, cmd)
		t.Cleanup(func() {
			log.Close()
			if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
				t.Logf("%s:\n%s", daemon, text)
			}
		})
		eventually(t, daemon+" runs", starting, func() bool {
			_, err := os.Stat(filepath.Join(at, daemon+".vty"))
			return err == nil
		})
	}
}

func nodad(a netip.Addr) int {
	if a.Is6() {
		return syscall.IFA_F_NODAD
	}
	return 0
}

// runIn runs a program in a namespace until the end of the test.
func runIn(t *testing.T, ns netns.NsHandle, cmd *exec.Cmd) {
	t.Helper()
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		if err := netns.Set(ns); err != nil {
			started <- err
			return
		}
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // it is killed
		}
	}()
	must(t, <-started)
	t.Cleanup(func() { cmd.Process.Kill(); <-done })
}
