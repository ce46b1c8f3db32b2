package vip

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"weir/internal/netlnk"
)

// Announcer tells the hosts on a device's link that addresses are here: by gratuitous ARP,
// or unsolicited neighbour advertisements.
type Announcer interface {
	// Open makes a Speaker of a device, for as long as there is something to announce.
	Open(device string) (Speaker, error)
}

// Speaker announces addresses on one device. One goroutine uses it.
type Speaker interface {
	// Announce tells of each address once, in their order. The error is about the one
	// after those that were sent: ErrBusy where the same may be tried again.
	Announce(addrs []netip.Addr) (sent int, err error)
	Close() error
}

// ErrBusy is returned by a Speaker whose device takes no more frames at the moment.
var ErrBusy = errors.New("the device's queue is full")

// Counts are how many announcements were sent.
type Counts struct {
	GratuitousARPs, UnsolicitedNAs uint64
}

const (
	// pause lies between two batches of announcements of a device, so that the queues of
	// the receivers hold them: Linux takes 1,000 frames (net.core.netdev_max_backlog).
	pause = time.Millisecond
	// mostBusy is how often in a row a device may be busy until its round is given up.
	mostBusy = 100
)

// call is addresses of one device to be announced in several rounds.
type call struct {
	holding       *holding
	turn, version uint64
	label         string
	list          []Address
	rounds        int
	all           bool // all that the owner has on the device, and not begun
	unheard       bool // Reports.Unheard was told of it
}

// herald sends the announcements of a device, round by round of each owner in turn.
type herald struct {
	device string
	queue  []*call // guarded by the engine's mu
}

// Announce has the neighbours told of an owner's addresses, in as many rounds as it wants,
// and returns. Addresses that are still being added are announced after that; an owner
// whose addresses are not here is not announced.
func (e *Engine) Announce(o Owner) { e.AnnounceRounds(o, 0) }

// AnnounceRounds is Announce in a number of rounds; 0 is that of the owner, which also counts
// where addresses are still being added.
func (e *Engine) AnnounceRounds(o Owner, rounds int) {
	e.mu.Lock()
	h := e.owner(o)
	if h == nil || h.place != Here {
		e.mu.Unlock()
		return
	}
	if h.busy {
		h.announce = true
		e.mu.Unlock()
		return
	}
	list := h.Addresses
	if rounds == 0 {
		rounds = max(h.Rounds, 1)
	}
	e.mu.Unlock()
	e.enqueue(h, list, rounds, true)
}

// Counts says how many announcements of an owner's addresses were sent.
func (e *Engine) Counts(o Owner) Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.owner(o); h != nil {
		return h.counts
	}
	return Counts{}
}

// enqueue hands addresses of an owner to the heralds of their devices. Where all of them
// wait already, once is enough.
func (e *Engine) enqueue(h *holding, list []Address, rounds int, all bool) {
	if rounds == 0 {
		return
	}
	by := byDevice(list)
	e.mu.Lock()
	defer e.mu.Unlock()
	for device, list := range by {
		c := &call{holding: h, turn: h.turn, version: h.version, label: h.Label, list: list, rounds: rounds, all: all}
		g := e.heralds[device]
		if g == nil {
			g = &herald{device: device}
			e.heralds[device] = g
			go e.proclaim(g)
		}
		waits := func(o *call) bool { return o.all && o.holding == h && o.turn == h.turn && o.version == h.version }
		if !all || !slices.ContainsFunc(g.queue, waits) {
			g.queue = append(g.queue, c)
		}
	}
}

// proclaim is a herald's goroutine. It ends when nothing is left to announce.
func (e *Engine) proclaim(g *herald) {
	var speaker Speaker
	for c := e.take(g); c != nil; c = e.take(g) {
		speaker = e.round(g.device, speaker, c)
		if c.rounds--; c.rounds > 0 {
			e.mu.Lock()
			g.queue = append(g.queue, c)
			e.mu.Unlock()
		}
	}
	if speaker != nil {
		speaker.Close()
	}
}

// take is the next call; without one the herald is no more.
func (e *Engine) take(g *herald) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(g.queue) == 0 {
		delete(e.heralds, g.device)
		return nil
	}
	c := g.queue[0]
	g.queue, c.all = g.queue[1:], false
	return c
}

// round announces each address once, with pauses, and returns the speaker to go on with;
// nil where another one has to be opened. It ends where the owner's addresses are here no
// more, and where nothing can be sent from the device.
func (e *Engine) round(device string, speaker Speaker, c *call) Speaker {
	r := round{engine: e, device: device, speaker: speaker, call: c}
	gaps, size := e.gapsOf(device), batch
	if gaps != nil {
		size = 1
	}
	for part := range slices.Chunk(c.list, size) {
		if gaps != nil {
			gaps.wait(part[0].Prefix.Addr())
		}
		part, same := e.still(c.holding, c.turn, c.version, part, false)
		if !same {
			c.rounds = 0
			break
		}
		if !r.send(addrsOf(part)) {
			break
		}
		if gaps == nil {
			time.Sleep(pause)
		}
	}
	return r.speaker
}

// round is one round of a call.
type round struct {
	*call
	engine   *Engine
	device   string
	speaker  Speaker
	reopened bool // once a round: the device may have been made anew
	busy     int  // how often in a row
}

// send announces addresses. Those that cannot be are left out; it returns false where none
// can be.
func (r *round) send(addrs []netip.Addr) (goOn bool) {
	for len(addrs) > 0 {
		if r.speaker == nil {
			speaker, err := r.engine.announcer.Open(r.device)
			if err != nil {
				r.failed(addrs[0], err)
				return false
			}
			r.speaker = speaker
		}
		sent, err := r.speaker.Announce(addrs)
		r.engine.count(r.holding, addrs[:sent])
		if addrs = addrs[sent:]; sent > 0 {
			r.busy = 0
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrBusy) && r.busy < mostBusy:
			r.busy++
			time.Sleep(pause)
		case !errors.Is(err, ErrBusy) && !r.reopened:
			r.reopened = true
			r.speaker.Close()
			r.speaker = nil
		default:
			r.failed(addrs[0], err)
			addrs = addrs[1:]
		}
	}
	return true
}

// failed tells of the first address that could not be announced.
func (r *round) failed(a netip.Addr, err error) {
	// Where the device is gone, the owner has been told of that.
	if !r.unheard && !errors.Is(err, netlnk.ErrNoDevice) {
		r.unheard = true
		r.engine.told.Unheard(r.label, a, err)
	}
}

func (e *Engine) count(h *holding, sent []netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range sent {
		if a.Is4() {
			h.counts.GratuitousARPs++
		} else {
			h.counts.UnsolicitedNAs++
		}
	}
}

func addrsOf(list []Address) []netip.Addr {
	addrs := make([]netip.Addr, 0, len(list))
	for _, a := range list {
		addrs = append(addrs, a.Prefix.Addr())
	}
	return addrs
}
