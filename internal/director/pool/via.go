package pool

import (
	"hash/fnv"
	"net/netip"

	"weir/conf"
	"weir/lvs"
)

// viaChecks are the checks of check_via_vip, by real server: one for each of the virtual
// server's services that can be checked so.
func viaChecks(vs conf.VirtualServer) [][]conf.Check {
	all := make([][]conf.Check, len(vs.RealServers))
	if !vs.Beyond.CheckViaVIP {
		return all
	}
	for _, key := range vs.Keys {
		if !conf.Checkable(key) {
			continue
		}
		numbers := map[uint32]bool{}
		for i := range vs.RealServers {
			rs := serverOf(&vs.RealServers[i])
			if !fits(rs, key) {
				continue
			}
			server := as(rs, key).AddrPort()
			of := lvs.CheckKey(key, checkNumber(server, numbers))
			all[i] = append(all[i], conf.Check{
				Kind: conf.CheckViaVIP, Connect: netip.AddrPortFrom(key.Addr, key.Port), Timers: vs.RealServers[i].Timers,
				Via: &conf.ViaVIP{Server: server, Method: rs.Method, Key: of, Mark: of.Mark},
			})
		}
	}
	return all
}

// checkNumber is the number of a server among the checks of its service. It hangs on its
// address, so that other servers may come and go; where two have one, on their order.
func checkNumber(server netip.AddrPort, taken map[uint32]bool) uint32 {
	h := fnv.New32a()
	h.Write([]byte(server.String())) // which never fails
	number := h.Sum32() & lvs.MaxCheckNumber
	for taken[number] {
		number = (number + 1) & lvs.MaxCheckNumber
	}
	taken[number] = true
	return number
}

// viaServices are those by which the data plane forwards the member's checks.
func (m *member) viaServices() (all []lvs.VirtualServer) {
	for _, c := range m.checkers {
		if via := c.spec.Via; via != nil {
			rs := m.server
			rs.Port, rs.Weight, rs.Upper, rs.Lower = via.Server.Port(), 1, 0, 0
			all = append(all, lvs.VirtualServer{ServiceKey: via.Key, Scheduler: lvs.RoundRobin, RealServers: []lvs.RealServer{rs}})
		}
	}
	return all
}
