package conf

import (
	"fmt"
	"net/netip"
	"time"

	"weir/lvs"
)

// The defaults of keepalived.
const (
	defaultPriority  = 100
	ownerPriority    = 255
	defaultAdvert    = time.Second
	defaultGARPDelay = 5 * time.Second
	defaultGARPs     = 5
)

// taken is what instances must not share, with the place of its first use.
type taken struct {
	names map[string]place
	ids   map[lvs.InstanceID]place
	vips  map[netip.Addr]place
}

func resolveInstances(r *reader, raw []*rawInstance) []VRRPInstance {
	first := &taken{map[string]place{}, map[lvs.InstanceID]place{}, map[netip.Addr]place{}}
	var instances []VRRPInstance
	for _, i := range raw {
		first.check(r, i)
		instances = append(instances, i.resolve(r, first))
	}
	return instances
}

// check finds what makes an instance collide with an earlier one.
func (t *taken) check(r *reader, i *rawInstance) {
	if i.head.unclosed() || !unique(r, t.names, i.name, i.head.all(), fmt.Sprintf("vrrp_instance %s is given twice", i.name)) {
		return
	}
	if !i.vrid.set || !i.device.set {
		return
	}
	id := lvs.InstanceID{Interface: i.device.v, VRID: i.vrid.v}
	if before, taken := t.ids[id]; taken {
		r.errorAt(i.vrid.at, fmt.Sprintf("virtual_router_id %d is given twice on %s", id.VRID, id.Interface),
			"expected a number of its own for each instance on an interface", "first given at "+before.String())
		return
	}
	t.ids[id] = i.vrid.at
}

// resolve fills in an instance's defaults.
func (i *rawInstance) resolve(r *reader, first *taken) VRRPInstance {
	state, priority := i.rank()
	v := VRRPInstance{
		Name:           i.name,
		State:          state,
		Interface:      i.device.v,
		VRID:           i.vrid.v,
		Priority:       priority,
		AdvertInterval: i.advert.value(defaultAdvert),
		Version:        i.version.value(2),
		Auth:           Auth{Type: i.auth.value(AuthNone), Password: i.password.v},
		VIPs:           i.resolveVIPs(r, first),
		SourceIP:       i.source.v,
		UnicastPeers:   i.peers,
		NoPreempt:      i.noPreempt.v,
		PreemptDelay:   i.preemptDelay.v,
		GARPDelay:      i.garpDelay.value(defaultGARPDelay),
		GARPRepeat:     max(1, i.garpRepeat.value(defaultGARPs)),
	}
	i.checkPreempt(r, &v)
	return v
}

// rank is the state and priority where one or both are left to the default:
// the owner of the addresses is master, and the other way round.
func (i *rawInstance) rank() (State, uint8) {
	switch {
	case !i.priority.set && i.state.v == Master:
		return Master, ownerPriority
	case i.priority.v == ownerPriority:
		return i.state.value(Master), ownerPriority
	}
	return i.state.value(Backup), i.priority.value(defaultPriority)
}

// checkPreempt clears what contradicts the rest, as keepalived does.
func (i *rawInstance) checkPreempt(r *reader, v *VRRPInstance) {
	if v.NoPreempt && v.State == Master {
		v.NoPreempt = false
		r.warnAt(i.noPreempt.at, "preempt", "nopreempt has no effect with state MASTER", "write state BACKUP on every director")
	}
	switch {
	case v.PreemptDelay == 0:
		return
	case v.State == Master:
		r.warnAt(i.preemptDelay.at, "preempt", "preempt_delay has no effect with state MASTER", "write state BACKUP on every director")
	case v.NoPreempt:
		r.warnAt(i.preemptDelay.at, "preempt", "preempt_delay has no effect with nopreempt", "take one of them out")
	default:
		return
	}
	v.PreemptDelay = 0
}

// resolveVIPs puts each address on its device and refuses one given twice.
func (i *rawInstance) resolveVIPs(r *reader, first *taken) []VIP {
	if i.noVIPs {
		r.warnAt(i.head.all(), "no-vip", i.head.title()+" has no virtual address", "expected virtual_ipaddress { IP }")
	}
	var vips []VIP
	for _, raw := range i.vips {
		addr := raw.prefix.Addr()
		if !unique(r, first.vips, addr, raw.at, fmt.Sprintf("virtual address %s is given twice", addr)) {
			continue
		}
		device := raw.device
		if device == "" {
			device = i.device.v
		}
		vips = append(vips, VIP{Prefix: raw.prefix, Device: device})
	}
	return vips
}
