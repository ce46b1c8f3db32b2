package dataplane

import (
	"net/netip"
	"strings"
)

// tcpConn is a client's connection, both of its ends played here.
type tcpConn struct {
	*player
	from, to string
	server   string // the server's address and port, "" before it is known
	closed   bool
	reset    bool // by the director's own stack: the client has given it up
}

// carry sends a packet of the client's through the director; it says how it
// fared, and where it was sent on to.
func (p *player) carry(from, to, proto, flags string) (verdict, string) {
	f := frame{dst: ourMAC, src: clientMAC, from: from, to: to, proto: proto, flags: flags, payload: "x"}
	got, out, err := runXDP(p.bench, f.bytes())
	if err != nil {
		p.t.Fatal(err)
	}
	return got, destination(out)
}

// answerFrom sends a server's packet back through the director, which must make
// it one of the VIP's.
func (p *player) answerFrom(server, client, vip, proto, flags string) {
	f := frame{dst: ourMAC, src: rs1MAC, from: server, to: client, proto: proto, flags: flags, payload: "x"}
	want := f.forwarded(clientMAC)
	want.from = vip
	got, out, err := runXDP(p.bench, f.bytes())
	if err != nil {
		p.t.Fatal(err)
	}
	if got != back || dump(out) != dump(want.bytes()) {
		p.errorf("the answer %s of %s to %s: %s\n%s", flags, server, client, got, dump(out))
	}
}

// destination is a frame's, with its port, by the fixtures' layout.
func destination(out []byte) string {
	addr, l4 := out[30:34], 34
	if out[12] == 0x86 {
		addr, l4 = out[38:54], 54
	}
	a, _ := netip.AddrFromSlice(addr)
	return netip.AddrPortFrom(a, uint16(out[l4+2])<<8|uint16(out[l4+3])).String()
}

// outcome is a verdict as the scenarios tell it; without a server the kernel's
// client gets a port unreachable, and a packet that goes up the director's stack
// meets no listener there.
func (p *player) outcome(v verdict, server string) string {
	switch v {
	case back:
		return name(server)
	case pass:
		return "refused"
	}
	stats, err := p.Stats()
	if err != nil {
		p.t.Fatal(err)
	}
	if stats.Reasons["drop_server_removed"] > 0 {
		return "timeout"
	}
	return "refused"
}

// name is a server as the scenarios call it: rs2, or rs2:8080 where its port is
// not the service's usual one.
func name(server string) string {
	at := netip.MustParseAddrPort(server)
	s := at.Addr().String()
	n := "rs" + s[strings.LastIndexAny(s, ".:")+1:]
	if at.Port() != 80 && at.Port() != 53 && at.Port() != 443 {
		n += ":" + strings.TrimPrefix(server[strings.LastIndex(server, ":"):], ":")
	}
	return n
}

func (c *tcpConn) open() string {
	v, server := c.carry(c.from, c.to, "tcp", "S")
	if v != back {
		return c.outcome(v, "")
	}
	c.server = server
	c.answerFrom(server, c.from, c.to, "tcp", "SA")
	c.carry(c.from, c.to, "tcp", "A")
	c.answerFrom(server, c.from, c.to, "tcp", "AP")
	c.carry(c.from, c.to, "tcp", "A")
	return name(server)
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
		return name(server)
	case pass:
		c.reset = true
		return "reset"
	}
	return "timeout"
}

func (p *player) datagram(from, to netip.AddrPort) string {
	v, server := p.carry(from.String(), to.String(), "udp", "")
	if v != back {
		return p.outcome(v, "")
	}
	p.answerFrom(server, from.String(), to.String(), "udp", "")
	return name(server)
}
