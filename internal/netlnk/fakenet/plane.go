package fakenet

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"weir/internal/netlnk"
	"weir/lvs"
	"weir/vrrp/pace"
)

// Set makes a plan the one in force: each of its instances has a lease from then on,
// and no other. One that is known keeps it as it runs.
func (m *Machine) Set(plan lvs.Plan) error {
	m.mu.Lock()
	do := m.onSet
	m.onSet = nil
	m.mu.Unlock()
	if do != nil {
		do()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuses("set"); err != nil {
		return err
	}
	leases := map[lvs.InstanceID]time.Time{}
	for _, in := range plan.Instances {
		leases[in.ID] = m.leases[in.ID]
	}
	m.leases, m.plan = leases, &plan
	return nil
}

// Check refuses what the test has asked it to.
func (m *Machine) Check(lvs.Plan) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuses("check")
}

// Find does nothing: all servers are known.
func (m *Machine) Find(lvs.Plan) {}

// Ahead does nothing: all is ready here.
func (m *Machine) Ahead(lvs.Plan) {}

// Plan is the one in force.
func (m *Machine) Plan() lvs.Plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plan == nil {
		return lvs.Plan{}
	}
	return *m.plan
}

// Renew is that of ha.Leases.
func (m *Machine) Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.setLease("renew", id, sent.Add(d))
}

// Hold is that of ha.Leases: no thread renews a lease of a machine that does not exist.
func (m *Machine) Hold(lvs.InstanceID) (*pace.Lease, error) { return nil, nil }

// Release is that of ha.Leases.
func (m *Machine) Release(id lvs.InstanceID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.setLease("release", id, time.Time{})
}

func (m *Machine) setLease(call string, id lvs.InstanceID, until time.Time) error {
	if err := m.refuses(call); err != nil {
		return err
	}
	if _, known := m.leases[id]; !known {
		return fmt.Errorf("instance %s has no lease", id)
	}
	m.leases[id] = until
	return nil
}

// Leased is that of ha.Leases.
func (m *Machine) Leased(id lvs.InstanceID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, known := m.leases[id]
	if !known {
		return false, fmt.Errorf("instance %s has no lease", id)
	}
	return until.After(time.Now()), m.refuses("leased")
}

// Serving lists the servers of the plan in force.
func (m *Machine) Serving(key lvs.ServiceKey) (servers []netip.AddrPort, ok bool) {
	for _, vs := range m.Plan().Services {
		if vs.ServiceKey == key {
			for _, rs := range vs.RealServers {
				servers = append(servers, rs.AddrPort())
			}
			return servers, true
		}
	}
	return nil, false
}

// Directors are those of the plan in force.
func (m *Machine) Directors() []lvs.Director { return m.Plan().Directors }

// Live counts one connection for each server.
func (m *Machine) Live(key lvs.ServiceKey) map[netip.AddrPort]int {
	live := map[netip.AddrPort]int{}
	servers, _ := m.Serving(key)
	for _, server := range servers {
		live[server] = 1
	}
	return live
}

// Hops are those that Resolve finds for the plan in force.
func (m *Machine) Hops() map[netip.Addr]netlnk.NextHop {
	hops := map[netip.Addr]netlnk.NextHop{}
	for _, vs := range m.Plan().Services {
		for _, rs := range vs.RealServers {
			hops[rs.Addr], _ = m.Resolve(rs.Addr)
		}
	}
	return hops
}

// Run waits for the end of ctx.
func (m *Machine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
