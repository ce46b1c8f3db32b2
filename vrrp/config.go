package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// defaultDownTimerAdverts is how many adverts are missed before a backup takes
// over (RFC 3768 section 6.1, Master_Down_Interval).
const defaultDownTimerAdverts = 3

// Config is what one instance is to do; Instance.Reconfigure changes it.
type Config struct {
	Name     string // for the log
	VRID     uint8  // 1 to 255
	Priority uint8  // 1 to 255; 255 is the owner of the addresses
	// AdvertInterval is in whole seconds, 1 to 255.
	AdvertInterval time.Duration
	// DownTimerAdverts is how many adverts are missed before a backup takes
	// over; 0 is 3.
	DownTimerAdverts int
	Auth             Authentication // none or PASS
	VIPs             []netip.Addr   // those that adverts list, IPv4
	// Source is the address that adverts leave with; the higher one wins
	// between equal priorities.
	Source netip.Addr
	// UnicastPeers, where there are any, are who adverts go to and are
	// expected from, in place of the multicast group.
	UnicastPeers []netip.Addr
	// CheckUnicastSource refuses adverts of others than the unicast peers.
	CheckUnicastSource bool

	// StartMaster is "state MASTER": at start only about one advert is waited
	// for, not three.
	StartMaster bool
	// NoPreempt leaves a master of lower priority in place.
	NoPreempt bool
	// PreemptDelay is how long, from the start or from its first advert on, a
	// master of lower priority is left in place.
	PreemptDelay time.Duration
	// GARPDelay is when, after becoming master, addresses are announced a
	// second time; 0 is never.
	GARPDelay time.Duration
	// HandOver is how long a master that is stopped keeps the addresses while it
	// waits for another to take over; 0 lets them go at once, as RFC 3768 has
	// it. MaxSkewTime is enough for every backup.
	HandOver time.Duration
	// Resume starts as master at once. It is for a process that takes up the
	// work of one that was master a moment ago, within its Lease.
	Resume bool
}

// MaxSkewTime is more than any backup waits after an advert of priority 0.
const MaxSkewTime = time.Second

// SkewTime makes the backup of higher priority the first to take over (RFC
// 3768 section 6.1).
func (c *Config) SkewTime() time.Duration {
	return time.Duration(256-int(c.Priority)) * time.Second / 256
}

// MasterDownInterval is how long a backup hears nothing before it takes over
// (RFC 3768 section 6.1).
func (c *Config) MasterDownInterval() time.Duration { return c.Lease() + c.SkewTime() }

// Lease is how long after sending an advert a master may be sure that no
// backup has taken over: a backup waits longer than this by its skew time.
func (c *Config) Lease() time.Duration {
	adverts := c.DownTimerAdverts
	if adverts == 0 {
		adverts = defaultDownTimerAdverts
	}
	return time.Duration(adverts) * c.AdvertInterval
}

// Validate names the first field that cannot be, and what was expected.
func (c *Config) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("vrrp instance %q: %w", c.Name, err)
	}
	return nil
}

func (c *Config) validate() error {
	if c.VRID == 0 {
		return fmt.Errorf("VRID 0: expected 1 to 255")
	}
	if c.Priority == 0 {
		return fmt.Errorf("priority 0: expected 1 to 255; 0 is how a master says that it stops")
	}
	if err := checkInterval2(c.AdvertInterval); err != nil {
		return err
	}
	if c.AdvertInterval == 0 {
		return fmt.Errorf("advertisement interval 0: expected at least 1s")
	}
	if c.DownTimerAdverts < 0 || c.DownTimerAdverts > 100 {
		return fmt.Errorf("down timer adverts %d: expected 1 to 100", c.DownTimerAdverts)
	}
	if c.Auth.Type != AuthNone && c.Auth.Type != AuthPassword {
		return fmt.Errorf("authentication %s: expected none or PASS", c.Auth.Type)
	}
	if c.PreemptDelay < 0 || c.GARPDelay < 0 {
		return fmt.Errorf("preempt delay %s, GARP delay %s: expected no negative time", c.PreemptDelay, c.GARPDelay)
	}
	return c.validateAddrs()
}

func (c *Config) validateAddrs() error {
	if !c.Source.Is4() {
		return fmt.Errorf("source address %s: expected an IPv4 address", c.Source)
	}
	if len(c.VIPs) > maxVIPs {
		return fmt.Errorf("%d VIPs: expected at most %d", len(c.VIPs), maxVIPs)
	}
	for _, vip := range c.VIPs {
		if !vip.Is4() {
			return fmt.Errorf("VIP %s: expected an IPv4 address", vip)
		}
	}
	for _, peer := range c.UnicastPeers {
		if !peer.Is4() || peer.IsMulticast() {
			return fmt.Errorf("unicast peer %s: expected the IPv4 address of one machine", peer)
		}
	}
	return nil
}
