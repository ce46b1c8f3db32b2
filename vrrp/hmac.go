package vrrp

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// The trailer of auth_hmac, as keepalived 2.4.3 has it, behind an advert of either version:
//
//	 0      kind, 1: HMAC-SHA256 cut to 128 bits
//	 1      the number of the key
//	 2-3    reserved, zero
//	 4-7    seconds since 1970
//	 8-9    fraction of a second, in 1/65536
//	10-11   counter, for adverts of one moment
//	12-27   HMAC
//
// Bytes 4 to 11 are one number, which grows with each advert. The HMAC covers a pseudo header
// (family 4 or 6, version, VRID, 0, and the source in 16 bytes, an IPv4 one in the first four),
// the advert with a checksum of zero, and the trailer with an HMAC of zeros. The advert's
// checksum covers the trailer with IPv6 only, where the kernel makes it.
const (
	hmacLen  = 28
	hmacTag  = 16
	hmacKind = 1
	// hmacSenders is how many senders to the group are told apart.
	hmacSenders = 4
)

// HMACMode is what becomes of adverts without a trailer.
type HMACMode string

const (
	HMACEnforce     HMACMode = "enforce"      // sign, and take signed adverts only
	HMACPermissive  HMACMode = "permissive"   // sign, and take unsigned adverts, too
	HMACReceiveOnly HMACMode = "receive-only" // do not sign, and take unsigned adverts, too
)

// HMAC is keepalived's auth_hmac. The zero HMAC neither signs nor checks.
type HMAC struct {
	Keys   []HMACKey
	Active uint8    // the number of the key that signs
	Mode   HMACMode // "" is HMACEnforce
	// Window is how far the time of an advert may lie from this machine's clock, in whole
	// seconds; 0 looks only whether it grows (anti_replay monotonic).
	Window time.Duration
}

// HMACKey is a key: "hex:" with its digits, or the key itself. It has 32 to 64 bytes.
type HMACKey struct {
	ID    uint8
	Value string
}

const minKey, maxKey = 32, 64

// bytes reads the key.
func (k HMACKey) bytes() ([]byte, error) {
	key := []byte(k.Value)
	if digits, ok := strings.CutPrefix(k.Value, "hex:"); ok {
		var err error
		if key, err = hex.DecodeString(digits); err != nil {
			return nil, fmt.Errorf("auth_hmac key %d: %w", k.ID, err)
		}
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("auth_hmac key %d: %d bytes, expected %d to %d", k.ID, len(key), minKey, maxKey)
	}
	return key, nil
}

// signer signs adverts and checks signed ones.
type signer struct {
	cfg  HMAC
	keys map[uint8][]byte

	mu      sync.Mutex
	sent    uint64
	senders []hmacSender // the last one that was heard is the last
}

type hmacSender struct {
	addr netip.Addr
	last uint64
}

// newSigner reads the keys. Without keys it is nil.
func newSigner(cfg HMAC) (*signer, error) {
	if len(cfg.Keys) == 0 {
		return nil, nil
	}
	s := &signer{cfg: cfg, keys: map[uint8][]byte{}}
	for _, k := range cfg.Keys {
		key, err := k.bytes()
		if err != nil {
			return nil, err
		}
		s.keys[k.ID] = key
	}
	if s.keys[cfg.Active] == nil {
		return nil, fmt.Errorf("auth_hmac: there is no key %d to sign with", cfg.Active)
	}
	return s, nil
}

// signs says whether adverts get a trailer.
func (s *signer) signs() bool { return s != nil && s.cfg.Mode != HMACReceiveOnly }

// nextTime is the time of an advert that is sent at this time, after one with the time last: that
// of the clock, or the last one and one more.
func nextTime(last uint64, at time.Time) uint64 {
	clock := uint64(uint32(at.Unix()))<<32 | uint64(at.Nanosecond())<<16/uint64(time.Second)<<16
	if last++; after(clock, last) {
		return clock
	}
	return last
}

// used is the time of the last advert that was sent.
func (s *signer) used() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// use notes the time of an advert that was sent.
func (s *signer) use(at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = at
}

// after compares two times as serial numbers (RFC 1982).
func after(a, b uint64) bool { return int64(a-b) > 0 }

// sign returns the advert with a trailer of this time.
func (s *signer) sign(advert []byte, from netip.Addr, at uint64) []byte {
	b := append(advert, hmacKind, s.cfg.Active, 0, 0)
	b = binary.BigEndian.AppendUint64(b, at)
	return append(b, tag(s.keys[s.cfg.Active], b, from)...)
}

// tag is the HMAC of an advert with the first twelve bytes of its trailer.
func tag(key, b []byte, from netip.Addr) []byte {
	family := byte(4)
	if from.Is6() {
		family = 6
	}
	var pseudo [20]byte
	pseudo[0], pseudo[1], pseudo[2] = family, b[0]>>4, b[1]
	copy(pseudo[4:], from.AsSlice())
	var zeros [hmacTag]byte
	mac := hmac.New(sha256.New, key)
	for _, part := range [][]byte{pseudo[:], b[:6], zeros[:2], b[8:], zeros[:]} {
		mac.Write(part)
	}
	return mac.Sum(nil)[:hmacTag]
}

// open checks the trailer of an advert, which is all that follows the IP header, and returns
// the advert. Where there is no trailer, length is that of the whole. Its errors are
// *DropError.
func (s *signer) open(b []byte, length int, from netip.Addr) ([]byte, error) {
	if len(b) != length+hmacLen {
		if cmp.Or(s.cfg.Mode, HMACEnforce) != HMACEnforce {
			return b, nil
		}
		return nil, dropf(DropHMACMissing, "no auth_hmac trailer")
	}
	trailer := b[length:]
	at := binary.BigEndian.Uint64(trailer[4:])
	if trailer[0] != hmacKind || trailer[2] != 0 || trailer[3] != 0 {
		return nil, dropf(DropHMACMalformed, "auth_hmac trailer of kind %d, expected %d", trailer[0], hmacKind)
	}
	// Before the HMAC is worked out: old packets that are sent again cost little.
	if window := int32(s.cfg.Window / time.Second); window > 0 {
		if away := int32(uint32(time.Now().Unix()) - uint32(at>>32)); away > window || away < -window {
			return nil, dropf(DropHMACStale, "signed %d s ago, expected at most %d", away, window)
		}
	}
	key := s.keys[trailer[1]]
	if key == nil {
		return nil, dropf(DropHMACKey, "signed by key %d, which is not known", trailer[1])
	}
	if !hmac.Equal(trailer[hmacLen-hmacTag:], tag(key, b[:len(b)-hmacTag], from)) {
		return nil, dropf(DropHMACInvalid, "the signature is wrong: another key %d, or the packet was changed", trailer[1])
	}
	if !s.take(from, at) {
		return nil, dropf(DropHMACReplay, "the signed time is not new")
	}
	return b[:length], nil
}

// take notes the time of an advert that is authentic. It returns false for one that is not
// new. The sender that was not heard for the longest time is forgotten first.
func (s *signer) take(from netip.Addr, at uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.senders, func(o hmacSender) bool { return o.addr == from })
	if i >= 0 {
		if !after(at, s.senders[i].last) {
			return false
		}
		s.senders = slices.Delete(s.senders, i, i+1)
	}
	if s.senders = append(s.senders, hmacSender{from, at}); len(s.senders) > hmacSenders {
		s.senders = slices.Delete(s.senders, 0, 1)
	}
	return true
}
