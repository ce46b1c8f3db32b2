package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weir/internal/netlnk"
)

// lookAtTunnels verifies that tunnelled packets for the VIPs are decapsulated.
func (r *Report) lookAtTunnels(s *state, links []netlnk.Link) error {
	if s.Decap == nil {
		return nil
	}
	want, err := s.layout()
	if err != nil {
		r.problem("decapsulation: %v", err)
		return nil
	}
	if s.Decap.By == DecapKernel {
		return r.lookAtTunnelDevices(s, want, links)
	}
	return r.lookAtProgram(s, want)
}

// again is the command that repairs decapsulation, for a Problem.
func again(s *state) string {
	return fmt.Sprintf("run weir realserver start --method tunnel --vip %s", s.tunnelVIPs()[0])
}

func (r *Report) lookAtProgram(s *state, want layout) error {
	var names []string
	var sums [decapDecapCountDECAP_COUNTS]uint64
	for _, l := range want.devices {
		t, err := attachedTo(l)
		if err != nil {
			return err
		}
		if t == nil {
			r.problem("decapsulation is not attached to %s: %s", l.Name, again(s))
			continue
		}
		err = r.lookAtTables(s, want, l, t)
		if err == nil {
			sums, err = t.counts()
		}
		t.close()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(s.tunnelVIPs(), netip.Addr.Is4) {
			if err := r.lookAtReversePath(l); err != nil {
				return err
			}
		}
		names = append(names, l.Name)
	}
	if len(names) > 0 {
		r.note("packets come out of tunnels by a BPF program on %s, sent to %s by %s",
			strings.Join(names, ", "), join(want.addrs), senders(s))
		r.noteCounts(sums)
	}
	return nil
}

// lookAtTables compares the program's tables with the present configuration and addresses.
func (r *Report) lookAtTables(s *state, want layout, l netlnk.Link, t tables) error {
	for _, table := range []struct {
		name, is string
		want     []netip.Addr
	}{
		{"vips", "addresses that may come out of a tunnel", s.tunnelVIPs()},
		{"tunnel_addrs", "addresses that tunnels may end at", want.addrs},
		{"directors", "directors that may send", s.Decap.Directors},
	} {
		got, err := t.addrs(table.name)
		if err != nil {
			return err
		}
		sorted := slices.SortedFunc(slices.Values(table.want), netip.Addr.Compare)
		if !slices.Equal(got, sorted) {
			r.problem("%s: the %s are %s, expected %s: %s", l.Name, table.is, join(got), join(sorted), again(s))
		}
	}
	return nil
}

// lookAtReversePath finds devices whose rp_filter drops decapsulated packets: a strict one
// drops them unless the route to the client uses the same device.
func (r *Report) lookAtReversePath(l netlnk.Link) error {
	strict, err := strictReversePath(l.Name)
	if err != nil || !strict {
		return err
	}
	leads, err := netlnk.DefaultRouteBy(l.Index)
	if err != nil {
		return err
	}
	if leads {
		r.note("rp_filter of %s is strict: packets of clients to whom another device leads are dropped", l.Name)
		return nil
	}
	r.problem("rp_filter of %s is strict, and no default route leads by it, so packets of clients from elsewhere are dropped: run sysctl -w net/ipv4/conf/%s/rp_filter=2",
		l.Name, l.Name)
	return nil
}

// strictReversePath says whether rp_filter is strict on a device: the kernel uses the
// larger of its value and that of "all", and 1 is strict.
func strictReversePath(dev string) (bool, error) {
	all, err := netlnk.Sysctl("all", "rp_filter")
	if err != nil {
		return false, err
	}
	own, err := netlnk.Sysctl(dev, "rp_filter")
	if errors.Is(err, netlnk.ErrNoDevice) {
		return false, nil // it was removed meanwhile
	}
	return max(all, own) == "1", err
}

func (r *Report) lookAtTunnelDevices(s *state, want layout, links []netlnk.Link) error {
	var names []string
	for _, t := range want.tunnels {
		have, err := netlnk.TunnelByName(t.Name)
		if err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			return err
		}
		if have != t {
			r.problem("there is no tunnel device %s, %s from %s to %s: %s", t.Name, t.Kind, end(t.Remote), end(t.Local), again(s))
			continue
		}
		if !find(links, t.Name).Up {
			r.problem("%s is down, so packets do not come out of the tunnel: %s", t.Name, again(s))
		}
		strict, err := strictReversePath(t.Name)
		if err != nil {
			return err
		}
		addressed, err := netlnk.HasAddress(t.Name, tunnelAddress)
		if err != nil {
			return err
		}
		if strict || !addressed {
			r.problem("rp_filter of %s is strict, or it has lost its address %s, so IPv4 packets that come out of the tunnel are dropped: %s",
				t.Name, tunnelAddress, again(s))
		}
		names = append(names, t.Name)
	}
	if len(names) > 0 {
		r.note("packets come out of tunnels by the kernel's %s, sent by %s: whatever their inner address, where a BPF program (--decap bpf) would take the virtual ones only",
			strings.Join(names, ", "), senders(s))
	}
	return nil
}

// passedNotes say, for each counter, why packets were not decapsulated.
var passedNotes = [...]struct {
	count decapDecapCount
	text  string
}{
	{decapDecapCountPASSED_ADDRESS, "were sent to another address than the tunnel's"},
	{decapDecapCountPASSED_FRAGMENT, "were fragments of tunnelled packets, which cannot be taken: the way from the director needs a larger MTU"},
	{decapDecapCountPASSED_OPTIONS, "had an outer header with options, which is not taken"},
	{decapDecapCountPASSED_MALFORMED, "were malformed"},
	{decapDecapCountPASSED_SOURCE, "came from no director"},
	{decapDecapCountPASSED_INNER, "were for no virtual address"},
	{decapDecapCountPASSED_REFUSED, "were refused by the kernel: before Linux 6.3 it cannot take IPv6 out of IPv4, or IPv4 out of IPv6, for a program"},
	{decapDecapCountDROPPED_CE, "were dropped, since they met congestion and could not say so (RFC 6040)"},
}

// noteCounts reports the counters, which run since the program was first attached.
func (r *Report) noteCounts(sums [decapDecapCountDECAP_COUNTS]uint64) {
	r.note("packets that came out: %d", sums[decapDecapCountDECAPSULATED])
	for _, p := range passedNotes {
		if n := sums[p.count]; n > 0 {
			r.note("packets that did not: %d %s", n, p.text)
		}
	}
}

func senders(s *state) string {
	if len(s.Decap.Directors) == 0 {
		return "anybody"
	}
	return join(s.Decap.Directors)
}

func end(a netip.Addr) string {
	if !a.IsValid() {
		return "any"
	}
	return a.String()
}

func join(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}
