package attach

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"weir/internal/netlnk"
	"weir/lvs"
)

// Exits are the indexes of the devices that lead to the servers. XDP drops a frame without
// a word that it redirects to a device which does not send such frames. Answers of servers
// behind NAT leave by the clients' devices, which may be any: there the programs ask, and
// XDP leaves an answer to tc where it cannot send it (bpf/conn/reply_key.h).
type Exits []int

// port is a device as the choice of hooks looks at it.
type port struct {
	link   netlnk.Link
	wanted lvs.Hook // "" for a device that the data plane is not attached to
	// refused says why native XDP is not to be had here; "" where that is not known.
	refused string
	// mute says why the device does not send what XDP redirects to it, with a program of
	// its own; "" where nothing is known against it.
	mute string
}

// mayBeNative says whether native XDP would be tried here, whatever the exits.
func (p port) mayBeNative() bool {
	return p.wanted != "" && choices(p.wanted, p.link, "")[0].hook == lvs.HookNative && p.refused == ""
}

// choice is the outcome of a choice of hooks, by the devices' indexes.
type choice struct {
	// avoid says why native XDP must not be chosen by itself where it could be, or why XDP
	// that was asked for loses packets.
	avoid map[int]string
	// sends are the wanted devices that are known to send what XDP redirects to them.
	sends map[int]bool
}

// choose chooses where native XDP may be taken: where each device that leads to a server,
// but for the one that a packet came by, is known to send what XDP redirects to it. Such a
// device has native XDP of its own, which most drivers ask for (ndo_xdp_xmit of virtio_net,
// ixgbe and others), and tells that it sends. So a device that loses native XDP may take it
// from others.
func choose(ports map[int]port, exits Exits) choice {
	to := slices.Sorted(slices.Values(exits))
	c := choice{avoid: map[int]string{}, sends: map[int]bool{}}
	native := map[int]bool{}
	for index, p := range ports {
		native[index] = p.mayBeNative()
	}
	order := slices.Sorted(maps.Keys(ports)) // the same devices give the same reasons
	for again := true; again; {
		again = false
		for _, index := range order {
			if c.avoid[index] != "" || !native[index] && !isXDP(ports[index].wanted) {
				continue
			}
			if c.avoid[index] = refusal(ports, native, index, to); c.avoid[index] == "" {
				continue
			}
			if auto(ports[index].wanted) {
				native[index], again = false, true
			}
		}
	}
	for index, p := range ports {
		c.sends[index] = p.wanted != "" && p.deaf(native[index]) == ""
	}
	return c
}

func isXDP(h lvs.Hook) bool { return h == lvs.HookNative || h == lvs.HookGeneric }

func auto(h lvs.Hook) bool { return h == lvs.HookAuto || h == "" }

// refusal says why XDP at a device cannot send to one of the others; "" where it can to
// all. Generic XDP sends to each that has Ethernet. A device that does not send by itself is
// named before one that does not since XDP was taken from it.
func refusal(ports map[int]port, native map[int]bool, from int, to []int) (why string) {
	generic := ports[from].wanted == lvs.HookGeneric
	for _, index := range to {
		p, known := ports[index]
		if index == from || !known || generic && !p.link.Layer3 {
			continue
		}
		if own := p.deaf(p.mayBeNative()); own != "" {
			return fmt.Sprintf("packets leave by %s, %s", p.link.Name, own)
		}
		if taken := p.deaf(native[index]); taken != "" && why == "" {
			why = fmt.Sprintf("packets leave by %s, %s", p.link.Name, taken)
		}
	}
	return why
}

// deaf says why the device does not send what XDP redirects to it.
func (p port) deaf(native bool) string {
	switch {
	case p.link.Layer3:
		return "which has no Ethernet"
	case p.mute != "":
		return p.mute
	case p.link.Kind == "veth" || native:
		return ""
	case p.refused != "":
		return "where native XDP is not to be had"
	case software(p.link):
		return fmt.Sprintf("a %s device, to which XDP does not send", p.link.Kind)
	}
	return "which has no XDP program of its own, without which many cards do not send what XDP redirects to them"
}

// sendingDrivers are drivers that send what XDP redirects to their devices (they have
// ndo_xdp_xmit), for kernels before 6.3, where a device does not tell: those of which
// that is so in Linux 6.1.
var sendingDrivers = []string{
	"virtio_net", "i40e", "ice", "ixgbe", "igb", "igc", "mlx5_core", "bnxt_en", "ena", "sfc", "mvneta", "mvpp2", "hv_netvsc",
}

// muteness asks a device whether it sends what XDP redirects to it. Before it has an XDP
// program, only a veth device's answer counts, whose peer it depends on.
func muteness(l netlnk.Link, attached bool) string {
	sends, known, err := netlnk.XDPSends(l.Index)
	switch {
	case err != nil || !known && !slices.Contains(sendingDrivers, l.Driver):
		return fmt.Sprintf("whose driver %s is not known to send what XDP redirects to it", l.Driver)
	case known && !sends && l.Kind == "veth":
		return "whose peer takes no frames that XDP redirects (it has neither GRO nor an XDP program)"
	case known && !sends && attached:
		return fmt.Sprintf("whose driver %s does not send what XDP redirects to it", l.Driver)
	}
	return ""
}

// chosen is what choose says of the devices as they are now, with the reasons by name.
func (a *Devices) chosen() (avoid map[string]string, sends map[int]bool) {
	ports, err := a.ports()
	if err != nil {
		a.noteFailure(Kind, err)
	}
	avoid = map[string]string{}
	c := choose(ports, a.exits)
	for index, why := range c.avoid {
		if why != "" {
			avoid[ports[index].link.Name] = why
		}
	}
	return avoid, c.sends
}

// forbidSending takes the devices that do not send for XDP, or will not, out of the
// programs' table, and has flows whose answers went by them ask again.
func (a *Devices) forbidSending(sends map[int]bool) error {
	var errs []error
	forgotten := false
	for index := range a.sends.Wrote() {
		if !sends[int(index)] {
			errs = append(errs, a.sends.Drop(index))
			forgotten = true
		}
	}
	if forgotten {
		errs = append(errs, a.forget())
	}
	return errors.Join(errs...)
}

// allowSending enters the devices that send for XDP into the programs' table.
func (a *Devices) allowSending(sends map[int]bool) error {
	var errs []error
	grown := false
	for index, yes := range sends {
		if _, known := a.sends.Wrote()[uint32(index)]; yes && !known {
			errs = append(errs, a.sends.Put(uint32(index), 1))
			grown = true
		}
	}
	if grown {
		errs = append(errs, a.forget())
	}
	return errors.Join(errs...)
}

// ports are the wanted devices and the exits as the choice of hooks looks at them, by
// index; none where no device may have XDP, and there is nothing to choose.
func (a *Devices) ports() (ports map[int]port, err error) {
	if !slices.ContainsFunc(a.want, a.mayHaveXDP) {
		return nil, nil
	}
	ports = map[int]port{}
	xdp := false
	for _, w := range a.want {
		l, e := netlnk.LinkByName(w.Name)
		if e != nil || w.Hook == hookEgress { // Set tells of a device that does not exist
			continue
		}
		p := port{link: l, wanted: cmp.Or(w.Hook, lvs.HookAuto)}
		if d := a.by[w.Name]; d != nil && d.index == l.Index {
			p.refused = d.refused
			a.ask(l, d.hook == lvs.HookNative)
		} else {
			a.ask(l, false)
		}
		p.mute = a.mute[l.Index]
		ports[l.Index] = p
		xdp = xdp || p.mayBeNative() || isXDP(p.wanted)
	}
	if !xdp {
		clear(a.mute)
		return nil, nil
	}
	for _, index := range a.exits {
		if _, known := ports[index]; known {
			continue
		}
		l, e := netlnk.LinkByIndex(index)
		if errors.Is(e, netlnk.ErrNoDevice) { // its servers are about to get another next hop
			continue
		}
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		a.ask(l, false)
		ports[index] = port{link: l, mute: a.mute[index]}
	}
	maps.DeleteFunc(a.mute, func(index int, _ string) bool { _, known := ports[index]; return !known })
	return ports, err
}

// mayHaveXDP says whether a wanted device is to have XDP or may get it. The kernel is not
// asked for a software device once more: there may be hundreds of them.
func (a *Devices) mayHaveXDP(w lvs.Device) bool {
	d := a.by[w.Name]
	return w.Hook != hookEgress && (d == nil || !d.software || isXDP(w.Hook))
}

// ask notes what a device tells of what it sends. What one with native XDP told stays, so
// that it is not tried again and again, but a veth device's answer changes with its peer.
func (a *Devices) ask(l netlnk.Link, native bool) {
	switch {
	case l.Kind == "veth":
		a.mute[l.Index] = muteness(l, native)
	case !software(l) && (native || a.mute[l.Index] == ""):
		a.mute[l.Index] = muteness(l, native)
	}
}
