package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// defaultDownTimerAdverts is after how many missed adverts a backup takes over (RFC 3768
// section 6.1, Master_Down_Interval).
const defaultDownTimerAdverts = 3

// Config is the configuration of one instance; Instance.Reconfigure changes it.
type Config struct {
	Name     string // for the log
	VRID     uint8  // 1 to 255
	Priority uint8  // the effective priority, 1 to 255; 255 is the owner of the addresses
	// AdvertInterval is in whole seconds, 1 to 255.
	AdvertInterval time.Duration
	// DownTimerAdverts is after how many missed adverts a backup takes over
	// (keepalived's down_timer_adverts), 1 to 100; 0 is 3.
	DownTimerAdverts int
	Auth             Authentication // none or PASS
	VIPs             []netip.Addr   // IPv4 addresses that adverts list; at most 255
	// Source is the IPv4 address that adverts are sent from. Between equal priorities
	// the director with the higher one is master.
	Source netip.Addr
	// UnicastPeers get the adverts instead of the multicast group, and adverts have to
	// come by unicast. Empty is multicast.
	UnicastPeers []netip.Addr
	// CheckUnicastSource drops adverts that do not come from a unicast peer
	// (keepalived's check_unicast_src).
	CheckUnicastSource bool

	// StartMaster is keepalived's "state MASTER": at its start the instance waits for
	// an advert for one advert interval instead of three.
	StartMaster bool
	// NoPreempt leaves a master of lower priority in place (Preempt_Mode False).
	NoPreempt bool
	// PreemptDelay is how long a master of lower priority is left in place, counted
	// from the start, or from the first advert of that master.
	PreemptDelay time.Duration
	// GARPDelay is after what time a new master announces its addresses again
	// (keepalived's garp_master_delay); 0 is never.
	GARPDelay time.Duration
	// LowerDelay is the same after an advert of a lower master (garp_lower_prio_delay).
	LowerDelay time.Duration
	// GARPRefresh is how often a master announces its addresses for good measure
	// (garp_master_refresh); 0 is never.
	GARPRefresh time.Duration
	// StartDelay is how long an instance that starts neither listens nor takes over
	// (vrrp_startup_delay).
	StartDelay time.Duration
	// HandOver is how long a master that is stopped keeps the addresses while it waits
	// for another to take over; with 0 it leaves at once, as RFC 3768 says. MaxSkewTime
	// is enough for every backup.
	HandOver time.Duration
	// Resume starts as master at once. It is for a process that takes over from one on
	// the same machine that was master, while that one's Lease runs.
	Resume bool
}

// MaxSkewTime is longer than any backup waits after an advert of priority 0.
const MaxSkewTime = time.Second

// SkewTime is ((256 − Priority) / 256) seconds, so that the backup of the highest
// priority takes over first (RFC 3768 section 6.1).
func (c *Config) SkewTime() time.Duration {
	return time.Duration(256-int(c.Priority)) * time.Second / 256
}

// MasterDownInterval is after what time without an advert a backup takes over (RFC 3768
// section 6.1).
func (c *Config) MasterDownInterval() time.Duration { return c.Lease() + c.SkewTime() }

// Lease is for how long after an advert was sent no backup takes over: each waits
// longer than this by its skew time.
func (c *Config) Lease() time.Duration {
	adverts := c.DownTimerAdverts
	if adverts == 0 {
		adverts = defaultDownTimerAdverts
	}
	return time.Duration(adverts) * c.AdvertInterval
}

// Validate refuses what version 2 of VRRP cannot carry and what is out of range. The
// error names the instance, the first field that is wrong, and what was expected.
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
