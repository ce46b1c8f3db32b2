package netlnk_test

import (
	"slices"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// A veth device sends what XDP redirects to it once its peer takes such frames, and tells.
func TestXDPSends(t *testing.T) {
	near, far := pair(t)
	index := 0
	sends := func() (sends, known bool) {
		near.Do(func() {
			var err error
			index = link(t, "ens160").Index
			if sends, known, err = netlnk.XDPSends(index); err != nil {
				t.Fatal(err)
			}
		})
		return sends, known
	}
	yes, known := sends()
	if !known {
		return // before Linux 6.3 no device tells
	}
	if yes {
		t.Error("it sends, though its peer takes no frames of XDP")
	}
	far.Do(func() { nstest.PassXDP(t, "ens160") })
	if yes, _ := sends(); !yes {
		t.Error("it does not send, though its peer takes frames of XDP")
	}
	if yes, known, err := netlnk.XDPSends(index + 1000); err == nil {
		t.Errorf("a device that does not exist: %t, %t, want an error", yes, known)
	}
}

// A next hop by a device without Ethernet needs no neighbour.
func TestResolveWithoutEthernet(t *testing.T) {
	near, _ := pair(t)
	near.Batch("tuntap add tun0 mode tun", "link set tun0 up", "addr add 10.8.0.1/24 dev tun0")
	near.Do(func() {
		if l := link(t, "tun0"); !l.Layer3 || len(l.MAC) > 0 {
			t.Errorf("%+v, want a device without Ethernet", l)
		}
		if l := link(t, "ens160"); l.Layer3 {
			t.Errorf("%+v, want a device with Ethernet", l)
		}
		hop := resolve(t, addr("10.8.0.7"))
		if !hop.Valid || hop.Refused != "" || len(hop.Src)+len(hop.Dst) > 0 || hop.MTU != 1500 {
			t.Errorf("%+v, want valid, without addresses", hop)
		}
		resolver, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer resolver.Close()
		if again, err := resolver.Resolve(addr("10.8.0.7")); err != nil || !again.Valid {
			t.Errorf("%+v, %v, want the same", again, err)
		}
	})
}

// A bridge that has no port has an Ethernet address of zeros, and is Ethernet all the same.
func TestBridgeWithoutPorts(t *testing.T) {
	near, _ := pair(t)
	near.Batch("link add br0 type bridge", "link set br0 up", "addr add 10.8.0.1/24 dev br0",
		"link add port0 type veth peer name port1", "link set port0 master br0", "link set port0 nomaster")
	near.Do(func() {
		if l := link(t, "br0"); len(l.MAC) != 6 || l.Layer3 {
			t.Errorf("%+v, want a device with Ethernet", l)
		}
		names, _, err := netlnk.ClientDevices()
		if err != nil || !slices.Contains(names, "br0") {
			t.Errorf("clients come by %v, %v, want br0, too", names, err)
		}
		resolver, err := netlnk.NewResolver()
		if err != nil {
			t.Fatal(err)
		}
		defer resolver.Close()
		again, err := resolver.Resolve(addr("10.8.0.7"))
		if hop := resolve(t, addr("10.8.0.7")); hop.Refused != "" || hop.Valid || again.Refused != "" || err != nil {
			t.Errorf("%+v and %+v, %v, want a neighbour that is not known", hop, again, err)
		}
	})
}
