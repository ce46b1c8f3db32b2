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

// setPaces has addresses announced at the pace that a configuration wants.
func (d *Director) setPaces(c *conf.Config) {
	all := vip.Pace{ARP: c.Global.GARPInterval, NA: c.Global.GNAInterval}
	var shared []vip.SharedPace
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
	d.vips.SetPaces(all, shared)
}
