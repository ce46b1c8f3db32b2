package vrrp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// wire turns adverts into packets and back, for one instance. It has what the protocol
// remembers from packet to packet; no socket. Send and receive may be called at one time.
type wire struct {
	cfg    LinkConfig
	seq    sequence
	signer *signer          // nil without auth_hmac
	ids    uint16           // of IPv4 headers; the sender's alone
	old    atomic.Bool      // the old checksum is sent
	onOld  func(netip.Addr) // told when it is sent from now on; may be nil
}

func newWire(cfg LinkConfig) (*wire, error) {
	s, err := newSigner(cfg.HMAC)
	if err != nil {
		return nil, err
	}
	w := &wire{cfg: cfg, signer: s}
	w.old.Store(cfg.OldChecksum == OldChecksumOn && len(cfg.UnicastPeers) > 0)
	return w, nil
}

// OldChecksum is keepalived's old_unicast_checksum: before 1.3.7 the pseudo header of
// version 3's unicast adverts had the group as destination.
type OldChecksum string

const (
	OldChecksumAuto  OldChecksum = ""      // sent once a peer has sent it
	OldChecksumOn    OldChecksum = "on"    // always sent
	OldChecksumNever OldChecksum = "never" // neither sent nor taken
)

// stamp is what the copies of one advert for several peers have in common.
type stamp struct {
	number uint32 // of the authentication header
	id     uint16
	signed uint64
}

func (w *wire) stamp() stamp {
	s := w.after(w.used(), time.Now())
	w.use(s)
	return s
}

// stamps says whether each advert has a stamp of its own.
func (w *wire) stamps() bool { return w.cfg.Auth.Type == AuthHeader || w.signer.signs() }

// used is the stamp of the last advert that was sent, or of one that was received later.
func (w *wire) used() (s stamp) {
	s.id = w.ids
	if w.cfg.Auth.Type == AuthHeader {
		s.number = w.seq.used()
	}
	if w.signer.signs() {
		s.signed = w.signer.used()
	}
	return s
}

// after is the stamp of the advert that is sent at this time, after one with another stamp.
func (w *wire) after(s stamp, at time.Time) stamp {
	if w.cfg.Auth.Type == AuthHeader {
		s.id, s.number = s.id+1, nextNumber(s.number, at)
	}
	if w.signer.signs() {
		s.signed = nextTime(s.signed, at)
	}
	return s
}

// use notes the stamp of an advert that was sent.
func (w *wire) use(s stamp) {
	w.ids = s.id
	if w.cfg.Auth.Type == AuthHeader {
		w.seq.take(s.number)
	}
	if w.signer.signs() {
		w.signer.use(s.signed)
	}
}

// packet is what the socket is given for one target: with AH the whole packet, otherwise what
// follows the IP header.
func (w *wire) packet(a Advertisement, to netip.Addr, s stamp) ([]byte, error) {
	b, err := a.marshal()
	if err != nil {
		return nil, fmt.Errorf("vrrp advertisement: %w", err)
	}
	setChecksum(b, w.start(b, w.cfg.Source, to, len(b)))
	if w.signer.signs() {
		if b = w.signer.sign(b, w.cfg.Source, s.signed); to.Is6() {
			// As keepalived's kernel does after the signature, which does not cover it.
			setChecksum(b, pseudoSum(w.cfg.Source, to, len(b)))
		}
	}
	if w.cfg.Auth.Type == AuthHeader {
		b = ahPacket(b, w.cfg.Auth, w.cfg.Source, to, w.cfg.ttl(), s.id, s.number)
	}
	return b, nil
}

// start is what the checksum of an advert that is sent begins with.
func (w *wire) start(b []byte, from, to netip.Addr, length int) uint32 {
	switch {
	case b[0]>>4 == Version2, w.cfg.PlainChecksum && to.Is4():
		return 0
	case w.old.Load():
		to = w.cfg.group()
	}
	return pseudoSum(from, to, length)
}

// receive reads a packet that begins with the IP header. What is wrong with it stands in
// Packet.Err.
func (w *wire) receive(b []byte, mac net.HardwareAddr) Packet {
	ip, err := parseIP(b)
	if err != nil {
		return Packet{MAC: mac, Err: err}
	}
	p := Packet{
		Source: ip.source, MAC: mac, TTL: ip.ttl,
		Multicast: ip.destination.IsMulticast(), destination: ip.destination,
	}
	if !w.forUs(p) {
		return p
	}
	// What no signature covers comes first: a packet that fails here leaves no trace.
	if p.Err = checkIP(&p, len(w.cfg.UnicastPeers) == 0); p.Err == nil {
		p.Advertisement, p.Err = w.open(b[:ip.length], ip)
	}
	return p
}

// forUs is false for this machine's own packets, and for unicast packets to other machines,
// which a packet socket receives while the interface is promiscuous.
func (w *wire) forUs(p Packet) bool {
	return p.Source != w.cfg.Source && (p.destination == w.cfg.group() || p.destination == w.cfg.Source)
}

// open checks a packet's authentication and checksum, and reads the advert. What does not
// hold leaves everything that is remembered as it was. Its errors are *DropError.
func (w *wire) open(packet []byte, ip ipHeader) (a Advertisement, err error) {
	header, b := ip.header, packet[ip.header:]
	if ah := w.cfg.Auth.Type == AuthHeader; ah != (ip.protocol == protocolAH) {
		return a, dropf(DropAuthType, "IP protocol %d, authentication %s is expected", ip.protocol, w.cfg.Auth.Type)
	} else if ah {
		if b, err = w.seq.openAH(packet, header, ip.source, w.cfg.Auth); err != nil {
			return a, err
		}
	}
	addrLen := ip.source.BitLen() / 8
	if len(b) < headerLen {
		return a, dropf(DropLength, "%d bytes, expected at least %d", len(b), headerLen)
	}
	advert := b
	if n := advertLen(b, addrLen); w.signer != nil && len(b) == n+hmacLen {
		advert = b[:n]
	}
	if a, err = unmarshal(advert, addrLen); err != nil {
		return a, err
	}
	covered := advert
	if ip.source.Is6() {
		covered = b
	}
	if err := w.verify(covered, ip); err != nil {
		return Advertisement{}, err
	}
	if w.signer != nil {
		if _, err := w.signer.open(b, len(advert), ip.source); err != nil {
			return Advertisement{}, err
		}
	}
	return a, nil
}

// verify looks at the checksum. A unicast peer that sends the old one is answered in kind.
func (w *wire) verify(b []byte, ip ipHeader) error {
	total := sum(b)
	plain := b[0]>>4 == Version2 || w.cfg.PlainChecksum && ip.source.Is4()
	with := func(to netip.Addr) uint16 { return fold(total + pseudoSum(ip.source, to, len(b))) }
	switch {
	case plain && fold(total) == 0:
		return nil
	case !plain && (!w.old.Load() || ip.destination.IsMulticast()) && with(ip.destination) == 0:
		return nil
	case !plain && w.takesOld(ip) && with(w.cfg.group()) == 0:
		if !w.old.Swap(true) && w.onOld != nil {
			w.onOld(ip.source)
		}
		return nil
	}
	return dropf(DropChecksum, "checksum %#04x is wrong", binary.BigEndian.Uint16(b[6:8]))
}

// takesOld says whether a packet may have the old checksum.
func (w *wire) takesOld(ip ipHeader) bool {
	return ip.source.Is4() && !ip.destination.IsMulticast() && w.cfg.OldChecksum != OldChecksumNever &&
		slices.Contains(w.cfg.UnicastPeers, ip.source)
}
