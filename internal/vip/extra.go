package vip

import "time"

// Extra is what an owner announces again and again while its addresses are here
// (keepalived's garp_extra_if): devices from which no advertisement leaves would otherwise be
// forgotten by the switches.
type Extra struct {
	// Every is 0 where nothing is. After Move the first is Delay later than that.
	Every, Delay time.Duration
	Addresses    []Address
}

// telling is the next announcement of an owner's Extra.
type telling struct{ timer *time.Timer }

// tellExtraAfter sets the timer of the next announcement, or stops it. It is called with mu.
func (e *Engine) tellExtraAfter(h *holding, d time.Duration) {
	if h.extra != nil {
		h.extra.timer.Stop()
		h.extra = nil
	}
	if h.place != Here || h.gone || h.Extra.Every == 0 || len(h.Extra.Addresses) == 0 {
		return
	}
	next := &telling{}
	next.timer = time.AfterFunc(d, func() { e.tellExtra(h, next) })
	h.extra = next
}

// tellExtra announces, unless another timer has been set meanwhile.
func (e *Engine) tellExtra(h *holding, due *telling) {
	e.mu.Lock()
	if h.extra != due {
		e.mu.Unlock()
		return
	}
	list := h.Extra.Addresses
	e.tellExtraAfter(h, h.Extra.Every)
	e.mu.Unlock()
	e.enqueue(h, list, 1, false)
}
