package vrrp

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// The authentication header of auth_type AH (RFC 2402, with HMAC-MD5-96 of RFC 2403) as
// keepalived has it. An advertisement is IPv4 header, authentication header, VRRP:
//
//	 0      next header, 112
//	 1      payload length, 4: 32-bit words after the first two
//	 2-3    reserved
//	 4-7    SPI: the IPv4 address of the sender
//	 8-11   sequence number
//	12-23   ICV: the first 96 bits of HMAC-MD5
//
// The ICV covers the IPv4 header without type of service, fragment and checksum (and without
// TTL where adverts are unicast), the authentication header without the ICV, and VRRP.
const (
	protocolAH = 51
	ahLen      = 24
	icvLen     = 12
	ahWords    = 4
)

// sequence is the counter of authentication headers. As in keepalived one counter serves what
// is sent and what is received, so that a backup that takes over goes on behind the master.
type sequence struct {
	mu   sync.Mutex
	last uint32
}

// nextNumber is the number of an advert that is sent at this time, after one with the number
// last. It is at least the time in seconds, so that a process that is started again goes on
// behind the one before.
func nextNumber(last uint32, at time.Time) uint32 { return max(last+1, uint32(at.Unix())) }

// used is the last number that was sent or received.
func (s *sequence) used() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// take notes the number of an advert that is authentic. It returns false for one that is not
// new.
func (s *sequence) take(n uint32) (fresh bool, last uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.last {
		return false, s.last
	}
	last, s.last = s.last, n
	return true, last
}

// ahPacket is a whole IPv4 packet around an advert. The kernel sets the header's checksum,
// which the ICV does not cover.
func ahPacket(advert []byte, key Authentication, from, to netip.Addr, ttl uint8, id uint16, number uint32) []byte {
	b := make([]byte, minIPv4+ahLen, minIPv4+ahLen+len(advert))
	b[0] = 0x45
	b[1] = tosInternetControl
	binary.BigEndian.PutUint16(b[2:], uint16(cap(b)))
	binary.BigEndian.PutUint16(b[4:], max(id, 1)) // the kernel replaces 0
	b[8], b[9] = ttl, protocolAH
	copy(b[12:16], from.AsSlice())
	copy(b[16:20], to.AsSlice())
	ah := b[minIPv4:]
	ah[0], ah[1] = Protocol, ahWords
	copy(ah[4:8], from.AsSlice())
	binary.BigEndian.PutUint32(ah[8:], number)
	b = append(b, advert...)
	copy(b[minIPv4+ahLen-icvLen:], icv(b, minIPv4, key))
	return b
}

// icv is the integrity check value of an IPv4 packet whose header has this length.
func icv(packet []byte, header int, key Authentication) []byte {
	b := append([]byte(nil), packet...)
	b[1], b[6], b[7], b[10], b[11] = 0, 0, 0, 0, 0
	if to := netip.AddrFrom4([4]byte(b[16:20])); !to.IsMulticast() {
		b[8] = 0
	}
	clear(b[header+ahLen-icvLen : header+ahLen])
	mac := hmac.New(md5.New, key.Data[:])
	mac.Write(b)
	return mac.Sum(nil)[:icvLen]
}

// openAH checks the authentication header of a packet, whose IPv4 header has been read, and
// returns the advert behind it. Its errors are *DropError. Only an authentic packet moves the
// sequence.
func (s *sequence) openAH(packet []byte, header int, from netip.Addr, key Authentication) ([]byte, error) {
	ah := packet[header:]
	switch {
	case len(ah) < ahLen:
		return nil, dropf(DropLength, "%d bytes, expected an authentication header", len(ah))
	case ah[0] != Protocol || ah[1] != ahWords:
		return nil, dropf(DropHeader, "authentication header of protocol %d and %d words, expected %d and %d", ah[0], ah[1], Protocol, ahWords)
	case !hmac.Equal(ah[ahLen-icvLen:ahLen], icv(packet, header, key)):
		return nil, dropf(DropAuthFailure, "the authentication header's ICV is wrong: another key, or the packet was changed")
	case from != netip.AddrFrom4([4]byte(ah[4:8])):
		return nil, dropf(DropAuthFailure, "SPI %s, expected the source", netip.AddrFrom4([4]byte(ah[4:8])))
	}
	n := binary.BigEndian.Uint32(ah[8:])
	if fresh, last := s.take(n); !fresh {
		return nil, dropf(DropReplay, "sequence number %d, expected more than %d", n, last)
	}
	return ah[ahLen:], nil
}
