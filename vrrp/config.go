package vrrp

import (
	"cmp"
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
	Version  uint8  // Version2 or Version3; 0 is Version2
	VRID     uint8  // 1 to 255
	Priority uint8  // the effective priority, 1 to 255; 255 is the owner of the addresses
	// AdvertInterval is in whole seconds, 1 to 255; in version 3 in hundredths of a second,
	// 10 ms to 40.95 s, and a backup goes by the interval that the master's adverts have.
	AdvertInterval time.Duration
	// DownTimerAdverts is after how many missed adverts a backup takes over
	// (keepalived's down_timer_adverts), 1 to 100; 0 is 3.
	DownTimerAdverts int
	Auth             Authentication // none with version 3
	VIPs             []netip.Addr   // addresses that adverts list, of Source's family; at most 255
	// Source is the address that adverts are sent from: an IPv4 one, or in version 3 an IPv6
	// one without a zone. Between equal priorities the director with the higher one is
	// master.
	Source netip.Addr
	// UnicastPeers get the adverts instead of the multicast group, and adverts have to
	// come by unicast. Empty is multicast.
	UnicastPeers []netip.Addr
	// CheckUnicastSource drops adverts that do not come from a unicast peer
	// (keepalived's check_unicast_src).
	CheckUnicastSource bool
	// PeerTTLs are the limits of the TTL of unicast peers' adverts (min_ttl, max_ttl); a peer
	// that is not listed has none.
	PeerTTLs map[netip.Addr]TTLRange
	// SkipVIPCheck compares the VIPs only of the first advert of a sender after that of
	// another (keepalived's skip_check_adv_addr).
	SkipVIPCheck bool
	// LowerNoAdvert leaves adverts of lower priority without an answer
	// (lower_prio_no_advert), HigherSendAdvert sends one more advert before giving way
	// (higher_prio_send_advert), and OwnerIgnoresAdverts has an instance of priority 255
	// look at no advert (owner_ignore_adverts).
	LowerNoAdvert, HigherSendAdvert, OwnerIgnoresAdverts bool

	// StartMaster is keepalived's "state MASTER": at its start the instance waits for
	// an advert for one advert interval instead of three.
	StartMaster bool
	// OthersPriority is the highest priority of the other directors, 1 to 254, where it is known
	// (keepalived's timer_expired_backup): after a stall a master is taken to have lost the
	// addresses only once that one's Master_Down_Interval is over. 0 is that any may have
	// taken over.
	OthersPriority uint8
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

	// learnt is the interval of the master that was heard last, in version 3; 0 is none.
	learnt time.Duration
}

// MaxSkewTime is longer than any backup waits after an advert of priority 0.
const MaxSkewTime = time.Second

// TTLRange is between which TTLs, both included, adverts come. The zero TTLRange is any.
type TTLRange struct{ Min, Max uint8 }

func (r TTLRange) holds(ttl uint8) bool { return r == TTLRange{} || ttl >= r.Min && ttl <= r.Max }

func (r TTLRange) String() string { return fmt.Sprintf("%d to %d", r.Min, r.Max) }

func (c *Config) version() uint8 { return cmp.Or(c.Version, Version2) }

// masterInterval is the time between the adverts of the master that a backup listens to:
// Master_Adver_Interval of RFC 5798 section 6.1.
func (c *Config) masterInterval() time.Duration { return cmp.Or(c.learnt, c.AdvertInterval) }

// SkewTime is ((256 − Priority) / 256) seconds, so that the backup of the highest
// priority takes over first (RFC 3768 section 6.1). In version 3 it is that part of the
// master's interval (RFC 5798 section 6.1).
func (c *Config) SkewTime() time.Duration {
	return c.skew(c.Priority, c.masterInterval())
}

// skew is the Skew_Time of a priority, by a master with this interval.
func (c *Config) skew(priority uint8, interval time.Duration) time.Duration {
	unit := time.Second
	if c.version() == Version3 {
		unit = interval
	}
	return time.Duration(256-int(priority)) * unit / 256
}

// MasterDownInterval is after what time without an advert a backup takes over (RFC 3768
// section 6.1).
func (c *Config) MasterDownInterval() time.Duration {
	return c.downAdverts()*c.masterInterval() + c.SkewTime()
}

// Lease is for how long after an advert was sent no backup takes over: each waits
// longer than this by its skew time. With OthersPriority the shortest skew time is part of it.
func (c *Config) Lease() time.Duration {
	lease := c.downAdverts() * c.AdvertInterval
	if c.OthersPriority > 0 {
		lease += c.skew(c.OthersPriority, c.AdvertInterval)
	}
	return lease
}

func (c *Config) downAdverts() time.Duration {
	return time.Duration(cmp.Or(c.DownTimerAdverts, defaultDownTimerAdverts))
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
	if v := c.version(); v != Version2 && v != Version3 {
		return fmt.Errorf("version %d: expected 2 or 3", v)
	}
	if err := checkInterval(c.AdvertInterval, c.version() == Version3); err != nil {
		return err
	}
	if c.AdvertInterval == 0 {
		least := time.Second
		if c.version() == Version3 {
			least = centisecond
		}
		return fmt.Errorf("advertisement interval 0: expected at least %s", least)
	}
	if c.DownTimerAdverts < 0 || c.DownTimerAdverts > 100 {
		return fmt.Errorf("down timer adverts %d: expected 1 to 100", c.DownTimerAdverts)
	}
	if c.Auth.Type > AuthHeader {
		return fmt.Errorf("authentication %s: expected none, PASS or AH", c.Auth.Type)
	}
	if c.Auth.Type != AuthNone && c.version() == Version3 {
		return fmt.Errorf("authentication %s: version 3 has none", c.Auth.Type)
	}
	if c.PreemptDelay < 0 || c.GARPDelay < 0 {
		return fmt.Errorf("preempt delay %s, GARP delay %s: expected no negative time", c.PreemptDelay, c.GARPDelay)
	}
	return c.validateAddrs()
}

func (c *Config) validateAddrs() error {
	family := "an IPv4 address"
	if c.version() == Version3 && c.Source.Is6() {
		family = "an IPv6 address"
	} else if !c.Source.Is4() {
		return fmt.Errorf("source address %s: expected %s", c.Source, family)
	}
	if len(c.VIPs) > maxVIPs {
		return fmt.Errorf("%d VIPs: expected at most %d", len(c.VIPs), maxVIPs)
	}
	for _, vip := range c.VIPs {
		if vip.BitLen() != c.Source.BitLen() {
			return fmt.Errorf("VIP %s: expected %s", vip, family)
		}
	}
	for _, peer := range c.UnicastPeers {
		if peer.BitLen() != c.Source.BitLen() || peer.IsMulticast() {
			return fmt.Errorf("unicast peer %s: expected %s of one machine", peer, family)
		}
	}
	return nil
}
