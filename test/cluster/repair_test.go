package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// repairBound is within what time a drift is repaired, by the director's event, and
// contentsBound within what time one of a table's contents is.
const (
	repairBound   = 2 * time.Second
	contentsBound = 10 * time.Second
)

const vipOfTheSeed = "192.168.25.100/32"

// Another program changes what weir has set up on the machines of a running cluster: that is
// repaired within the bound and logged once, and clients are answered.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for _, tt := range []struct {
		name string
		node *lab.Node
		kind string
		do   func(n *lab.Node) error
		// repaired says whether the change was repaired.
		repaired func(n *lab.Node) error
	}{
		{"the master's VIP is removed", c.node01, "vip_addresses",
			ip("addr", "del", vipOfTheSeed, "dev", "ens160"), has("ens160", true)},
		{"the standby gets the VIP", c.node02, "stray_addresses",
			ip("addr", "add", vipOfTheSeed, "dev", "ens160"), has("ens160", false)},
		{"a real server's VIP is removed from lo", c.node02, "real_server",
			ip("addr", "del", vipOfTheSeed, "dev", "lo"), has("lo", true)},
		{"a real server answers ARP for the VIP", c.node02, "real_server",
			func(n *lab.Node) error { return sysctl(n, "arp_ignore", "0") }, arpIgnored},
		{"all services are deleted", c.node01, "services", deleteServices, func(*lab.Node) error { return nil }},
		{"the program is detached", c.node01, "attachments", detachIngress, func(*lab.Node) error { return nil }},
		{"the pins are removed", c.node01, "pins", removePins, pinsAreThere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := *c
			c.t = t
			begun, bound := time.Now(), repairBound
			if tt.kind == "services" {
				bound = contentsBound
			}
			c.must(tt.do(tt.node))
			e, err := tt.node.WaitFrom(c.within(20*time.Second), begun, "drift of "+tt.kind+" repaired", isRepaired(tt.kind))
			if err != nil {
				t.Fatal(err)
			}
			c.wantAtMost("repaired after", e.Time.Sub(begun), bound+slack)
			ctx := c.within(5 * time.Second)
			for tt.repaired(tt.node) != nil && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			c.must(tt.repaired(tt.node))
			c.wantSplit(100, 200)
			if v, err := c.node01.View(); err != nil || v.State != model.Master {
				t.Errorf("node01 is %q, %v; want it to be master all the time", v.State, err)
			}
		})
	}
	t.Run("the next process takes up what was pinned again", func(t *testing.T) {
		c := *c
		c.t = t
		before, err := pinnedTable(c.node01, "conn_slots")
		c.must(err)
		c.must(c.node01.KillWeir())
		c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
		after, err := pinnedTable(c.node01, "conn_slots")
		c.must(err)
		if before != after {
			t.Errorf("the connections are in table %d, want %d as before", after, before)
		}
		c.waitAnswer()
	})
}

// isRepaired matches the repair of a drift of this kind.
func isRepaired(kind string) func(model.Event) bool {
	return func(e model.Event) bool { return e.Kind == model.DriftRepaired && e.Detail("kind") == kind }
}

// pinnedTable is the kernel's ID of a pinned table.
func pinnedTable(n *lab.Node, name string) (ebpf.MapID, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(n.PinDir(), name), nil)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID()
	return id, nil
}

// A machine that no other program changes has no drift, also during a takeover and back.
func TestNoDriftInATakeover(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.must(c.node01.StopWeir(c.within(10 * time.Second)))
	c.waitState(c.node02, time.Time{}, "master", 10*time.Second)
	mark := time.Now()
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	c.waitState(c.node02, mark, "backup", 15*time.Second)
	c.waitAnswer()
	for _, n := range c.Nodes() {
		// That this drift is repaired proves that both directors have compared since then.
		spoilt := map[string]int{"services": 1, "real_server": 1}
		c.must(deleteServices(n))
		c.must(sysctl(n, "arp_ignore", "0"))
		for kind := range spoilt {
			_, err := n.Wait(c.within(10*time.Second), "drift of "+kind+" repaired", isRepaired(kind))
			c.must(err)
		}
		events, err := n.Happened(c.within(5*time.Second), time.Time{})
		c.must(err)
		for _, e := range events {
			kind := e.Detail("kind")
			if spoilt[kind]--; kind != "" && spoilt[kind] < 0 {
				t.Errorf("%s: %s", n.Spec.Name, lab.Line(e))
			}
		}
	}
}

func ip(args ...string) func(*lab.Node) error {
	return func(n *lab.Node) error {
		out, err := exec.Command("ip", append([]string{"-n", n.Namespace().Name}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	}
}

func has(device string, want bool) func(*lab.Node) error {
	return func(n *lab.Node) error {
		addrs, err := n.Namespace().Addrs(device)
		if err == nil && slices.Contains(addrs, netip.MustParsePrefix(vipOfTheSeed)) != want {
			err = fmt.Errorf("%s of %s has %v, the VIP there: want %t", device, n.Spec.Name, addrs, want)
		}
		return err
	}
}

func sysctl(n *lab.Node, name, value string) error {
	return n.Namespace().Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/"+name, []byte(value), 0o644)
	})
}

func arpIgnored(n *lab.Node) error {
	return n.Namespace().Do(func() error {
		value, err := os.ReadFile("/proc/sys/net/ipv4/conf/all/arp_ignore")
		if err == nil && string(value) != "1\n" {
			err = fmt.Errorf("arp_ignore is %q", value)
		}
		return err
	})
}

func deleteServices(n *lab.Node) error {
	services, err := ebpf.LoadPinnedMap(filepath.Join(n.PinDir(), "services"), nil)
	if err != nil {
		return err
	}
	defer services.Close()
	var keys [][]byte
	var key, value []byte
	entries := services.Iterate()
	for entries.Next(&key, &value) {
		keys = append(keys, slices.Clone(key))
	}
	if err := entries.Err(); err != nil || len(keys) == 0 {
		return fmt.Errorf("%d services: %w", len(keys), err)
	}
	for _, key := range keys {
		if err := services.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func detachIngress(n *lab.Node) error {
	pins, err := filepath.Glob(filepath.Join(n.PinDir(), "ingress_*"))
	if err != nil || len(pins) != 1 {
		return fmt.Errorf("the pins of programs are %v: %w", pins, err)
	}
	l, err := link.LoadPinnedLink(pins[0], nil)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Detach()
}

func removePins(n *lab.Node) error { return os.RemoveAll(n.PinDir()) }

func pinsAreThere(n *lab.Node) error {
	for name, want := range map[string]int{"services": 1, "conn_slots": 1, "leases": 1, "ingress_*": 1, "egress_*": 2} { // of lo, too
		found, err := filepath.Glob(filepath.Join(n.PinDir(), name))
		if err != nil || len(found) != want {
			return fmt.Errorf("%s: pinned are %v, want %d; %w", name, found, want, err)
		}
	}
	return nil
}
