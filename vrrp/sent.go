package vrrp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sent is an advertisement that leaves this machine, whichever of its programs sends it.
type Sent struct {
	VRID uint8
	IPv6 bool
	To   netip.Addr
	// Content is what the advertisements of one program have in common while it does not
	// change its mind: source, priority, interval, VIPs.
	Content string
}

// HearSent calls heard for each advertisement that leaves this machine by a device itself or by a
// macvlan or ipvlan device over it, until ctx ends, in the network namespace of the calling
// thread. Opened, unless it is nil, is called as soon as it hears.
func HearSent(ctx context.Context, device string, opened func(), heard func(Sent)) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("hear the adverts that leave by %q: %w", device, err)
	}
	filter, err := bpf.Assemble(sentFilter())
	if err != nil {
		return err
	}
	// A socket for one Ethernet type is given nothing that leaves.
	conn, err := packet.Listen(link, packet.Datagram, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return fmt.Errorf("hear the adverts that leave by %q: %w", device, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if opened != nil {
		opened()
	}
	b := make([]byte, maxIP)
	for {
		n, _, err := conn.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENETDOWN): // said once when the device goes down
		case err != nil:
			return fmt.Errorf("hear the adverts that leave by %q: %w", device, err)
		default:
			if s, ok := sentOf(b[:n]); ok {
				heard(s)
			}
		}
	}
}

// sentFilter accepts IPv4 and IPv6 packets of VRRP, with or without an authentication header, that
// leave without a VLAN tag. Packets begin with the IP header.
func sentFilter() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 12},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 10},
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 9, Size: 1}, // the protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: Protocol, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolAH, SkipTrue: 3},
		bpf.Jump{Skip: 3},
		bpf.LoadAbsolute{Off: 6, Size: 1}, // the next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: Protocol, SkipTrue: 1},
		bpf.RetConstant{Val: maxIP},
		bpf.RetConstant{Val: 0},
	}
}

// sentOf reads an advertisement that leaves, as far as all versions and authentications look the
// same: the VRID, and what is before and behind the checksum (RFC 3768 section 5.1, RFC 5798
// section 5.1).
func sentOf(b []byte) (s Sent, ok bool) {
	h, err := parseIP(b)
	if err != nil {
		return s, false
	}
	body := b[h.header:h.length]
	if h.protocol == protocolAH {
		if len(body) < ahLen || body[0] != Protocol {
			return s, false
		}
		body = body[ahLen:]
	}
	const header = 8
	if len(body) < header {
		return s, false
	}
	addr := 4
	if s.IPv6 = h.source.Is6(); s.IPv6 {
		addr = 16
	}
	s.VRID, s.To = body[1], h.destination
	vips := body[header:min(len(body), header+int(body[3])*addr)]
	content := binary.BigEndian.AppendUint64(h.source.AsSlice(), binary.BigEndian.Uint64(body)&^0xffff)
	s.Content = string(append(content, vips...))
	return s, true
}
