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

// Exits are the devices by which balanced packets leave this machine. XDP drops a frame
// without a word that it redirects to a device which does not send such frames.
type Exits struct {
	// Devices are the indexes of the devices that lead to the servers.
	Devices []int
	// Answers says that answers of servers pass, which are behind NAT: they leave by the
	// device that the client's packets came by, which may be any device with a program.
	Answers bool
}

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

// avoidances say for each device why native XDP must not be chosen there by itself,
// though it could: a device by which its packets leave does not send what XDP redirects
// to it. A device that is known to send has native XDP of its own, which most drivers
// ask for (ndo_xdp_xmit of virtio_net, ixgbe and others), and tells that it sends. So a
// device that loses native XDP may take it from others.
func avoidances(ports map[int]port, exits Exits) map[int]string {
	to := slices.Clone(exits.Devices)
	native := map[int]bool{}
	for index, p := range ports {
		if p.wanted != "" && exits.Answers && !slices.Contains(to, index) {
			to = append(to, index)
		}
		native[index] = p.mayBeNative()
	}
	slices.Sort(to)
	avoid := map[int]string{}
	for again := true; again; {
		again = false
		for index := range native {
			if avoid[index] != "" || !native[index] && !isXDP(ports[index].wanted) {
				continue
			}
			if avoid[index] = refusal(ports, native, index, to); avoid[index] == "" {
				continue
			}
			if auto(ports[index].wanted) {
				native[index], again = false, true
			}
		}
	}
	return avoid
}

func isXDP(h lvs.Hook) bool { return h == lvs.HookNative || h == lvs.HookGeneric }

func auto(h lvs.Hook) bool { return h == lvs.HookAuto || h == "" }

// refusal says why XDP at a device cannot send to one of the others; "" where it can to
// all. Generic XDP sends to each that has Ethernet.
func refusal(ports map[int]port, native map[int]bool, from int, to []int) string {
	generic := ports[from].wanted == lvs.HookGeneric
	for _, index := range to {
		p, known := ports[index]
		if index == from || !known {
			continue
		}
		if why := p.deaf(native[index]); why != "" && (!generic || p.link.Layer3) {
			return fmt.Sprintf("packets leave by %s, %s", p.link.Name, why)
		}
	}
	return ""
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

// avoidances say by name for which of the wanted devices native XDP must not be chosen,
// and why, or why XDP loses packets where the configuration asks for it.
func (a *Devices) avoidances() map[string]string {
	ports, err := a.ports()
	if err != nil {
		a.noteFailure(Kind, err)
	}
	avoid := map[string]string{}
	for index, why := range avoidances(ports, a.exits) {
		if why != "" {
			avoid[ports[index].link.Name] = why
		}
	}
	return avoid
}

// ports are the wanted devices and the exits as the choice of hooks looks at them, by
// index; none where no device may have XDP, and there is nothing to choose.
func (a *Devices) ports() (ports map[int]port, err error) {
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
	for _, index := range a.exits.Devices {
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
