package check

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// socket makes a socket for the target's family that does not block, prepared and bound.
func (e Endpoint) socket(kind, protocol int) (fd int, err error) {
	family := unix.AF_INET6
	if e.Target.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := e.bind(fd, kind == unix.SOCK_STREAM); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bind prepares a socket and gives it its own address and port, if it is to have one.
func (e Endpoint) bind(fd int, stream bool) error {
	if e.Device != "" || e.Mark != 0 || !stream || e.Bind.Addr().IsValid() {
		if err := e.prepare(fd, stream); err != nil {
			return err
		}
	}
	own := e.Bind
	if !own.Addr().IsValid() {
		if own.Port() == 0 {
			return nil
		}
		own = netip.AddrPortFrom(unspecified(e.Target.Addr()), own.Port())
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(own)))
}

// unspecified is the address of an address's family that stands for any.
func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// sockaddr is an address as the kernel takes it. A zone that is no device is left out: the
// kernel then says that the address lacks one.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	to := &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	if zone := a.Addr().Zone(); zone != "" {
		if device, err := net.InterfaceByName(zone); err == nil {
			to.ZoneId = uint32(device.Index)
		}
	}
	return to
}
