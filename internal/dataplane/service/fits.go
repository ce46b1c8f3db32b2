package service

import (
	"fmt"
	"net/netip"

	"weir/lvs"
)

// Fits returns an error where the tables are too small for a state.
func (r *Registry) Fits(state lvs.Plan) error {
	type member struct {
		service lvs.ServiceKey
		server  netip.AddrPort
	}
	if r.surelyFits(state) {
		return nil
	}
	services, servers := map[lvs.ServiceKey]bool{}, map[member]bool{}
	for _, vs := range state.Services {
		services[vs.ServiceKey] = true
		for _, rs := range vs.RealServers {
			servers[member{vs.ServiceKey, rs.AddrPort()}] = true
		}
	}
	if most := int(r.maps.Services.MaxEntries()); len(services) > most {
		return fmt.Errorf("%d virtual servers: %d fit; open the data plane with a larger Options.Services", len(services), most)
	}
	if most := int(r.maps.Servers.MaxEntries()); len(servers) > most {
		return fmt.Errorf("%d real servers, all services together: %d fit; open the data plane with a larger Options.RealServers", len(servers), most)
	}
	return nil
}

// surelyFits counts what may be given twice as often as it is given.
func (r *Registry) surelyFits(state lvs.Plan) bool {
	servers := 0
	for _, vs := range state.Services {
		servers += len(vs.RealServers)
	}
	return len(state.Services) <= int(r.maps.Services.MaxEntries()) && servers <= int(r.maps.Servers.MaxEntries())
}

// Known counts the services and servers that have a place in the tables, also those that were
// removed and that connections refer to.
func (r *Registry) Known() (services, servers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.services), len(r.servers)
}
