// Package cluster is what the running weir tells of itself: Snapshot is its state
// at one moment, Event is one thing that happened. Every reader (the log, the API,
// weir status, the lab) renders these two and asks nothing else.
package cluster

import (
	"net/netip"
	"time"

	"weir/lvs"
)

// Snapshot is what a person or a program may ask about the running weir at one
// moment. It is a plain value that shares no memory with the director.
type Snapshot struct {
	Time     time.Time `json:"time"`
	Director Director  `json:"director"`
	Devices  []Device  `json:"devices"`
	// Instances, Services and the servers of a service stand in the order of the
	// configuration.
	Instances []Instance `json:"vrrp_instances"`
	Services  []Service  `json:"virtual_servers"`
	// Sessions are those of BFD, by their names.
	Sessions []Session `json:"bfd_sessions,omitempty"`
	// Connections counts the entries of the connection table at its last sweep.
	Connections int `json:"connections"`
	// Packets counts, by reason, the packets that were not forwarded (drop_ went
	// nowhere, pass_ went to the local stack) and the notable ones that were
	// (note_), since the data plane began.
	Packets map[string]uint64 `json:"packets"`
	// Drift counts what another program changed behind weir's back, by kind.
	Drift map[string]Drift `json:"drift"`
	// LastEvent is the number of the last event that happened before this moment.
	LastEvent uint64 `json:"last_event"`
}

// Director is the weir process.
type Director struct {
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	// Config is the file that runs, and Loaded is when it was read.
	Config string    `json:"config"`
	Loaded time.Time `json:"loaded"`
	// OtherVRRP are other programs that speak VRRP in this network namespace, in words.
	OtherVRRP []string `json:"other_vrrp,omitempty"`
	// OtherRouters are the virtual routers that those were heard to advertise, on devices of
	// instances.
	OtherRouters []lvs.InstanceID `json:"other_virtual_routers,omitempty"`
}

// Device is a network device that the data plane is attached to.
type Device struct {
	Name string   `json:"name"`
	Hook lvs.Hook `json:"hook"`
	// Why says why the data plane is at this hook.
	Why string `json:"why"`
}

// State is a VRRP state in lower case, as a snapshot and an event have it.
type State string

const (
	Init   State = "init"
	Backup State = "backup"
	Master State = "master"
	Fault  State = "fault"
)

// Instance is a VRRP instance.
type Instance struct {
	Name  string         `json:"name"`
	ID    lvs.InstanceID `json:"id"`
	State State          `json:"state"`
	// Since is when it entered the state; the zero time before its first one.
	Since    time.Time `json:"since"`
	Priority int       `json:"priority"`
	// Version is that of the protocol, 2 or 3, and Authentication how advertisements are
	// authenticated: none, PASS, AH or auth_hmac.
	Version        int    `json:"version"`
	Authentication string `json:"authentication"`
	// UnicastPeers get the advertisements; none is multicast.
	UnicastPeers []netip.Addr `json:"unicast_peers,omitempty"`
	// Fault is why the instance cannot take part; empty where it can.
	Fault string         `json:"fault,omitempty"`
	VIPs  []netip.Prefix `json:"vips"`
	// Peer is the director that sent the last valid advertisement; nil before one.
	Peer *Peer `json:"peer,omitempty"`
	// Other is another master that this one hears: two have the VIPs; nil is none.
	Other *OtherMaster `json:"other_master,omitempty"`
	// Conflicts are VIPs that another machine claims while this one is master.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Sent and Received count valid advertisements since the start, and Dropped
	// those that were not valid, by reason.
	Sent     uint64            `json:"adverts_sent"`
	Received uint64            `json:"adverts_received"`
	Dropped  map[string]uint64 `json:"adverts_dropped,omitempty"`
	// GratuitousARPs and UnsolicitedNAs count the announcements of VIPs that were sent,
	// in all rounds, since the start.
	GratuitousARPs uint64 `json:"gratuitous_arps_sent"`
	UnsolicitedNAs uint64 `json:"unsolicited_nas_sent"`
}

// Session is a session of BFD: a bfd_instance.
type Session struct {
	Name     string     `json:"name"`
	Neighbor netip.Addr `json:"neighbor"`
	Up       bool       `json:"up"`
	// Reason is why it is down; empty while it is up, and before it has been up.
	Reason string `json:"reason,omitempty"`
}

// Peer is another director of the same virtual router.
type Peer struct {
	Addr     netip.Addr `json:"address"`
	Priority int        `json:"priority"`
	Heard    time.Time  `json:"heard"`
}

// OtherMaster is a master of lower priority that a master hears, and how many advertisements
// it has sent since.
type OtherMaster struct {
	Addr     netip.Addr `json:"address"`
	Priority int        `json:"priority"`
	Since    time.Time  `json:"since"`
	Adverts  uint64     `json:"adverts"`
}

// Conflict is a VIP that a machine with this Ethernet address claims.
type Conflict struct {
	VIP   netip.Addr `json:"vip"`
	MAC   string     `json:"mac"`
	Since time.Time  `json:"since"`
}

// Service is a virtual server: one service of it, where it is that of a group.
type Service struct {
	// Name is the service's key as people write it: "TCP 192.168.25.100:80".
	Name      string        `json:"name"`
	Group     string        `json:"group,omitempty"`
	Scheduler lvs.Scheduler `json:"scheduler"`
	Traffic   Traffic       `json:"traffic"`
	Servers   []Server      `json:"real_servers"`
}

// Server is a real server of a service.
type Server struct {
	Addr   netip.AddrPort `json:"address"`
	Method string         `json:"method"` // NAT, DR or TUN
	Weight int            `json:"weight"`
	// Up says that it gets new connections as far as its checks go. Since is when
	// that last changed; Reason is why it is down, empty while it is up.
	Up     bool      `json:"up"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
	// Why is what its agent makes of the weight, or why it has no word of it, or that it is a
	// spare server that rests; empty where it is as the configuration and the other checks
	// have it.
	Why string `json:"why,omitempty"`
	// Checkers are its checks as people write them: "TCP_CHECK 192.168.25.32:80".
	Checkers []string `json:"checkers,omitempty"`
	// Active and Inactive are its live connections, Persistent its templates.
	Active     int     `json:"active"`
	Inactive   int     `json:"inactive"`
	Persistent int     `json:"persistent"`
	Traffic    Traffic `json:"traffic"`
}

// Traffic is what has passed since the data plane began, and what passes in a
// second at the moment, as ipvsadm --stats and --rate count it.
type Traffic struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"in_packets"`
	OutPackets  uint64 `json:"out_packets"`
	InBytes     uint64 `json:"in_bytes"`
	OutBytes    uint64 `json:"out_bytes"`
	Rates       Rates  `json:"rates"`
}

// Rates are per second, averaged over some eight seconds (ip_vs_est.c).
type Rates struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"in_packets"`
	OutPackets  uint64 `json:"out_packets"`
	InBytes     uint64 `json:"in_bytes"`
	OutBytes    uint64 `json:"out_bytes"`
}

// Drift counts one kind of drift: how often it was found, and how often repaired.
type Drift struct {
	Found    uint64 `json:"found"`
	Repaired uint64 `json:"repaired"`
}
