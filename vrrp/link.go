package vrrp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// tosInternetControl is precedence 6, Internetwork Control (RFC 791 section 3.1).
	tosInternetControl = 0xc0
	// receiveQueue is how many packets wait in Received for a busy instance; more wait
	// in the socket's buffer.
	receiveQueue = 64
	// maxIP is the longest packet, without jumbograms.
	maxIP = lenIPv6 + 65535
)

// LinkConfig says from where to where the adverts of one instance go, and how they look.
type LinkConfig struct {
	Interface string // its name
	// Sender is the device that adverts leave by and come in by, where it is another one over
	// the interface. With IPv6 it has the source address. Empty is the interface. The kernel
	// hands a macvlan (use_vmac) alone what has its own Ethernet address as the source, as the
	// adverts of another machine have.
	Sender string
	// Ipvlan says that Sender is an ipvlan device: what has its own Ethernet address as the
	// source is from this machine's other devices over the interface, and is not received.
	Ipvlan bool
	VRID   uint8 // packets of other VRIDs are not received
	// AllVRIDs has one a minute of each other VRID received, with an error that says so.
	AllVRIDs bool
	// Source is the address that adverts are sent from, without a zone: one of the
	// machine's own addresses, not a VIP. The instance has its family.
	Source netip.Addr
	// Group is the multicast group; the zero Addr is Group4 or Group6.
	Group netip.Addr
	// UnicastPeers get the adverts instead of the group. Empty is multicast.
	UnicastPeers []netip.Addr
	// UnicastTTL is the TTL, or hop limit, of unicast adverts; 0 is TTL.
	UnicastTTL uint8
	// Auth matters where it is AH: it has the key. Other authentication is the advert's.
	Auth Authentication
	HMAC HMAC
	// PlainChecksum leaves the pseudo header out of the checksum of version 3 with IPv4
	// (keepalived's v3_checksum_as_v2; RFC 9568 section 5.2.8).
	PlainChecksum bool
	// OldChecksum is about that of version 3's unicast adverts with IPv4.
	OldChecksum OldChecksum
}

// group is the multicast group.
func (c *LinkConfig) group() netip.Addr {
	switch {
	case c.Group.IsValid():
		return c.Group
	case c.Source.Is6():
		return Group6()
	}
	return Group4()
}

// ttl is that of adverts.
func (c *LinkConfig) ttl() uint8 {
	if len(c.UnicastPeers) > 0 && c.UnicastTTL > 0 {
		return c.UnicastTTL
	}
	return TTL
}

// protocol is that of the IP header.
func (c *LinkConfig) protocol() int {
	if c.Auth.Type == AuthHeader {
		return protocolAH
	}
	return Protocol
}

// Link is the Transport of one instance over a real interface. It sends through a raw IP
// socket, and receives through a packet socket, which also reports the sender's
// MAC address.
type Link struct {
	cfg     LinkConfig
	wire    *wire
	targets []netip.Addr
	log     *slog.Logger

	mu      sync.Mutex // guards send, receive and sender, which Reopen replaces, and paced
	send    net.PacketConn
	receive *packet.Conn
	sender  *net.Interface
	paced   *paced // nil is none

	received chan Packet
	done     chan struct{} // closed by Close
	reader   sync.WaitGroup
	close    func() error

	failing   map[netip.Addr]string // the last error of each unicast peer; the instance's goroutine's alone
	unpaced   bool                  // logged; guarded by mu
	strangers strangers             // read's alone
}

// OpenLink opens the sockets in the network namespace of the calling thread and begins
// to receive. The interface has to exist and to have the source address; it may be down.
// The caller has to Close the Link.
func OpenLink(cfg LinkConfig, logger *slog.Logger) (*Link, error) {
	targets := cfg.UnicastPeers
	if len(targets) == 0 {
		targets = []netip.Addr{cfg.group()}
	}
	w, err := newWire(cfg)
	if err != nil {
		return nil, fmt.Errorf("vrrp on %q: %w", cfg.Interface, err)
	}
	send, receive, sender, err := openSockets(cfg)
	if err != nil {
		return nil, err
	}
	l := &Link{
		cfg: cfg, wire: w, targets: targets, log: logger.With("interface", cfg.Interface, "vrid", int(cfg.VRID)),
		send: send, receive: receive, sender: sender,
		received: make(chan Packet, receiveQueue),
		done:     make(chan struct{}),
		failing:  make(map[netip.Addr]string),
	}
	w.onOld = func(peer netip.Addr) {
		l.log.Info("vrrp unicast peer sends checksums as keepalived did before 1.3.7, so do we from now on", "peer", peer.String())
	}
	l.close = sync.OnceValue(l.shut)
	l.reader.Go(l.read)
	return l, nil
}

func openSockets(cfg LinkConfig) (send net.PacketConn, receive *packet.Conn, sender *net.Interface, err error) {
	device, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("vrrp on %q: %w", cfg.Interface, err)
	}
	sender = device
	if cfg.Sender != "" && cfg.Sender != cfg.Interface {
		if sender, err = net.InterfaceByName(cfg.Sender); err != nil {
			return nil, nil, nil, fmt.Errorf("vrrp sender on %q: %w", cfg.Sender, err)
		}
	}
	send, err = openSender(cfg, device, sender)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("vrrp sender on %q from %s: %w", sender.Name, cfg.Source, err)
	}
	receive, err = openReceiver(cfg, sender)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("vrrp receiver on %q: %w", sender.Name, err), send.Close())
	}
	return send, receive, sender, nil
}

// Reopen opens new sockets, for an interface that was deleted and created again under
// its name: the old ones are bound to the old interface. Send and Received use the new
// ones from then on. Where they cannot be opened, the old ones stay.
func (l *Link) Reopen() error {
	send, receive, sender, err := openSockets(l.cfg)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return errors.Join(send.Close(), receive.Close())
	default:
	}
	l.paced.stop() // the instance sends the next one
	// Closing wakes the reader, which then takes the new socket.
	err = errors.Join(l.send.Close(), l.receive.Close())
	l.send, l.receive, l.sender = send, receive, sender
	return err
}

// Lost says that the interface on which the sockets were opened is gone: it was deleted, or
// moved to another network namespace. The kernel then unbinds a packet socket
// (NETDEV_UNREGISTER in packet_notifier, net/packet/af_packet.c), and does not bind it again
// where an interface comes under the same name or number.
func (l *Link) Lost() bool {
	_, receive := l.sockets()
	c, err := receive.SyscallConn()
	if err != nil {
		return false // closed
	}
	lost := false
	err = c.Control(func(fd uintptr) {
		address, err := unix.Getsockname(int(fd))
		bound, ok := address.(*unix.SockaddrLinklayer)
		lost = err == nil && ok && bound.Ifindex <= 0
	})
	return err == nil && lost
}

func (l *Link) sockets() (net.PacketConn, *packet.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.send, l.receive
}

// openSender opens the raw socket. This socket also joins the group, and as long as it is
// open the kernel does not answer unicast adverts with "protocol unreachable". A filter
// drops the copies of received packets that it would get.
func openSender(cfg LinkConfig, device, sender *net.Interface) (net.PacketConn, error) {
	bind := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctlErr := c.Control(func(fd uintptr) {
			if err = unix.BindToDevice(int(fd), sender.Name); err == nil && cfg.Auth.Type == AuthHeader {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_HDRINCL, 1)
			}
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	network, source := "ip4", cfg.Source
	if source.Is6() {
		network = "ip6"
	}
	if source.Is6() && source.IsLinkLocalUnicast() {
		source = source.WithZone(sender.Name)
	}
	conn, err := bind.ListenPacket(context.Background(), fmt.Sprintf("%s:%d", network, cfg.protocol()), source.String())
	if err != nil {
		return nil, err
	}
	if err := setSender(conn, cfg, device, sender); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// option is a setting of a socket that was made.
type option struct {
	what string
	err  error
}

func setSender(conn net.PacketConn, cfg LinkConfig, device, sender *net.Interface) error {
	reject, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	set, join := options4(conn, cfg, sender, reject)
	if cfg.Source.Is6() {
		set, join = options6(conn, cfg, sender, reject)
	}
	for _, s := range set {
		if s.err != nil {
			return fmt.Errorf("set %s: %w", s.what, s.err)
		}
	}
	if len(cfg.UnicastPeers) > 0 {
		return nil
	}
	// On the interface below, too: its report of the group is one that a standby may send.
	on := []*net.Interface{device}
	if sender != device {
		on = append(on, sender)
	}
	for _, d := range on {
		if err := join(d, &net.IPAddr{IP: cfg.group().AsSlice()}); err != nil {
			return fmt.Errorf("join group %s on %s: %w", cfg.group(), d.Name, err)
		}
	}
	return nil
}

// joiner joins a group on a device.
type joiner func(*net.Interface, net.Addr) error

func options4(conn net.PacketConn, cfg LinkConfig, device *net.Interface, filter []bpf.RawInstruction) ([]option, joiner) {
	p := ipv4.NewPacketConn(conn)
	return []option{
		{"filter", p.SetBPF(filter)},
		{"ttl", p.SetTTL(int(cfg.ttl()))},
		{"multicast ttl", p.SetMulticastTTL(TTL)},
		{"tos", p.SetTOS(tosInternetControl)},
		{"multicast loop", p.SetMulticastLoopback(false)},
		{"multicast interface", p.SetMulticastInterface(device)},
	}, p.JoinGroup
}

func options6(conn net.PacketConn, cfg LinkConfig, device *net.Interface, filter []bpf.RawInstruction) ([]option, joiner) {
	p := ipv6.NewPacketConn(conn)
	return []option{
		{"filter", p.SetBPF(filter)},
		{"hop limit", p.SetHopLimit(int(cfg.ttl()))},
		{"multicast hop limit", p.SetMulticastHopLimit(TTL)},
		{"traffic class", p.SetTrafficClass(tosInternetControl)},
		{"multicast loop", p.SetMulticastLoopback(false)},
		{"multicast interface", p.SetMulticastInterface(device)},
	}, p.JoinGroup
}

func openReceiver(cfg LinkConfig, device *net.Interface) (*packet.Conn, error) {
	instructions, ethertype := receiveFilter(cfg.VRID), unix.ETH_P_IP
	if cfg.Source.Is6() {
		instructions, ethertype = receiveFilter6(cfg.VRID), unix.ETH_P_IPV6
	}
	if cfg.AllVRIDs { // the VRID is compared last
		i := len(instructions) - 3
		instructions[i] = bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1} // no router has VRID 0
	}
	filter, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, err
	}
	return packet.Listen(device, packet.Datagram, ethertype, &packet.Config{Filter: filter})
}

// receiveFilter accepts the IPv4 VRRP packets of one VRID, with or without an authentication
// header, even where something else is wrong with them. Packets begin with the IP header. The
// filter keeps other traffic, and the adverts of other instances, from waking the reader.
func receiveFilter(vrid uint8) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadMemShift{Off: 0},          // X = length of the IP header
		bpf.LoadAbsolute{Off: 9, Size: 1}, // the protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: Protocol, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolAH, SkipTrue: 7},
		bpf.LoadIndirect{Off: 0, Size: 1}, // the next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: Protocol, SkipTrue: 5},
		bpf.LoadIndirect{Off: ahLen + 1, Size: 1}, // the VRID
		bpf.Jump{Skip: 1},
		bpf.LoadIndirect{Off: 1, Size: 1}, // the VRID
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(vrid), SkipTrue: 1},
		bpf.RetConstant{Val: maxIP},
		bpf.RetConstant{Val: 0},
	}
}

// receiveFilter6 is receiveFilter for IPv6.
func receiveFilter6(vrid uint8) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1}, // the next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: Protocol, SkipTrue: 3},
		bpf.LoadAbsolute{Off: lenIPv6 + 1, Size: 1}, // the VRID
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(vrid), SkipTrue: 1},
		bpf.RetConstant{Val: maxIP},
		bpf.RetConstant{Val: 0},
	}
}

// Send sends an advertisement to the group or to each unicast peer. It fails only where
// it could send to nobody. That it cannot send to single peers is logged when it begins,
// when the error changes and when it ends.
func (l *Link) Send(a Advertisement) error {
	var failed []error
	send, _ := l.sockets()
	stamp := l.wire.stamp()
	for _, target := range l.targets {
		b, err := l.wire.packet(a, target, stamp)
		if err != nil {
			return err
		}
		if _, err = send.WriteTo(b, l.addr(target)); err != nil {
			failed = append(failed, fmt.Errorf("send advert to %s: %w", target, err))
		}
		l.noteSent(target, err)
	}
	if len(failed) < len(l.targets) {
		return nil
	}
	return errors.Join(failed...)
}

// addr is a target for the socket. A link-local address is one of the interface's link.
func (l *Link) addr(a netip.Addr) *net.IPAddr {
	to := &net.IPAddr{IP: a.AsSlice()}
	if a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		to.Zone = cmp.Or(l.cfg.Sender, l.cfg.Interface)
	}
	return to
}

func (l *Link) noteSent(target netip.Addr, err error) {
	if len(l.targets) == 1 {
		return // the instance logs the error of Send
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if l.failing[target] == text {
		return
	}
	l.failing[target] = text
	if text == "" {
		l.log.Info("vrrp unicast peer is sent to again", "peer", target.String())
		return
	}
	l.log.Warn("vrrp unicast peer not sent to", "peer", target.String(), "error", text)
}

// Received delivers the packets of the VRID that were sent to the group or to the source
// address, except this machine's own.
func (l *Link) Received() <-chan Packet { return l.received }

// read delivers packets until Close. An error does not end the loop: when the interface
// goes down, a packet socket returns ENETDOWN once, and it receives again when the
// interface is up.
func (l *Link) read() {
	b := make([]byte, maxIP)
	for {
		_, receive := l.sockets()
		n, from, err := receive.ReadFrom(b)
		if err != nil {
			l.log.Debug("vrrp receive failed", "error", err)
			if !l.pause() {
				return
			}
			continue
		}
		var mac net.HardwareAddr
		if addr, ok := from.(*packet.Addr); ok {
			mac = addr.HardwareAddr
		}
		if !l.ownFrame(mac) && !l.deliver(b[:n], mac) {
			return
		}
	}
}

// ownFrame says whether a frame came from another device of this machine's over the interface.
func (l *Link) ownFrame(mac net.HardwareAddr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg.Ipvlan && bytes.Equal(mac, l.sender.HardwareAddr)
}

// pause waits after an error, so that one that repeats does not take a whole CPU. It
// returns false, at once, when the link is closed.
func (l *Link) pause() bool {
	select {
	case <-l.done:
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// deliver puts one packet into Received; it returns false when the link is closed.
func (l *Link) deliver(b []byte, mac net.HardwareAddr) bool {
	p, stranger, due := Packet{}, false, false
	if l.cfg.AllVRIDs {
		p, stranger, due = l.stranger(b, mac)
	}
	switch {
	case !stranger:
		p = l.wire.receive(b, mac)
	case !due:
		return true
	}
	if p.destination.IsValid() && !l.wire.forUs(p) {
		return true
	}
	select {
	case l.received <- p:
		return true
	case <-l.done:
		return false
	}
}

// Close closes the sockets and waits until the reader has ended. Received stays open. A
// second call returns the error of the first.
func (l *Link) Close() error { return l.close() }

func (l *Link) shut() error {
	l.mu.Lock()
	l.paced.stop()
	close(l.done)
	err := errors.Join(l.send.Close(), l.receive.Close())
	l.mu.Unlock()
	l.reader.Wait()
	return err
}
