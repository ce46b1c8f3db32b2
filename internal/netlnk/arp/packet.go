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

// Operation is an ARP packet's opcode (RFC 826, "ar$op").
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

// Gratuitous is the ARP request that announces to all machines of a link that this MAC
// address has the VIP: sender and target address are both the VIP (RFC 5944 section 4.6).
// The target MAC address is all ones, as in keepalived.
func Gratuitous(mac net.HardwareAddr, vip netip.Addr) Packet {
	return Packet{Operation: Request, SenderMAC: mac, SenderIP: vip, TargetMAC: broadcast(), TargetIP: vip}
}

// Probe is the ARP request that asks whether another machine has an address, without saying
// that this one has it: the sender's address is zero (RFC 5227 section 2.1.1).
func Probe(mac net.HardwareAddr, addr netip.Addr) Packet {
	return Packet{Operation: Request, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetMAC: make(net.HardwareAddr, 6), TargetIP: addr}
}

func broadcast() net.HardwareAddr {
	return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}

// MarshalBinary returns the packet without the Ethernet header, in network byte order.
// MAC addresses of other than 6 bytes and IP addresses other than IPv4 are errors.
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

// UnmarshalBinary reads a packet without the Ethernet header. Bytes behind it are
// ignored, since Ethernet pads short frames. The error wraps io.ErrUnexpectedEOF where
// there are too few; packets that are not of Ethernet and IPv4 are errors, too.
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
