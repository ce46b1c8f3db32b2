package director

import (
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/vip"
)

// startDelay is how long VRRP waits after the start: vrrp_startup_delay, or what is left of
// vrrp_delay_after_boot, whichever is longer.
func startDelay(g *conf.Global) time.Duration {
	delay := g.StartupDelay
	if g.DelayAfterBoot > 0 {
		var now unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) == nil {
			delay = max(delay, g.DelayAfterBoot-time.Duration(now.Nano()))
		}
	}
	return delay
}

// pacesOf is at what pace a configuration wants addresses announced: on every device, and on
// those of each garp_group.
func pacesOf(c *conf.Config) (all vip.Pace, shared []vip.SharedPace) {
	all = vip.Pace{ARP: c.Global.GARPInterval, NA: c.Global.GNAInterval}
	for _, g := range c.GARPGroups {
		pace := all
		if g.Has("garp_interval") {
			pace.ARP = g.GARPInterval
		}
		if g.Has("gna_interval") {
			pace.NA = g.GNAInterval
		}
		shared = append(shared, vip.SharedPace{Devices: g.Interfaces, Pace: pace})
	}
	return all, shared
}
