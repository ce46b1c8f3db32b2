package check

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// OwnError is why this machine could not ask a real server. It says nothing about the
// server, and is no verdict.
type OwnError struct {
	Err error
	// Remedy is what an operator can do, as a sentence without its full stop.
	Remedy string
}

func (e *OwnError) Error() string { return e.Err.Error() }

func (e *OwnError) Unwrap() error { return e.Err }

// ownRemedies are the errors of the system that are this machine's, whoever is asked.
var ownRemedies = map[syscall.Errno]string{
	syscall.EMFILE:        "raise the limit of open files (LimitNOFILE= of the unit, or ulimit -n)",
	syscall.ENFILE:        "raise the machine's limit of open files (sysctl fs.file-max)",
	syscall.ENOMEM:        "free some memory, or raise the memory limit of the unit",
	syscall.ENOBUFS:       "free some memory, or raise the limits of socket memory (sysctl net.core.*mem*)",
	syscall.EADDRNOTAVAIL: "free some local ports (sysctl net.ipv4.ip_local_port_range), or give this machine the address of bindto",
	syscall.EADDRINUSE:    "end the program that has the address and port of bindto, or take another bind_port",
	syscall.EPERM:         "let the checks through this machine's firewall, and weir have its privileges",
	syscall.EAFNOSUPPORT:  "switch the address family on in this machine's kernel",
	syscall.ENODEV:        "give this machine the network device of the check",
	syscall.EINVAL:        "give the check a bindto of the server's network, or take a blackhole route to the server away",
}

// noAddress6 is the remedy where the kernel finds no IPv6 address to send from.
const noAddress6 = "give this machine an IPv6 address to send from, and switch IPv6 on where it is off (sysctl net.ipv6.conf.*.disable_ipv6)"

// routeErrors are those of a machine's own routes, and of the network beyond.
var routeErrors = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES}

// own returns an OwnError where err, of asking the target, is this machine's. Otherwise it
// returns err. That a network or a host cannot be reached, or may not be (EACCES), is this
// machine's where it has no route or one that forbids it. Otherwise a router, a neighbour
// or the server has said so, in IPv6 with ICMPv6's "administratively prohibited", and it
// is the server's.
func (e Endpoint) own(ctx context.Context, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if errno == syscall.EADDRNOTAVAIL && e.Target.Addr().Is6() && !e.Bind.Addr().IsValid() && !e.routed(ctx) {
		return &OwnError{err, noAddress6}
	}
	if remedy, is := ownRemedies[errno]; is {
		return &OwnError{err, remedy}
	}
	if slices.Contains(routeErrors, errno) && !e.routed(ctx) {
		return &OwnError{err, "give this machine a route to the real servers that lets it reach them"}
	}
	return err
}

// routed says whether this machine has a route to the target. The kernel looks for one
// when a datagram's socket is connected, which sends nothing.
func (e Endpoint) routed(ctx context.Context) bool {
	e.Bind = netip.AddrPortFrom(e.Bind.Addr(), 0)
	d := e.dialer("udp")
	conn, err := d.DialContext(ctx, "udp", e.Target.String())
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
