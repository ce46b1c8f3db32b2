package vrrp

import "fmt"

// Drop is a reason to drop a received packet.
type Drop uint8

const (
	DropHeader      Drop = iota // the IP header is broken, or a fragment
	DropLength                  // too short or too long for its VIPs
	DropVersion                 // not the version spoken here
	DropType                    // not an advertisement
	DropChecksum                // the VRRP checksum is wrong
	DropVRID                    // of another virtual router: no fault
	DropDestination             // multicast where unicast is spoken, or the other way
	DropSource                  // not a configured unicast peer
	DropTTL                     // multicast, and a router has forwarded it
	DropAuthType                // authenticated in another way
	DropAuthFailure             // authenticated in this way, wrongly
	DropInterval                // another advertisement interval
	DropVIPs                    // another list of VIPs
	numDrops
)

// String is the name under which the reason is counted.
func (d Drop) String() string {
	switch d {
	case DropHeader:
		return "ip-header"
	case DropLength:
		return "length"
	case DropVersion:
		return "version"
	case DropType:
		return "type"
	case DropChecksum:
		return "checksum"
	case DropVRID:
		return "vrid"
	case DropDestination:
		return "destination"
	case DropSource:
		return "source"
	case DropTTL:
		return "ttl"
	case DropAuthType:
		return "auth-type"
	case DropAuthFailure:
		return "auth-failure"
	case DropInterval:
		return "interval"
	case DropVIPs:
		return "vip-list"
	}
	return fmt.Sprintf("drop %d", uint8(d))
}

// DropError says why one packet was dropped, with what was found in it.
type DropError struct {
	Reason Drop
	Detail string
}

func (e *DropError) Error() string { return e.Reason.String() + ": " + e.Detail }

func dropf(reason Drop, format string, args ...any) error {
	return &DropError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
