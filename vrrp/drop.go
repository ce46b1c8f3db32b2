package vrrp

import "fmt"

// Drop is the reason why a received packet was dropped.
type Drop uint8

const (
	DropHeader        Drop = iota // the IP header is invalid, or of a fragment
	DropLength                    // the length does not fit the number of VIPs
	DropVersion                   // another version
	DropType                      // not an advertisement
	DropChecksum                  // the VRRP checksum is wrong
	DropVRID                      // of another virtual router, which is no mistake
	DropDestination               // multicast where unicast is expected, or the reverse
	DropSource                    // not from a configured unicast peer
	DropTTL                       // multicast with a TTL other than 255, or outside a peer's limits
	DropAuthType                  // another type of authentication
	DropAuthFailure               // another password or key
	DropInterval                  // another advertisement interval, in version 2
	DropVIPs                      // another list of VIPs
	DropReplay                    // an authentication header whose sequence number is not new
	DropHMACMissing               // no auth_hmac trailer where one is expected
	DropHMACMalformed             // a trailer of another kind
	DropHMACKey                   // signed by an unknown key
	DropHMACInvalid               // the signature is wrong
	DropHMACStale                 // signed too long ago, or by a clock that differs
	DropHMACReplay                // the signed time is not new
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
	case DropReplay:
		return "replay"
	case DropHMACMissing:
		return "hmac-missing"
	case DropHMACMalformed:
		return "hmac-malformed"
	case DropHMACKey:
		return "hmac-unknown-key"
	case DropHMACInvalid:
		return "hmac-invalid"
	case DropHMACStale:
		return "hmac-stale"
	case DropHMACReplay:
		return "hmac-replay"
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
