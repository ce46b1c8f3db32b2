package lvs

import "net/netip"

// Opened is what became of the TCP connections that a real server was sent lately: how many
// were answered, as far as the client's packets tell, and how many were not.
type Opened struct {
	Service              ServiceKey
	Server               netip.AddrPort // as it is in the service
	Answered, Unanswered int
}
