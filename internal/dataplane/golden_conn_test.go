package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// tcpConn is a client's connection, both of its ends played here.
type tcpConn struct {
	*player
	from, to string
	server   served
	opened   bool
	closed   bool
	reset    bool // by the director's own stack: the client has given it up
}

// served is a server that got a packet, and how.
type served struct {
	name   string // as the scenarios have it: rs2, or rs2:8080 where it is not the VIP's port
	addr   string // address and port
	direct bool   // by direct routing or a tunnel: it answers by itself
}

// carry sends a packet of the client's through the director; it says how it
// fared, and where it was sent on to.
func (p *player) carry(from, to, proto, flags string) (verdict, served) {
	f := frame{dst: ourMAC, src: clientMAC, from: from, to: to, proto: proto, flags: flags, payload: "x"}
	got, out, err := runXDP(p.bench, f.bytes())
	if err != nil {
		p.t.Fatal(err)
	}
	return got, destination(out, to)
}

// answerFrom sends a server's answer to the client: by itself where it does not
// come back to the director, which otherwise must make it one of the VIP's.
func (p *player) answerFrom(at served, client, vip, proto, flags string) (arrives bool) {
	if at.direct {
		return true
	}
	server := at.addr
	f := frame{dst: ourMAC, src: rs1MAC, from: server, to: client, proto: proto, flags: flags, payload: "x"}
	want := f.forwarded(clientMAC)
	want.from = vip
	got, out, err := runXDP(p.bench, f.bytes())
	if err != nil {
		p.t.Fatal(err)
	}
	if got == pass && proto == "udp" { // one that belongs to no connection
		return false
	}
	if got != back || dump(out) != dump(want.bytes()) {
		p.errorf("the answer %s of %s to %s: %s\n%s", flags, server, client, got, dump(out))
	}
	return true
}

// destination is where a frame to this address was sent on to, by the fixtures'
// layout. By direct routing or through a tunnel it is the server with the
// Ethernet address 02:00:00:00:00:1N.
func destination(out []byte, to string) served {
	out = decapsulated(out)
	addr, l4 := out[30:34], 34
	if out[12] == 0x86 {
		addr, l4 = out[38:54], 54
	}
	a, _ := netip.AddrFromSlice(addr)
	at := netip.AddrPortFrom(a, uint16(out[l4+2])<<8|uint16(out[l4+3]))
	vip := netip.MustParseAddrPort(to)
	s := served{addr: at.String(), direct: a == vip.Addr()}
	if n := addr[len(addr)-1]; s.direct {
		s.name = fmt.Sprintf("rs%x", out[5]-0x10)
	} else {
		s.name = fmt.Sprintf("rs%x", n)
	}
	if at.Port() != vip.Port() {
		s.name += fmt.Sprintf(":%d", at.Port())
	}
	return s
}

// decapsulated takes the outer header of a tunnel off.
func decapsulated(out []byte) []byte {
	protocol, outer := out[23], 20
	if out[12] == 0x86 {
		protocol, outer = out[20], 40
	}
	switch protocol {
	case 4:
		return append(append(slices.Clone(out[:12]), 0x08, 0x00), out[14+outer:]...)
	case 41:
		return append(append(slices.Clone(out[:12]), 0x86, 0xdd), out[14+outer:]...)
	}
	return out
}

// outcome is a verdict as the scenarios tell it; a packet that goes up the
// director's stack meets no listener there.
func outcome(v verdict) string {
	if v == dropped {
		return "timeout"
	}
	return "refused"
}

func (c *tcpConn) open() string {
	v, server := c.carry(c.from, c.to, "tcp", "S")
	if v != back {
		return outcome(v)
	}
	c.server, c.opened = server, true
	c.answerFrom(server, c.from, c.to, "tcp", "SA")
	c.carry(c.from, c.to, "tcp", "A")
	c.answerFrom(server, c.from, c.to, "tcp", "AP")
	c.carry(c.from, c.to, "tcp", "A")
	return server.name
}

// halfOpen carries out "syn N to A:PORT sport P": a SYN of each of N connections, and the
// server's answer.
func (p *player) halfOpen(words []string) {
	from := "10.9.0.1:%d"
	if to := words[3]; to[0] == '[' {
		from = "[fd00:9::1]:%d"
	}
	n, err := strconv.Atoi(words[1])
	p.must(err)
	first, err := strconv.Atoi(words[5])
	p.must(err)
	for i := range n {
		client := fmt.Sprintf(from, first+i)
		if v, server := p.carry(client, words[3], "tcp", "S"); v == back {
			p.answerFrom(server, client, words[3], "tcp", "SA")
		}
	}
}

// end closes the connection from the client's side, in order or by a reset.
func (c *tcpConn) end(reset bool) {
	c.closed = true
	if reset {
		c.carry(c.from, c.to, "tcp", "RA")
		return
	}
	if v, _ := c.carry(c.from, c.to, "tcp", "FA"); v == back {
		c.answerFrom(c.server, c.from, c.to, "tcp", "FA")
		c.carry(c.from, c.to, "tcp", "A")
	}
}

// ask sends a byte over the connection and says who got it.
func (c *tcpConn) ask() string {
	if c.reset {
		return "reset"
	}
	v, server := c.carry(c.from, c.to, "tcp", "AP")
	switch v {
	case back:
		c.answerFrom(server, c.from, c.to, "tcp", "AP")
		return server.name
	case pass:
		c.reset = true
		return "reset"
	}
	return "timeout"
}

func (p *player) datagram(from, to netip.AddrPort) string {
	v, server := p.carry(from.String(), to.String(), "udp", "")
	if v != back {
		return outcome(v)
	}
	if !p.answerFrom(server, from.String(), to.String(), "udp", "") {
		return "timeout"
	}
	return server.name
}
