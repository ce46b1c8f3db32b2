package netlnk_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"weir/internal/netlnk"
)

// expect reads events until one matches.
func expect(t *testing.T, events <-chan netlnk.Event, kind netlnk.Kind, index int) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the channel closed, want %v of device %d", kind, index)
			}
			if e.Kind == kind && (index == 0 || e.Index == index) {
				return
			}
		case <-timeout:
			t.Fatalf("no event in a minute, want %v of device %d", kind, index)
		}
	}
}

func TestWatch(t *testing.T) {
	near, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events <-chan netlnk.Event
	var index int
	near.Do(func() {
		var err error
		if events, err = netlnk.Watch(ctx); err != nil {
			t.Fatal(err)
		}
		index = link(t, "ens160").Index
	})
	steps := []struct {
		ip   string
		kind netlnk.Kind
	}{
		{"address add 192.168.25.100/32 dev ens160", netlnk.AddressChanged},
		{"address add fd25::100/128 dev ens160", netlnk.AddressChanged},
		{"address del 192.168.25.100/32 dev ens160", netlnk.AddressChanged},
		{"route add 10.0.0.0/8 via 192.168.25.32", netlnk.RouteChanged},
		{"route add fd10::/16 via fd25::32", netlnk.RouteChanged},
		{"neighbour add 192.168.25.50 lladdr 02:00:00:00:00:01 dev ens160", netlnk.NeighbourChanged},
		{"link set ens160 mtu 1400", netlnk.LinkChanged},
		{"link set ens160 down", netlnk.LinkChanged},
	}
	for _, s := range steps {
		near.IP(strings.Fields(s.ip)...)
		expect(t, events, s.kind, index)
	}
	// A route by a nexthop object is not told of again when the object changes.
	near.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/nexthop_compat_mode", []byte("0"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	near.Batch("link set ens160 up", "link add other type bridge", "addr add 10.7.0.1/24 dev other", "link set other up")
	for _, change := range []string{
		"nexthop add id 1 via 192.168.25.32 dev ens160", "route add 10.9.0.0/24 nhid 1", "nexthop replace id 1 via 10.7.0.2 dev other", "nexthop del id 1",
	} {
		settle(t, events)
		near.IP(strings.Fields(change)...)
		expect(t, events, netlnk.RouteChanged, 0)
	}
	settle(t, events)
	near.IP(strings.Fields("xfrm policy add src 0.0.0.0/0 dst 10.9.0.0/24 dir out action block")...)
	expect(t, events, netlnk.RouteChanged, 0)
	cancel()
	for range events { // closes
	}
}

// settle reads the events of what was done before.
func settle(t *testing.T, events <-chan netlnk.Event) {
	t.Helper()
	for {
		select {
		case <-events:
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

// A reader that is slower than the socket's buffer lasts gets an Overrun.
func TestWatchOverrun(t *testing.T) {
	near, _ := pair(t)
	var events <-chan netlnk.Event
	near.Do(func() {
		var err error
		if events, err = netlnk.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	var batch strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&batch, "route add 10.%d.%d.0/24 dev ens160\n", i>>8, i&255)
	}
	cmd := exec.Command("ip", "-n", near.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s", err, out)
	}
	expect(t, events, netlnk.Overrun, 0)
	// The watch goes on.
	near.IP("link", "set", "ens160", "mtu", "1400")
	expect(t, events, netlnk.LinkChanged, 0)
}
