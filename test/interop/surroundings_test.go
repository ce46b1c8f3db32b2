package interop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// patience is how long these tests wait for what comes within seconds: many programs start at
// once, and no verdict is to hang on how fast the machine is.
const patience = 90 * time.Second

// surroundConf is a director of this priority whose VIP is on a device.
func surroundConf(program string, priority int, device string) string {
	text := fmt.Sprintf(`vrrp_instance VI_1 {
    state BACKUP
    interface ens160
    virtual_router_id 51
    priority %d
    advert_int 1
    virtual_ipaddress {
        192.168.25.100 dev %s
    }
}
`, priority, device)
	if program == "weir" {
		text = smallTables + text
	}
	return text
}

// directors are two of one program, of which the first is master.
type directors struct {
	segment       *segment
	first, second *program
}

// newDirectors starts two on hosts that have a second interface, ens161.
func newDirectors(t *testing.T, name, device string) directors {
	t.Helper()
	t.Parallel()
	d := directors{segment: newSegment(t)}
	for i, into := range []**program{&d.first, &d.second} {
		h := d.segment.host(t, fmt.Sprintf("d%d", i+1), fmt.Sprintf("192.168.25.3%d", i+1))
		d.segment.plug(t, h, fmt.Sprintf("d%d-2", i+1), "ens161", fmt.Sprintf("192.168.26.3%d", i+1))
		*into = startProgram(t, h, name, surroundConf(name, 110-10*i, device))
	}
	d.want(t, "the first one is master", true)
	return d
}

// want waits until one of them has the VIP, and the other one has not.
func (d *directors) want(t *testing.T, what string, first bool) {
	t.Helper()
	has := map[bool]string{true: vip.String()}
	eventually(t, what, patience, func() bool { return d.first.vips(t) == has[first] && d.second.vips(t) == has[!first] })
}

// address gives an interface of a host an address, or takes it away.
func address(t *testing.T, h *host, dev, addr string, add bool) {
	t.Helper()
	link, err := h.LinkByName(dev)
	must(t, err)
	a, err := netlink.ParseAddr(addr)
	must(t, err)
	if add {
		must(t, h.AddrAdd(link, a))
	} else {
		must(t, h.AddrDel(link, a))
	}
}

// carrier connects a host's interface with the segment, or takes its carrier away.
func (s *segment) carrier(t *testing.T, port string, on bool) {
	t.Helper()
	link, err := s.sw.LinkByName(port)
	must(t, err)
	if on {
		must(t, s.sw.LinkSetUp(link))
	} else {
		must(t, s.sw.LinkSetDown(link))
	}
}

// each runs a test with weir and with keepalived, whose outcomes are the same.
func each(t *testing.T, test func(t *testing.T, program string)) {
	for _, program := range []string{"weir", "keepalived"} {
		t.Run(program, func(t *testing.T) { test(t, program) })
	}
}

// An interface that has no address when the program starts is a fault until it has one.
func TestNoAddressAtStart(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		t.Parallel()
		h := newSegment(t).host(t, "d1", "192.168.25.31")
		address(t, h, "ens160", "192.168.25.31/24", false)
		p := startProgram(t, h, name, surroundConf(name, 110, "ens160"))
		eventually(t, "fault", patience, func() bool {
			log := p.log(t)
			return strings.Contains(log, "FAULT") && (strings.Contains(log, "no IPv4 address for interface") || strings.Contains(log, "no IPv4 address of its own"))
		})
		address(t, h, "ens160", "192.168.25.31/24", true)
		eventually(t, "master", patience, func() bool { return p.vips(t) == vip.String() })
	})
}

// An interface that does not exist when the program starts is waited for where the file
// says dynamic_interfaces, and only there.
func TestInterfaceComesLater(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		t.Parallel()
		s := newSegment(t)
		h := &host{name: s.name + "-d1", addr: netip.MustParseAddr("192.168.25.31")}
		h.namespace = newNamespace(t, h.name)
		text := surroundConf(name, 110, "ens160")
		p := startProgram(t, h, name, text)
		eventually(t, "without the word it ends", patience, p.ended)
		p = startProgram(t, h, name, "global_defs {\n    dynamic_interfaces\n}\n"+text)
		eventually(t, "fault", patience, func() bool { return strings.Contains(p.log(t), "FAULT") })
		h.dev = s.plug(t, h, "d1", "ens160", "192.168.25.31")
		eventually(t, "master", patience, func() bool { return p.vips(t) == vip.String() })
	})
}

// A master whose own address changes is the master in the end, by the new one, and goes on
// when the other one is gone.
func TestAddressChanges(t *testing.T) {
	for _, order := range []string{"del-add", "add-del"} {
		t.Run(order, func(t *testing.T) {
			each(t, func(t *testing.T, name string) {
				d := newDirectors(t, name, "ens160")
				before, after := "192.168.25.31/24", "192.168.25.41/24"
				if order == "del-add" {
					address(t, d.first.host, "ens160", before, false)
					address(t, d.first.host, "ens160", after, true)
				} else {
					// Otherwise the kernel removes the new one with the old one, of whose network it is.
					must(t, within(d.first.ns, func() error {
						return os.WriteFile("/proc/sys/net/ipv4/conf/ens160/promote_secondaries", []byte("1"), 0o644)
					}))
					address(t, d.first.host, "ens160", after, true)
					address(t, d.first.host, "ens160", before, false)
				}
				source := netip.MustParsePrefix(after).Addr()
				ear := d.segment.host(t, "ear", "192.168.25.9")
				heard := listen(t, ear)
				eventually(t, "the first one speaks from its new address", patience, func() bool { return heard.from(source) > 2 })
				d.want(t, "the first one is master", true)
				d.segment.carrier(t, "d2", false)
				mark := heard.from(source)
				eventually(t, "the first one goes on", patience, func() bool { return heard.from(source) > mark+3 })
				if got := d.first.vips(t); got != vip.String() {
					t.Errorf("the first one has %q", got)
				}
			})
		})
	}
}

// The device of a VIP loses its carrier: the other one serves, until it is back.
func TestVIPDeviceDown(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		d := newDirectors(t, name, "ens161")
		d.segment.carrier(t, "d1-2", false)
		d.want(t, "the second one is master", false)
		if log := d.first.log(t); !strings.Contains(log, "FAULT") {
			t.Errorf("it is not told why: %s", log)
		}
		d.segment.carrier(t, "d1-2", true)
		d.want(t, "the first one is master again", true)
	})
}

// The master's network is restarted: somebody takes all addresses away, the interface goes
// down and up, and its own address comes back.
func TestNetworkRestart(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		d := newDirectors(t, name, "ens160")
		address(t, d.first.host, "ens160", vip.String()+"/32", false)
		if name == "weir" { // keepalived waits for the next change of its state
			d.want(t, "the VIP is put back", true)
		}
		h := d.first.host
		must(t, h.LinkSetDown(h.dev))
		list, err := h.AddrList(h.dev, netlink.FAMILY_V4)
		must(t, err)
		for _, a := range list {
			must(t, h.AddrDel(h.dev, &netlink.Addr{IPNet: &net.IPNet{IP: a.IP, Mask: a.Mask}}))
		}
		address(t, h, "ens160", "192.168.25.31/24", true)
		must(t, h.LinkSetUp(h.dev))
		d.want(t, "the first one is master", true)
	})
}

// The interface is deleted and made anew, or gets another name and its own one back.
func TestInterfaceMadeAnew(t *testing.T) {
	for _, tt := range []struct {
		name string
		away func(*testing.T, *directors)
		back func(*testing.T, *directors)
	}{
		{"deleted and made anew", func(t *testing.T, d *directors) {
			must(t, d.first.LinkDel(d.first.dev))
		}, func(t *testing.T, d *directors) {
			d.first.dev = d.segment.plug(t, d.first.host, "d1", "ens160", "192.168.25.31")
		}},
		{"renamed", func(t *testing.T, d *directors) {
			must(t, d.first.LinkSetDown(d.first.dev))
			must(t, d.first.LinkSetName(d.first.dev, "other0"))
			must(t, d.first.LinkSetUp(d.first.dev))
		}, func(t *testing.T, d *directors) {
			must(t, d.first.LinkSetDown(d.first.dev))
			must(t, d.first.LinkSetName(d.first.dev, "ens160"))
			must(t, d.first.LinkSetUp(d.first.dev))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDirectors(t, "weir", "ens160")
			tt.away(t, &d)
			d.want(t, "the second one is master", false)
			tt.back(t, &d)
			d.want(t, "the first one is master again", true)
		})
	}
}

// A master that a firewall keeps from sending is no master until it can send again.
func TestMasterThatCannotSend(t *testing.T) {
	d := newDirectors(t, "weir", "ens160")
	firewall := func(rules string) {
		must(t, within(d.first.ns, func() error {
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader(rules)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("nft: %w: %s", err, out)
			}
			return nil
		}))
	}
	firewall("table ip t {\n chain c {\n type filter hook output priority 0\n ip protocol vrrp drop\n }\n}\n")
	d.want(t, "the second one is master", false)
	holdsFor(t, "the first one stays out", 2*time.Second, func() bool { return d.first.vips(t) == "" })
	firewall("flush ruleset\n")
	d.want(t, "the first one is master again", true)
}
