package icmp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Listener hears the errors about outer headers that come to this machine, and
// sends clients theirs.
type Listener struct {
	log      *slog.Logger
	Heard    chan OuterError
	in4, in6 *net.IPConn // in6 and out6 are missing where there is no IPv6
	out4     int
	out6     int
	sent     time.Time // the time until which errors have been sent
}

// Of ICMP, a socket gets the errors about packets in tunnels: the type is in the
// first byte, the quoted protocol in the tenth of the IPv4 header, or the seventh
// of the IPv6 header, that follows.
var (
	errorsIn4 = []bpf.Instruction{
		bpf.LoadMemShift{Off: 0}, // behind the error's own header
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmp4Unreachable, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmp4TimeExceeded, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmp4Quench, SkipFalse: 4},
		bpf.LoadIndirect{Off: icmpHeader + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_IPIP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_IPV6, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
	errorsIn6 = []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: icmp6Informational, SkipTrue: 4},
		bpf.LoadAbsolute{Off: icmpHeader + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_IPIP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_IPV6, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
)

// Listen begins to listen, in the network namespace of the calling thread.
func Listen(log *slog.Logger) (o *Listener, err error) {
	o = &Listener{log: log, Heard: make(chan OuterError, errorBurst), out4: -1, out6: -1}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	if o.in4, err = net.ListenIP("ip4:icmp", nil); err != nil {
		return nil, err
	}
	filter4, err := bpf.Assemble(errorsIn4)
	if err != nil {
		return nil, err
	}
	if err := ipv4.NewPacketConn(o.in4).SetBPF(filter4); err != nil {
		return nil, err
	}
	if o.out4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
		return nil, err
	}
	o.out6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		go o.listen(o.in4, false)
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	if o.in6, err = net.ListenIP("ip6:ipv6-icmp", nil); err != nil {
		return nil, err
	}
	filter6, err := bpf.Assemble(errorsIn6)
	if err != nil {
		return nil, err
	}
	if err := ipv6.NewPacketConn(o.in6).SetBPF(filter6); err != nil {
		return nil, err
	}
	go o.listen(o.in4, false)
	go o.listen(o.in6, true)
	return o, nil
}

// listen reads errors until its socket is closed.
func (o *Listener) listen(in *net.IPConn, ip6 bool) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := in.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			o.log.Error("listen for errors about tunnels", "error", err)
			return
		}
		e, ok := ParseOuterError(append([]byte{}, buf[:n]...), ip6)
		if !ok {
			continue
		}
		select {
		case o.Heard <- e:
		default: // a flood
		}
	}
}

// The limit of errors is the kernel's (icmp_msgs_per_sec, icmp_msgs_burst).
const (
	errorEvery = time.Millisecond
	errorBurst = 50
)

// Send sends an error to a client by the kernel's routes, within the limit of errors.
func (o *Listener) Send(packet []byte, to netip.Addr) error {
	now := time.Now()
	if oldest := now.Add(-errorBurst * errorEvery); o.sent.Before(oldest) {
		o.sent = oldest
	}
	if o.sent.Add(errorEvery).After(now) {
		return nil
	}
	o.sent = o.sent.Add(errorEvery)
	var err error
	if to.Is4() {
		err = unix.Sendto(o.out4, packet, 0, &unix.SockaddrInet4{Addr: to.As4()})
	} else {
		err = unix.Sendto(o.out6, packet, 0, &unix.SockaddrInet6{Addr: to.As16()})
	}
	if err != nil {
		return fmt.Errorf("send an ICMP error to %s: %w", to, err)
	}
	return nil
}

func (o *Listener) Close() {
	for _, in := range []*net.IPConn{o.in4, o.in6} {
		if in != nil {
			in.Close()
		}
	}
	for _, out := range []int{o.out4, o.out6} {
		if out >= 0 {
			unix.Close(out)
		}
	}
}
