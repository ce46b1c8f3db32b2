package vrrp

import "fmt"

// Drop is the reason why a received packet was dropped.
type Drop uint8

const (
	DropHeader      Drop = iota // the IP header is invalid, or of a fragment
	DropLength                  // the length does not fit the number of VIPs
	DropVersion                 // not version 2
	DropType                    // not an advertisement
	DropChecksum                // the VRRP checksum is wrong
	DropVRID                    // of another virtual router, which is no mistake
	DropDestination             // multicast where unicast is expected, or the reverse
	DropSource                  // not from a configured unicast peer
	DropTTL                     // multicast with a TTL other than 255
	DropAuthType                // another type of authentication
	DropAuthFailure             // another password
	DropInterval                // another advertisement interval
	DropVIPs                    // another list of VIPs
	numDrops
)

// String is the reason's name in the log and in counters.
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

// DropError says why a packet was dropped.
type DropError struct {
	Reason Drop
	Detail string // the value that was found, and the one that was expected
}

func (e *DropError) Error() string { return e.Reason.String() + ": " + e.Detail }

func dropf(reason Drop, format string, args ...any) error {
	return &DropError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
