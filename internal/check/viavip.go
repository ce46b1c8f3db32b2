package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"weir/conf"
	"weir/lvs"
)

// ViaVIP is check_via_vip: a TCP connection to the virtual server's address comes about with
// this real server, by the very way of clients' packets. The mark of its packets has the data
// plane forward them to the server, whoever is master. So the server has the address and, by
// a tunnel, takes the packets out of it, or behind NAT has its way back by this machine.
type ViaVIP struct {
	Endpoint
	via    conf.ViaVIP
	shared *Shared
}

// diagnoseWithin bounds the connection to the server's own address that a failed check makes
// to find its reason.
const diagnoseWithin = time.Second

func newViaVIP(c conf.Check, shared *Shared) Checker {
	e := endpointOf(c)
	e.Mark, e.Reset = c.Via.Mark, true
	if e.Target.Addr().Is4() {
		// On any other device the kernel asks for the address's neighbour, and a director
		// that is not master may find none.
		e.Device = "lo"
	}
	return ViaVIP{e, *c.Via, shared}
}

func (c ViaVIP) String() string {
	return fmt.Sprintf("check_via_vip %s %s", c.Target, c.via.Server)
}

// Check connects through the virtual address. Where that fails it asks the server's own
// address as well, so that the reason says what is amiss. A server by direct routing or
// tunnel that answers ARP for the address fails the check: clients' packets would go to it
// past the director. It leaves the weight as it is.
func (c ViaVIP) Check(ctx context.Context) (Weight, error) {
	e := c.Endpoint
	e.Bind = netip.AddrPortFrom(c.source(ctx), 0)
	if err := (TCP{e}).connect(ctx); err != nil {
		return Weight{}, c.why(ctx, e, err)
	}
	if ask := c.shared.AnswersARP; ask != nil && c.via.Method != lvs.Masquerade && c.Target.Addr().Is4() && ask(ctx, c.via.Server.Addr(), c.Target.Addr()) {
		return Weight{}, fmt.Errorf("it answers ARP for %s, so that clients' packets go to it past the director: arp_ignore is not set (sysctl net.ipv4.conf.all.arp_ignore=1)", c.Target.Addr())
	}
	return Weight{}, nil
}

// source is this machine's address on the way to the server; the zero Addr leaves it to the
// kernel, where the server is of another family.
func (c ViaVIP) source(ctx context.Context) netip.Addr {
	server := c.via.Server
	if server.Addr().Is4() != c.Target.Addr().Is4() {
		return netip.Addr{}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", server.String()) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// why turns an error of the connection through the virtual address into a reason.
func (c ViaVIP) why(ctx context.Context, e Endpoint, err error) error {
	reason := e.reason(ctx, err)
	if ctx.Err() != nil {
		return reason
	}
	var own *OwnError
	if c.unreachable(err) && !errors.As(reason, &own) {
		return &OwnError{
			fmt.Errorf("%w: this machine finds no neighbour for %s, which no master has at the moment", reason, c.Target.Addr()),
			"wait for a director to become master, or see why none does",
		}
	}
	if errors.As(reason, &own) {
		return reason
	}
	direct := Endpoint{Target: c.via.Server, Timeout: diagnoseWithin}
	if c.Timeout != 0 {
		direct.Timeout = min(direct.Timeout, c.Timeout)
	}
	if err := (TCP{direct}).connect(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w for %s, and at its own address %w", reason, c.Target.Addr(), direct.reason(ctx, err))
	}
	return fmt.Errorf("%w for %s, while it answers at %s: %s", reason, c.Target.Addr(), c.via.Server, c.amiss(err))
}

// unreachable says whether the kernel had no neighbour for the virtual address, or no route to
// it, and has sent nothing: the server was not asked. That is so on a director that is not
// master, over IPv6, while nobody is.
func (c ViaVIP) unreachable(err error) bool {
	return c.Target.Addr().Is6() && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH))
}

// amiss is what keeps a server whose own address answers from answering for the virtual one.
func (c ViaVIP) amiss(err error) string {
	vip := c.Target.Addr()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens on %s there", c.Target)
	case c.via.Method == lvs.Masquerade:
		return "its answers do not come back by this machine (its route to clients has to lead here)"
	case c.via.Method == lvs.Tunnel:
		return fmt.Sprintf("its tunnel is gone, or it has lost %s from lo", vip)
	}
	return fmt.Sprintf("it has lost %s from lo (ip address add %s dev lo)", vip, netip.PrefixFrom(vip, vip.BitLen()))
}
