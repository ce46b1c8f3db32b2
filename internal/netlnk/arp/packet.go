// Package arp announces IPv4 addresses on Ethernet by gratuitous ARP.
package arp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// Operation is what a packet wants (RFC 826, "ar$op").
type Operation uint16

const (
	Request Operation = 1
	Reply   Operation = 2
)

// Size is the length in bytes of an ARP packet for IPv4 on Ethernet, without
// the Ethernet header.
const Size = 28

const (
	hardwareEthernet = 1
	protocolIPv4     = 0x0800
)

// Packet is an ARP packet for IPv4 on Ethernet (RFC 826).
type Packet struct {
	Operation Operation
	SenderMAC net.HardwareAddr
	SenderIP  netip.Addr
	TargetMAC net.HardwareAddr
	TargetIP  netip.Addr
}

// Gratuitous is the request by which a machine tells all others on the link
// that it has an address: sender and target are the address itself (RFC 5944,
// 4.6), and like keepalived it fills the target MAC with ones.
func Gratuitous(mac net.HardwareAddr, vip netip.Addr) Packet {
	return Packet{Operation: Request, SenderMAC: mac, SenderIP: vip, TargetMAC: broadcast(), TargetIP: vip}
}

func broadcast() net.HardwareAddr {
	return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}

// MarshalBinary writes the packet as on the wire, in network byte order.
func (p Packet) MarshalBinary() ([]byte, error) {
	if len(p.SenderMAC) != 6 || len(p.TargetMAC) != 6 {
		return nil, errors.New("arp: a MAC address must have 6 bytes")
	}
	if !p.SenderIP.Is4() || !p.TargetIP.Is4() {
		return nil, errors.New("arp: the addresses must be IPv4")
	}
	b := make([]byte, 0, Size)
	b = binary.BigEndian.AppendUint16(b, hardwareEthernet)
	b = binary.BigEndian.AppendUint16(b, protocolIPv4)
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, uint16(p.Operation))
	b = append(b, p.SenderMAC...)
	b = append(b, p.SenderIP.AsSlice()...)
	b = append(b, p.TargetMAC...)
	b = append(b, p.TargetIP.AsSlice()...)
	return b, nil
}

// UnmarshalBinary reads a packet. Bytes after it are ignored: Ethernet pads
// short frames.
func (p *Packet) UnmarshalBinary(b []byte) error {
	if len(b) < Size {
		return fmt.Errorf("arp: %d bytes, expected %d: %w", len(b), Size, io.ErrUnexpectedEOF)
	}
	if hw := binary.BigEndian.Uint16(b); hw != hardwareEthernet || b[4] != 6 {
		return fmt.Errorf("arp: hardware type %d with %d-byte addresses, expected Ethernet", hw, b[4])
	}
	if proto := binary.BigEndian.Uint16(b[2:]); proto != protocolIPv4 || b[5] != 4 {
		return fmt.Errorf("arp: protocol %#04x with %d-byte addresses, expected IPv4", proto, b[5])
	}
	*p = Packet{
		Operation: Operation(binary.BigEndian.Uint16(b[6:])),
		SenderMAC: net.HardwareAddr(append([]byte(nil), b[8:14]...)),
		SenderIP:  netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: net.HardwareAddr(append([]byte(nil), b[18:24]...)),
		TargetIP:  netip.AddrFrom4([4]byte(b[24:28])),
	}
	return nil
}
