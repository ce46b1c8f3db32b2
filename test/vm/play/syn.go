package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sendSYNs carries out "syn N to A:PORT sport P": a SYN of each of N connections. Nobody
// answers the server's SYN-ACK: makeNet has the client's kernel drop its resets. The same
// step again sends the same packets. The caller's thread ends with it.
func sendSYNs(words []string) error {
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(words[3])
	if err != nil {
		return err
	}
	first, err := strconv.ParseUint(words[5], 10, 16)
	if err != nil {
		return err
	}
	from, network := netip.MustParseAddr("10.9.0.1"), "ip4:tcp"
	if to.Addr().Is6() {
		from, network = netip.MustParseAddr("fd00:9::1"), "ip6:tcp"
	}
	c, err := net.DialIP(network, &net.IPAddr{IP: from.AsSlice()}, &net.IPAddr{IP: to.Addr().AsSlice()})
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer c.Close()
	// On one processor the packets pass the director one after the other. On two, IPVS may
	// make a persistent client's template twice.
	one := unix.CPUSet{}
	one.Set(0)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("stay on one processor: %w", err)
	}
	for i := range uint16(n) {
		if _, err := c.Write(synSegment(netip.AddrPortFrom(from, uint16(first)+i), to)); err != nil && !strings.Contains(err.Error(), "refused") {
			return fmt.Errorf("send a SYN: %w", err)
		}
	}
	return nil
}

// synSegment is a SYN without options. Its sequence number follows from the port, so that the
// same connection has the same one again.
func synSegment(from, to netip.AddrPort) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint32(b[4:], uint32(from.Port())<<8)
	b[12], b[13] = 5<<4, 2
	binary.BigEndian.PutUint16(b[14:], 64240)
	sum := uint32(6 + len(b))
	for _, part := range [][]byte{from.Addr().AsSlice(), to.Addr().AsSlice(), b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[16:], ^uint16(sum))
	return b
}
