// Package lvs is the vocabulary that every room of weir shares: what a virtual
// server, a real server and a forward method are. It imports nothing of weir's.
package lvs

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Protocol is a transport protocol, by its IP protocol number.
type Protocol uint8

const (
	TCP Protocol = 6
	UDP Protocol = 17
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// ForwardMethod is how a packet reaches its real server.
type ForwardMethod uint8

const (
	// Masquerade rewrites the destination (NAT); replies pass the director.
	Masquerade ForwardMethod = iota + 1
	// DirectRoute changes only the MAC addresses; replies go straight to the client.
	DirectRoute
	// Tunnel wraps the packet in an outer IP header.
	Tunnel
)

func (m ForwardMethod) String() string {
	switch m {
	case Masquerade:
		return "NAT"
	case DirectRoute:
		return "DR"
	case Tunnel:
		return "TUN"
	}
	return fmt.Sprintf("forward method %d", uint8(m))
}

// Scheduler names the rule by which a new connection gets its real server, as
// ipvsadm and keepalived.conf spell it.
type Scheduler string

const (
	RoundRobin              Scheduler = "rr"
	WeightedRoundRobin      Scheduler = "wrr"
	LeastConnection         Scheduler = "lc"
	WeightedLeastConnection Scheduler = "wlc"
	ShortestExpectedDelay   Scheduler = "sed"
	NeverQueue              Scheduler = "nq"
	WeightedFailover        Scheduler = "fo"
	WeightedOverflow        Scheduler = "ovf"
	Locality                Scheduler = "lblc"
	LocalityReplicated      Scheduler = "lblcr"
	DestinationHash         Scheduler = "dh"
	SourceHash              Scheduler = "sh"
	MaglevHash              Scheduler = "mh"
	PowerOfTwoChoices       Scheduler = "twos"
)

// RealServer is one destination of a virtual server.
type RealServer struct {
	Addr netip.Addr
	Port uint16
	// Weight is the server's share; 0 is quiesced: no new connections.
	Weight int
	Method ForwardMethod
	// Upper and Lower are thresholds of its connections, active and inactive
	// together: from Upper on it gets no new ones, until it is below Lower, or
	// below three quarters of Upper where Lower is 0. 0 is none.
	Upper, Lower uint32
	// Edits counts how often the server was edited: in IPVS an edit moves a
	// scheduler's turn even where it changes nothing.
	Edits int
}

// AddrPort is the server's address and port.
func (r RealServer) AddrPort() netip.AddrPort { return netip.AddrPortFrom(r.Addr, r.Port) }

// ServiceKey is what makes a virtual server itself: two with the same key are
// the same service.
type ServiceKey struct {
	Protocol Protocol
	Addr     netip.Addr
	Port     uint16
	// Mark is that of a service by firewall mark, otherwise 0. Such a service has
	// no protocol and no port, and the unspecified address of its family.
	Mark uint32
}

// MarkKey is the key of the service by this mark.
func MarkKey(mark uint32, ipv6 bool) ServiceKey {
	if ipv6 {
		return ServiceKey{Addr: netip.IPv6Unspecified(), Mark: mark}
	}
	return ServiceKey{Addr: netip.IPv4Unspecified(), Mark: mark}
}

// String is the service as people write it: "TCP 192.168.25.100:80", "FWM 7",
// "FWM 7 IPv6".
func (k ServiceKey) String() string {
	switch {
	case k.Mark != 0 && k.Addr.Is6():
		return fmt.Sprintf("FWM %d IPv6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("FWM %d", k.Mark)
	}
	return k.Protocol.String() + " " + netip.AddrPortFrom(k.Addr, k.Port).String()
}

// VirtualServer is one service: an address that clients know, and the real
// servers behind it in the order in which they were added.
type VirtualServer struct {
	ServiceKey
	Scheduler Scheduler
	// SHPort has sh look at the client's port too, and SHFallback give a client
	// another server where its own is full or quiesced. In IPVS they are one bit
	// each with mh-port and mh-fallback, and so they are here.
	SHPort, SHFallback bool
	Persistence        Persistence
	// OnePacket schedules each UDP datagram on its own, without a connection.
	OnePacket bool
	// Rules are what IPVS has sysctls for.
	Rules       ConnRules
	RealServers []RealServer
}

// Persistence keeps the clients of a network with one server.
type Persistence struct {
	// Timeout is how long after the last new connection it holds; 0 is none.
	Timeout time.Duration
	// Netmask covers the part of a client's address that counts; the zero Addr is
	// all of it.
	Netmask netip.Addr
}

// ConnRules say what becomes of connections where IPVS leaves it to sysctls, of
// whose names and defaults (zero) they are.
type ConnRules struct {
	// ReuseMode is net.ipv4.vs.conn_reuse_mode: what a client's port that is used
	// again means.
	ReuseMode ReuseMode
	// ExpireNoDest ends the connections of a server that is removed: UDP is
	// scheduled anew, TCP reset by the director's own stack; and a SYN leaves a
	// server of weight 0.
	ExpireNoDest bool
	// ExpireQuiescentTemplate ends the persistence of a server of weight 0.
	ExpireQuiescentTemplate bool
	// SloppyTCP lets any packet but a reset begin a TCP connection.
	SloppyTCP bool
}

// ReuseMode is what a SYN means that meets a connection which has ended.
type ReuseMode uint8

const (
	// ReuseSchedules: after TIME_WAIT and CLOSE it is scheduled anew (1, the
	// kernel's default).
	ReuseSchedules ReuseMode = iota
	// ReuseKeeps: it goes on with the same server (0).
	ReuseKeeps
	// ReuseFinWait: it is scheduled anew after FIN_WAIT, too, where answers do
	// not pass the director (2 and 3).
	ReuseFinWait
)

// MarkRule gives a mark to the packets of new flows that it fits. What is zero
// fits everything.
type MarkRule struct {
	Mark                uint32
	Destination, Source netip.Prefix
	Protocol            Protocol
	// FirstPort to LastPort are the destination's ports.
	FirstPort, LastPort uint16
}

// InstanceID names a VRRP instance on this machine, by what makes it unique on
// the wire.
type InstanceID struct {
	Interface string `json:"interface"`
	VRID      uint8  `json:"vrid"`
	IPv6      bool   `json:"ipv6"`
}

func (i InstanceID) String() string {
	family := "IPv4"
	if i.IPv6 {
		family = "IPv6"
	}
	return fmt.Sprintf("%s VRID %d on %s", family, i.VRID, i.Interface)
}

// Instance is what the data plane must know of a VRRP instance: the services
// on its VIPs forward only while the instance's lease runs.
type Instance struct {
	ID   InstanceID
	VIPs []netip.Addr
}

// Hook is where on a device the data plane meets the packets.
type Hook string

const (
	HookAuto    Hook = "auto"    // native XDP on real cards and virtio, tc elsewhere
	HookNative  Hook = "native"  // XDP in the driver
	HookGeneric Hook = "generic" // XDP after the driver, on any device
	HookTC      Hook = "tc"      // the traffic control ingress hook
)

// Device is a network device whose packets the data plane sees.
type Device struct {
	Name string
	Hook Hook
}

// Plan is the whole of what the data plane is to do. An address of a service
// that no instance lists is served always.
type Plan struct {
	Services []VirtualServer
	// Marks give packets the marks that services go by: the first rule that fits.
	Marks []MarkRule
	// Timeouts are the connections' by state.
	Timeouts  Timeouts
	Instances []Instance
	Devices   []Device
	// Directors are the MAC addresses of other directors: their frames are
	// never forwarded again.
	Directors []net.HardwareAddr
}
