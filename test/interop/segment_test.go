// Package interop runs weir against the real keepalived on the same segments. Its tests need
// root.
package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespacePrefix marks the namespaces of these tests; the number after it is
// the process that made them.
const namespacePrefix = "weirt-"

// removeStale removes the namespaces of test processes that have died.
func removeStale() error {
	left, err := filepath.Glob("/run/netns/" + namespacePrefix + "*")
	if err != nil {
		return err
	}
	for _, path := range left {
		name := filepath.Base(path)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, namespacePrefix), "-")
		if _, err := os.Stat("/proc/" + pid); err == nil {
			continue
		}
		if err := netns.DeleteNamed(name); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove namespace %q of a dead test: %w", name, err)
		}
	}
	return nil
}

// within runs f on a thread of its own in the namespace; the thread ends with f.
func within(ns netns.NsHandle, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			result <- fmt.Errorf("enter namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// namespace is a network namespace that is configured by netlink.
type namespace struct {
	*netlink.Handle
	ns netns.NsHandle
}

func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	var n namespace
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var err error
		n.ns, err = netns.NewNamed(name)
		result <- err
	}()
	if err := <-result; err != nil {
		t.Fatalf("make namespace %q (needs root): %v", name, err)
	}
	t.Cleanup(func() {
		n.ns.Close()
		if err := netns.DeleteNamed(name); err != nil {
			t.Errorf("remove namespace %q: %v", name, err)
		}
	})
	var err error
	n.Handle, err = netlink.NewHandleAt(n.ns)
	must(t, err)
	t.Cleanup(n.Close)
	return n
}

// segment is a bridge with hosts on it, each in its own namespace.
type segment struct {
	name   string
	sw     namespace
	bridge netlink.Link
	ports  []netlink.Link
}

var segments atomic.Int32 // numbers the segments of this process

func newSegment(t *testing.T) *segment {
	t.Helper()
	s := &segment{name: fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), segments.Add(1))}
	s.sw = newNamespace(t, s.name+"-switch")
	s.bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, s.sw.LinkAdd(s.bridge))
	must(t, s.sw.LinkSetUp(s.bridge))
	return s
}

// host is a machine on a segment: one interface, ens160, with one address.
type host struct {
	namespace
	name string // of the namespace
	addr netip.Addr
	dev  netlink.Link
}

func (s *segment) host(t *testing.T, name, addr string) *host {
	t.Helper()
	h := &host{name: s.name + "-" + name, addr: netip.MustParseAddr(addr)}
	h.namespace = newNamespace(t, h.name)
	h.dev = s.plug(t, h, name, "ens160", addr)
	return h
}

// plug connects a host to the segment by an interface.
func (s *segment) plug(t *testing.T, h *host, port, dev, addr string) netlink.Link {
	t.Helper()
	cable := netlink.NewVeth(netlink.LinkAttrs{Name: port})
	cable.PeerName, cable.PeerNamespace = dev, netlink.NsFd(h.ns)
	must(t, s.sw.LinkAdd(cable))
	outer, err := s.sw.LinkByName(port)
	must(t, err)
	must(t, s.sw.LinkSetMaster(outer, s.bridge))
	must(t, s.sw.LinkSetUp(outer))
	s.ports = append(s.ports, outer)

	inner, err := h.LinkByName(dev)
	must(t, err)
	own, err := netlink.ParseAddr(addr + "/24")
	must(t, err)
	must(t, h.AddrAdd(inner, own))
	must(t, h.LinkSetUp(inner))
	return inner
}

// split separates the hosts of the segment from each other without taking their links down;
// or joins them again.
func (s *segment) split(t *testing.T, apart bool) {
	t.Helper()
	for _, port := range s.ports {
		must(t, s.sw.LinkSetIsolated(port, apart))
	}
}

// owns says whether the host's interface has the address.
func (h *host) owns(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	list, err := h.AddrList(h.dev, netlink.FAMILY_V4)
	must(t, err)
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && ip == addr {
			return true
		}
	}
	return false
}
