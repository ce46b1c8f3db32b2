package ha

import (
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/vip"
	"weir/vrrp/pace"
)

// wantedOf are an instance's addresses, routes and rules.
func wantedOf(c conf.VRRPInstance) vip.Wanted {
	w := vip.Wanted{Owner: ownerOf(ID(c)), Label: c.Name, Rounds: c.GARPRepeat, Entries: entriesOf(c.Routes, c.Rules)}
	for _, a := range c.Addresses() {
		w.Addresses = append(w.Addresses, addressOf(a))
	}
	w.Extra = vip.Extra{Every: c.GARPExtra.Interval, Delay: c.GARPDelay, Addresses: extraOf(c)}
	return w
}

// extraOf is the first address on each device but that by which advertisements leave: on
// macvlan devices alone, unless garp_extra_if says all (vrrp_send_vmac_update in keepalived's
// vrrp.c). Of an instance's own macvlan device that is one where vmac_xmit_base is set.
func extraOf(c conf.VRRPInstance) (extra []vip.Address) {
	own := c.Interface
	switch {
	case c.VMAC.On:
		own = c.VMAC.Name
	case c.IPVLAN.On:
		own = c.IPVLAN.Name
	}
	seen := map[string]bool{}
	for _, a := range c.Addresses() {
		if a.Base == "" && !c.GARPExtra.All || a.Device == own && !c.VMACXmitBase || seen[a.Device] {
			continue
		}
		seen[a.Device] = true
		extra = append(extra, addressOf(a))
	}
	return extra
}

// addressOf is an address with what its line says of it. With a peer, the mask is the peer's.
func addressOf(a conf.VIP) vip.Address {
	has := func(flag string) bool { return slices.Contains(a.Flags, flag) }
	want := vip.Address{Device: a.Device, Prefix: a.Prefix, Preferred: a.Preferred(), Options: netlnk.AddressOptions{
		Broadcast: a.Broadcast, Scope: a.Scope, Label: a.Label, Detect: has("-nodad"), Home: has("home"),
		Temporaries: has("mngtmpaddr"), NoPrefixRoute: has("noprefixroute"), AutoJoin: has("autojoin"),
	}}
	if a.Peer.IsValid() {
		want.Options.Peer = a.Peer.Addr()
		want.Prefix = netip.PrefixFrom(a.Prefix.Addr(), a.Peer.Bits())
	}
	return want
}

// entriesOf are routes and rules, in the order in which they are added.
func entriesOf(routes []conf.Route, rules []conf.Rule) (all []netlnk.Entry) {
	for _, r := range routes {
		if !r.Unready() {
			all = append(all, netlnk.Entry{Words: r.Words})
		}
	}
	for _, r := range rules {
		all = append(all, netlnk.Entry{Rule: true, Words: r.Words})
	}
	return all
}

// Static is who has the addresses, routes and rules of the machine itself.
const Static vip.Owner = "static"

// staticOf is what static_ipaddress, static_routes and static_rules want. The addresses are
// the machine's own, and are not marked as weir's.
func staticOf(m conf.Machine, device string) vip.Wanted {
	w := vip.Wanted{Owner: Static, Label: "the machine", Entries: entriesOf(m.Routes, m.Rules)}
	for _, a := range m.Addresses {
		w.Addresses = append(w.Addresses, staticAddress(a, device))
	}
	return w
}

// staticAddress is one of static_ipaddress; device is that of an address without dev.
func staticAddress(a conf.VIP, device string) vip.Address {
	want := addressOf(a)
	if want.Options.Unmarked = true; want.Device == "" {
		want.Device = device
	}
	if want.Prefix.Addr().Is6() && a.PreferredLifetime == "" && !want.Prefix.IsSingleIP() {
		want.Preferred = netlnk.PreferredForever
	}
	return want
}

// SetStatic says what this machine has whatever its instances do, from the next SetVIPs on,
// and returns what undoes that.
func (s *Instances) SetStatic(m conf.Machine, device string) (undo func() error) {
	was := s.static
	s.static = staticOf(m, device)
	return func() error {
		s.static = was
		return nil
	}
}

// PutStatic has this machine have it, before any instance looks for an address to speak from.
func (s *Instances) PutStatic() error {
	if _, err := s.machine.VIPs.Set([]vip.Wanted{s.static}); err != nil {
		return err
	}
	s.machine.VIPs.Move(Static, vip.Here)
	s.machine.VIPs.Wait(Static)
	return nil
}

// SetPriority sets the real-time priority of the thread that sends the adverts (vrrp_rt_priority).
func SetPriority(g *conf.Global) { pace.SetPriority(g.VRRPRTPriority) }
