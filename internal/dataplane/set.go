package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane/attach"
	"weir/internal/dataplane/conn"
	"weir/internal/dataplane/kmap"
	"weir/internal/dataplane/mark"
	"weir/internal/dataplane/nexthop"
	"weir/internal/dataplane/service"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/lvs"
	"weir/vrrp/pace"
)

// Attachment tells where the data plane gets a device's packets, and why there.
type Attachment = attach.Attachment

// Set makes the data plane do what the state says, and nothing else. What is as the
// last state had it is not written again. What cannot be done is said in one error;
// the rest is done. It waits up to 100 ms for the neighbours of new servers, and then
// without any lock that another method takes.
func (p *Plane) Set(state lvs.Plan) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	if err := p.services.Fits(state); err != nil {
		return err
	}
	p.planned.Store(true)
	timeouts, err := conn.TimeoutsOf(state.Timeouts)
	if err != nil {
		return err
	}
	leases, err := p.leases.Set(state.Instances)
	if err != nil {
		return err
	}
	errs := []error{p.conns.SetTimeouts(timeouts), p.followDirectors(p.directors.Set(state.Directors)), p.marks.Set(state.Marks)}
	errs = append(errs, p.cutIf(p.access.Set(state.Deny, state.Allow)))
	find := nexthop.NewFinder(p.log, &p.paths, &p.silent)
	defer find.Close()
	devices := devicesOf(state)
	p.devices.Ahead(devices)
	errs = append(errs, p.services.Set(state, leases, find))
	errs = append(errs, p.devices.Set(devices, p.services.Exits()), p.takeOver())
	if p.services.Expiring() {
		err := p.conns.ExpireRemoved()
		if err == nil {
			p.services.Expired()
		}
		errs = append(errs, err)
	}
	if err = errors.Join(errs...); errors.Is(err, unix.ENOMEM) { // E2BIG is a table that is full
		return p.need.explain(err)
	}
	if err == nil && p.unfinished.Load() {
		err = p.devices.Unless(func() error { return kmap.Finish(p.pinDir) })
		p.unfinished.Store(err != nil)
	}
	return err
}

// devicesOf are the devices that a state asks for.
func devicesOf(state lvs.Plan) attach.Wanted {
	return attach.Wanted{Devices: state.Devices, Everywhere: state.Everywhere, Excluded: state.Excluded}
}

// Ahead begins to load the programs that the first Set of a state like this one needs, and does not
// wait for them. Of the state only the devices count.
func (p *Plane) Ahead(state lvs.Plan) {
	p.setting.Lock()
	defer p.setting.Unlock()
	p.devices.Ahead(devicesOf(state))
}

// Unfinished says whether no state has been set yet, and no earlier process has left one.
func (p *Plane) Unfinished() bool { return p.unfinished.Load() }

// Find has the next hops to servers that a state adds looked for. A Set of the state, or of
// steps towards it, then finds them, and does not wait for neighbours that do not answer. It
// waits up to 100 ms, without any lock that another method takes.
func (p *Plane) Find(state lvs.Plan) {
	find := nexthop.NewFinder(p.log, &p.paths, &p.silent)
	defer find.Close()
	p.services.Find(state, find)
}

// followDirectors has every flow take the full path once where it may come from another
// director now. Its arguments are results of p.directors.
func (p *Plane) followDirectors(changed bool, err error) error {
	if changed {
		err = errors.Join(err, p.conns.ForgetFlows())
	}
	return err
}

// Check says in one error what of a state cannot be, and does nothing: what Set
// refuses, as far as that can be known before.
func (p *Plane) Check(state lvs.Plan) error {
	errs := []error{p.services.Fits(state)}
	if _, err := conn.TimeoutsOf(state.Timeouts); err != nil {
		errs = append(errs, err)
	}
	for _, r := range state.Marks {
		if err := mark.Check(r); err != nil {
			errs = append(errs, fmt.Errorf("mark %d: %w", r.Mark, err))
		}
	}
	for _, d := range state.Devices {
		if slices.Contains(state.Excluded, d.Name) {
			continue
		}
		if _, err := netlnk.LinkByName(d.Name); err != nil {
			errs = append(errs, fmt.Errorf("device %s: %w", d.Name, err))
		}
	}
	return errors.Join(append(errs, p.services.Check(state.Services))...)
}

// Renew lets the instance's services forward for so long after it sent an
// advertisement. It is an error for an instance that no state has named.
func (p *Plane) Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error {
	return p.leases.Renew(id, sent, d)
}

// Hold is the instance's lease for a thread that renews it by itself, until Release or until no
// state names the instance.
func (p *Plane) Hold(id lvs.InstanceID) (*pace.Lease, error) { return p.leases.Hold(id) }

// Release ends the instance's lease at once. It is an error for an instance that no
// state has named.
func (p *Plane) Release(id lvs.InstanceID) error { return p.leases.Release(id) }

// Leased says whether the instance's lease still runs: it does for a while when the
// process of a master has died.
func (p *Plane) Leased(id lvs.InstanceID) (bool, error) { return p.leases.Leased(id) }

// Directors are those whose packets are not forwarded again at the moment.
func (p *Plane) Directors() []lvs.Director { return p.directors.List() }

// Off are the devices that the data plane was taken off and cannot be attached to again, by
// their names.
func (p *Plane) Off() map[string]drift.Failure { return p.ledger.Failing(attach.Kind) }

// Attachments lists the devices that the data plane is attached to, beside lo.
func (p *Plane) Attachments() []Attachment { return p.devices.Attachments() }

// Adopted says whether an earlier process had left services in the tables.
func (p *Plane) Adopted() bool { return p.services.Adopted() }

// Anew says whether Open has found tables that did not fit, and has removed them.
func (p *Plane) Anew() bool { return p.anew }

// Serving lists the servers that are in a service's list; ok is false where there is
// no such service.
func (p *Plane) Serving(key lvs.ServiceKey) (servers []netip.AddrPort, ok bool) {
	return p.services.Serving(key)
}

// Live counts the connections of a service's servers: those that are established, and
// of UDP, which never is, all.
func (p *Plane) Live(key lvs.ServiceKey) map[netip.AddrPort]int { return p.services.Live(key) }

// Hops are the next hops to the servers in service, as they are in force.
func (p *Plane) Hops() map[netip.Addr]netlnk.NextHop { return p.services.Hops() }

// Zero has the counters of these services and of their servers count from 0, and
// their rates begin anew, as ipvsadm -Z does; without a key those of all services. A
// service that does not exist is an error. What was counted with servers that are in
// no service now stays (ip_vs_zero_service, net/netfilter/ipvs/ip_vs_ctl.c).
func (p *Plane) Zero(keys ...lvs.ServiceKey) error { return p.services.Zero(keys...) }

var _ service.Finder = (*nexthop.Finder)(nil)
