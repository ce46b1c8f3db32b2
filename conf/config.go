package conf

import (
	"net/netip"
	"time"
)

// Config is a configuration with every default filled in.
type Config struct {
	Global         Global
	VRRPInstances  []VRRPInstance
	VirtualServers []VirtualServer
	Weir           Weir
}

// Global is global_defs.
type Global struct {
	NotificationEmail  []string
	SMTPConnectTimeout time.Duration
	// RouterID names this director in mails; empty is the local host name.
	RouterID string
}

// State is the state a VRRP instance wishes to begin in.
type State string

const (
	Master State = "MASTER"
	Backup State = "BACKUP"
)

// AuthType is the authentication of a VRRP instance's advertisements.
type AuthType string

const (
	AuthNone AuthType = "none"
	// AuthPass is the clear-text password of RFC 2338.
	AuthPass AuthType = "PASS"
)

// Auth is how advertisements are authenticated.
type Auth struct {
	Type AuthType
	// Password has at most eight bytes, what an advertisement carries.
	Password string
}

// VRRPInstance is a vrrp_instance.
type VRRPInstance struct {
	Name      string
	State     State
	Interface string
	VRID      uint8
	Priority  uint8
	// AdvertInterval is a number of whole seconds in version 2.
	AdvertInterval time.Duration
	// Version is that of the protocol: 2.
	Version uint8
	Auth    Auth
	VIPs    []VIP
	// SourceIP is what advertisements come from; the zero Addr stands for the
	// interface's primary address.
	SourceIP netip.Addr
	// UnicastPeers get the advertisements; none means multicast.
	UnicastPeers []netip.Addr
	NoPreempt    bool
	PreemptDelay time.Duration
	// GARPDelay is when after the first the second set of gratuitous ARPs is
	// sent (0: no second set), and GARPRepeat the number of rounds in a set.
	GARPDelay  time.Duration
	GARPRepeat int
}

// VIP is a virtual address with its mask and the device it is put on.
type VIP struct {
	// Prefix keeps the whole address, not only the network.
	Prefix netip.Prefix
	Device string
}

// Summary counts what a configuration holds, for a line of text.
func (c *Config) Summary() string {
	servers := 0
	for _, v := range c.VirtualServers {
		servers += len(v.RealServers)
	}
	return plural(len(c.VRRPInstances), "VRRP instance") + ", " +
		plural(len(c.VirtualServers), "virtual server") + ", " + plural(servers, "real server")
}
