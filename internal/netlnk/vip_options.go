package netlnk

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// AddressOptions are what an address has beside its network, in the words of "ip address".
// They are comparable; the zero value has none.
type AddressOptions struct {
	// Broadcast, Scope and Label are for IPv4. Broadcast is an address, "+" or "-" for all
	// bits of the host set or not; empty is none. Scope is a scope's name or number; empty
	// is global.
	Broadcast, Scope, Label string
	// Peer is the address at the other end, whose mask the address's Prefix has then.
	Peer netip.Addr
	// Detect has the kernel look for duplicates of an IPv6 address before it is used.
	Detect bool
	// Home, Temporaries, NoPrefixRoute and AutoJoin are the kernel's flags IFA_F_HOMEADDRESS,
	// IFA_F_MANAGETEMPADDR, IFA_F_NOPREFIXROUTE and IFA_F_MCAUTOJOIN.
	Home, Temporaries, NoPrefixRoute, AutoJoin bool
	// Unmarked leaves out AddedByWeir: the address is the machine's own.
	Unmarked bool
	// Source has AddedAsSource instead.
	Source bool
}

// flags are the kernel's of an address (IFA_F_* in linux/if_addr.h).
func (o AddressOptions) flags(ipv6 bool) (flags uint32) {
	if ipv6 && !o.Detect {
		flags |= unix.IFA_F_NODAD
	}
	for flag, set := range map[uint32]bool{
		unix.IFA_F_HOMEADDRESS: o.Home, unix.IFA_F_MANAGETEMPADDR: o.Temporaries,
		unix.IFA_F_NOPREFIXROUTE: o.NoPrefixRoute, unix.IFA_F_MCAUTOJOIN: o.AutoJoin,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// broadcast is the broadcast address of an IPv4 address; invalid is none.
func (o AddressOptions) broadcast(p netip.Prefix) (netip.Addr, error) {
	set := byte(0)
	switch o.Broadcast {
	case "":
		return netip.Addr{}, nil
	case "+":
		set = 0xff
	case "-":
	default:
		a, err := netip.ParseAddr(o.Broadcast)
		if err != nil {
			return a, fmt.Errorf("broadcast address: %w", err)
		}
		return a, nil
	}
	all := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		all[i/8] |= set & (0x80 >> (i % 8))
	}
	return netip.AddrFrom4(all), nil
}
