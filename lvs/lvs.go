// Package lvs is the vocabulary that all packages of weir share: virtual servers, real
// servers, forward methods, schedulers. The words are those of Linux Virtual Server (IPVS,
// ipvsadm, keepalived). It imports nothing of weir's.
package lvs

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Protocol is a transport protocol, by its IP protocol number. 0 is none: a service by
// firewall mark, or any protocol in a MarkRule.
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

// ForwardMethod is how a packet reaches its real server. The numbers are those of enum
// method in bpf/abi.h.
type ForwardMethod uint8

const (
	// Masquerade is NAT: it rewrites the destination address and port; replies have to
	// pass the director.
	Masquerade ForwardMethod = iota + 1
	// DirectRoute changes only the MAC addresses; replies go straight to the client.
	DirectRoute
	// Tunnel puts an outer IP header in front of the packet (IPIP); replies go straight
	// to the client.
	Tunnel
)

// String is the method's name as keepalived's lb_kind spells it.
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

// Scheduler is the name of the rule by which a new connection gets its real server, as
// ipvsadm and keepalived.conf spell it. internal/sched has a row and a model of each.
type Scheduler string

const (
	RoundRobin              Scheduler = "rr"    // one after the other
	WeightedRoundRobin      Scheduler = "wrr"   // the same, as often as the weight says
	LeastConnection         Scheduler = "lc"    // the fewest connections
	WeightedLeastConnection Scheduler = "wlc"   // the fewest connections for the weight
	ShortestExpectedDelay   Scheduler = "sed"   // the fewest active ones for the weight
	NeverQueue              Scheduler = "nq"    // an idle server, else sed
	WeightedFailover        Scheduler = "fo"    // the highest weight
	WeightedOverflow        Scheduler = "ovf"   // the highest weight that its active connections do not exceed
	Locality                Scheduler = "lblc"  // the server of the destination, unless overloaded
	LocalityReplicated      Scheduler = "lblcr" // the destination's set of servers
	DestinationHash         Scheduler = "dh"    // by a hash of the destination
	SourceHash              Scheduler = "sh"    // by a hash of the client
	MaglevHash              Scheduler = "mh"    // the same, with few changes when servers change
	PowerOfTwoChoices       Scheduler = "twos"  // the better one of two at random
)

// Schedulers lists all schedulers, in the order in which messages name them.
func Schedulers() []Scheduler {
	return []Scheduler{
		RoundRobin, WeightedRoundRobin, LeastConnection, WeightedLeastConnection, Locality,
		LocalityReplicated, DestinationHash, SourceHash, ShortestExpectedDelay, NeverQueue, MaglevHash,
		WeightedFailover, WeightedOverflow, PowerOfTwoChoices,
	}
}

// RealServer is one destination of a virtual server.
type RealServer struct {
	Addr netip.Addr
	Port uint16 // 0: the port that the client asked for
	// Weight is the server's share of new connections, 0 to 2³¹−1; 0 is quiesced: no new
	// connections.
	Weight int
	Method ForwardMethod
	// Upper and Lower are thresholds of the number of its connections, active and
	// inactive together. From Upper on it gets no new ones, until it has fewer than Lower,
	// or, where Lower is 0, fewer than three quarters of Upper. Upper 0 is no limit.
	Upper, Lower uint32
	// Edits counts how often the server was edited: in IPVS an edit resets the position
	// of wrr even where it changes nothing.
	Edits int
}

// AddrPort returns the server's address and port.
func (r RealServer) AddrPort() netip.AddrPort { return netip.AddrPortFrom(r.Addr, r.Port) }

// ServiceKey identifies a virtual server: two with the same key are the same service.
type ServiceKey struct {
	Protocol Protocol
	Addr     netip.Addr // the VIP
	Port     uint16     // 0: all ports that have no service of their own
	// Mark is the firewall mark of a service by mark, otherwise 0. Such a service has
	// no protocol and no port, and the unspecified address of its family.
	Mark uint32
}

// MarkKey returns the key of the service by this firewall mark, of either family.
func MarkKey(mark uint32, ipv6 bool) ServiceKey {
	if ipv6 {
		return ServiceKey{Addr: netip.IPv6Unspecified(), Mark: mark}
	}
	return ServiceKey{Addr: netip.IPv4Unspecified(), Mark: mark}
}

// String is the service for people and in the log: "TCP 192.168.25.100:80", "FWM 7",
// "FWM 7 IPv6".
func (k ServiceKey) String() string {
	switch {
	case k.IsCheck():
		return k.checkString()
	case k.Mark != 0 && k.Addr.Is6():
		return fmt.Sprintf("FWM %d IPv6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("FWM %d", k.Mark)
	}
	return k.Protocol.String() + " " + netip.AddrPortFrom(k.Addr, k.Port).String()
}

// VirtualServer is one service: an address that clients connect to, and the real servers
// behind it in the order in which they were added, on which some schedulers depend.
type VirtualServer struct {
	ServiceKey
	Scheduler Scheduler
	// SHPort makes sh and mh hash the client's port, too; SHFallback makes them choose
	// another server where the client's own is full or quiesced. In IPVS sh-port and
	// mh-port are the same bit, and so are sh-fallback and mh-fallback.
	SHPort, SHFallback bool
	Persistence        Persistence
	// OnePacket schedules each UDP datagram by itself, without a connection (ops).
	OnePacket bool
	// Rules are settings that IPVS has as sysctls.
	Rules       ConnRules
	RealServers []RealServer
}

// Persistence sends all connections of a client, or of a client's network, to one server.
// The zero Persistence is none.
type Persistence struct {
	// Timeout is how long it lasts after the last new connection; 0 is none.
	Timeout time.Duration
	// Netmask is the part of a client's address that identifies the client
	// (persistence_granularity); the zero Addr is the whole address.
	Netmask netip.Addr
}

// ConnRules are the settings of IPVS's sysctls net.ipv4.vs.*, as
// Documentation/networking/ipvs-sysctl.rst describes them. Their zero values are the
// kernel's defaults.
type ConnRules struct {
	// ReuseMode is conn_reuse_mode: what happens when a client uses a port again.
	ReuseMode ReuseMode
	// ExpireNoDest is expire_nodest_conn: the connections of a server that is removed
	// end. A client's next UDP packet is then scheduled anew, and its next TCP packet
	// gets a reset of the director's own stack. A SYN on a connection to a server of
	// weight 0 is scheduled anew, too.
	ExpireNoDest bool
	// ExpireQuiescentTemplate is expire_quiescent_template: the persistence of a server
	// of weight 0 ends.
	ExpireQuiescentTemplate bool
	// SloppyTCP is sloppy_tcp: any packet but a reset may begin a TCP connection.
	SloppyTCP bool
}

// ReuseMode says what happens to a SYN that matches a closed connection.
type ReuseMode uint8

const (
	// ReuseSchedules schedules it anew where the connection is in TIME_WAIT or CLOSE
	// (conn_reuse_mode 1, the kernel's default).
	ReuseSchedules ReuseMode = iota
	// ReuseKeeps leaves it with the same server (conn_reuse_mode 0).
	ReuseKeeps
	// ReuseFinWait schedules it anew also in FIN_WAIT, unless the connection is
	// masqueraded (conn_reuse_mode 2 and 3).
	ReuseFinWait
)

// MarkRule gives a firewall mark to the packets of new flows that match. A field that is
// zero matches everything.
type MarkRule struct {
	Mark                uint32
	Destination, Source netip.Prefix
	Protocol            Protocol
	// FirstPort to LastPort are the destination ports, both inclusive.
	FirstPort, LastPort uint16
}

// AccessRule matches clients by their network, and by the service that they ask for. Of the
// rules that match a packet the one with the longest prefix counts, and of equal prefixes
// one that denies.
type AccessRule struct {
	Network  netip.Prefix
	Protocol Protocol // 0: any
	Port     uint16   // of the virtual service; 0: any
}

// AccessState is a rule in force.
type AccessState struct {
	AccessRule
	// Deny says that its packets are dropped; else they are served.
	Deny bool
	// Live says that it was given to the running data plane, not by a state. It ends at
	// Until; the zero time is when it is removed.
	Live  bool
	Until time.Time
	// Packets counts those that it has denied.
	Packets uint64
}

// InstanceID identifies a VRRP instance of this machine by what makes it unique on the
// network.
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

// Instance is what the data plane needs of a VRRP instance: the services on its VIPs
// forward only while the instance's lease runs.
type Instance struct {
	ID   InstanceID
	VIPs []netip.Addr
	// VirtualMACs are Ethernet addresses of its own: what is sent to them on these devices
	// is for this machine while it is master.
	VirtualMACs []VirtualMAC
	// NoAccept says that as master this machine takes nothing that is sent to its addresses
	// but what is for services.
	NoAccept bool
}

// VirtualMAC is the Ethernet address of a virtual router on a device.
type VirtualMAC struct {
	Device string
	MAC    net.HardwareAddr
}

// Hook is where on a device the data plane sees the packets that come in.
type Hook string

const (
	HookAuto    Hook = "auto"    // native XDP on hardware and virtio devices, tc elsewhere
	HookNative  Hook = "native"  // XDP in the device's driver
	HookGeneric Hook = "generic" // XDP after the driver, on any device
	HookTC      Hook = "tc"      // tc ingress
)

// Device is a network device to which the data plane attaches its programs.
type Device struct {
	Name string
	Hook Hook
}

// Plan is the wanted state of the data plane, as a whole. A service whose VIP no instance
// lists forwards always.
type Plan struct {
	Services []VirtualServer
	// Marks give packets the firewall marks of services by mark: the first rule that
	// matches a packet does.
	Marks []MarkRule
	// Deny and Allow are clients that no service serves, and exceptions of that.
	Deny, Allow []AccessRule
	// Timeouts are those of all connections.
	Timeouts  Timeouts
	Instances []Instance
	Devices   []Device
	// Everywhere adds each other device by which clients may come, as they are at the
	// moment, with the hook auto; no device that is in Excluded is used.
	Everywhere bool
	Excluded   []string
	// Directors are the other directors: packets that one of them has forwarded are never
	// balanced again, so that two directors cannot send a packet back and forth.
	Directors []Director
}

// Director is another director.
type Director struct {
	// MAC is the source of the frames in which its advertisements come.
	MAC net.HardwareAddr
	// Addr is the source address of its advertisements; an address of the link has the
	// device as its zone. It is not valid where only MAC is known.
	Addr netip.Addr
}
