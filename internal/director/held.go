package director

import (
	"cmp"
	"log/slog"
	"time"

	"weir/conf"
	"weir/internal/netlnk"
)

// heldLinks holds changes of devices back (interface_up_down_delays): everything that looks at
// the surroundings sees a device as it was, up or down, until the change has lasted for its
// delay. One that is undone before that is seen by nobody. As in keepalived
// (update_interface_flags in keepalived_netlink.c), a device that comes up for the first time
// is seen at once, and so is one that is deleted.
type heldLinks struct {
	delays map[string]conf.InterfaceDelay
	links  map[string]*heldLink
}

// heldLink is a device with a delay.
type heldLink struct {
	index  int
	up     bool      // as it is seen
	seenUp bool      // it has been up since it came
	since  time.Time // when it began to be other than it is seen; zero where it is as seen
}

// delaysOf are the delays of a configuration, by device. An instance's own device has those
// of the interface that it is over.
func delaysOf(cfg *conf.Config) map[string]conf.InterfaceDelay {
	delays := map[string]conf.InterfaceDelay{}
	for _, d := range cfg.Machine.UpDownDelays {
		for _, c := range cfg.VRRPInstances {
			if c.Interface == d.Interface {
				d = bounded(d, c)
			}
		}
		delays[d.Interface] = d
	}
	for _, c := range cfg.VRRPInstances {
		for _, v := range c.OwnDevices() {
			if d, ok := delays[v.Base]; ok {
				delays[v.Name] = d
			}
		}
	}
	return delays
}

// bounded is a delay of the interface that an instance speaks on: an advert less than those
// after which a backup takes over, since a backup whose interface is down must not take over
// (check_debounce_timers in keepalived's vrrp.c).
func bounded(d conf.InterfaceDelay, c conf.VRRPInstance) conf.InterfaceDelay {
	missed := cmp.Or(c.DownTimerAdverts, 3) - 1
	if missed == 0 {
		d.Up, d.Down = 0, 0
		return d
	}
	most := time.Duration(missed)*c.AdvertInterval - c.AdvertInterval/256
	if d.Down > most {
		if d.Up == d.Down {
			d.Up = most
		}
		d.Down = most
	}
	return d
}

// hold has a picture that was just taken show the devices as they are to be seen, and logs
// what is held back from now on.
func (h *heldLinks) hold(p *netlnk.Picture, now time.Time, log *slog.Logger) {
	for name, delay := range h.delays {
		l, err := p.Link(name)
		if err != nil {
			delete(h.links, name)
			continue
		}
		if known := h.links[name]; known == nil || known.index != l.Index {
			h.links[name] = &heldLink{index: l.Index, up: l.Up, seenUp: l.Up}
		}
		if was := h.links[name]; was.holds(l.Up, delay, now, log) {
			p.SetUp(name, was.up)
		}
	}
}

// holds takes in whether the device is up, and says whether it is to be seen otherwise.
func (l *heldLink) holds(up bool, delay conf.InterfaceDelay, now time.Time, log *slog.Logger) bool {
	if up == l.up {
		if !l.since.IsZero() {
			log.Info("change of an interface undone before its delay was over", "interface", delay.Interface)
		}
		l.since = time.Time{}
		return false
	}
	begins := l.since.IsZero()
	if begins {
		l.since = now
	}
	if !l.seenUp || !now.Before(l.until(delay)) {
		l.up, l.since, l.seenUp = up, time.Time{}, l.seenUp || up
		return false
	}
	if begins {
		log.Info("change of an interface is held back", "interface", delay.Interface, "up", up, "for", l.until(delay).Sub(now))
	}
	return true
}

// until is when a change that is held back is seen.
func (l *heldLink) until(delay conf.InterfaceDelay) time.Time {
	if l.up {
		return l.since.Add(delay.Down)
	}
	return l.since.Add(delay.Up)
}

// next is when the first change that is held back is to be seen; zero is none.
func (h *heldLinks) next() (first time.Time) {
	for name, l := range h.links {
		if l.since.IsZero() {
			continue
		}
		if at := l.until(h.delays[name]); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}
