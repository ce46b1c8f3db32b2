package vip

import "slices"

// change is what an owner's goroutine has still to do to its addresses.
type change uint8

const (
	nothing change = iota
	adding
	removing
	mending // what Repair has found
)

// batch is how many addresses are changed, or announced, before it is looked whether
// that is still wanted.
const batch = 64

// Move says where an owner's addresses are to be, and returns. They are added when that is
// here, and removed when it is here no more: Reports.Failed is told what could not be, and
// Wait waits until it is done. Announcements under way end. Known is false for an owner
// that Set did not list.
func (e *Engine) Move(o Owner, to Place) (known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.owner(o)
	if h == nil {
		return false
	}
	from := h.place
	h.place, h.announce = to, false
	h.turn++
	switch h.lost = nil; {
	case to == Here:
		e.begins(h, adding)
	case from == Here:
		e.begins(h, removing)
	}
	e.tellExtraAfter(h, h.Extra.Delay+h.Extra.Every)
	return true
}

// begins gives an owner's goroutine something to do. It is called with mu.
func (e *Engine) begins(h *holding, todo change) {
	h.todo = todo
	if !h.busy {
		h.busy = true
		go e.settle(h)
	}
}

// Wait waits until the addresses of an owner are where Move has said, as far as they can
// be.
func (e *Engine) Wait(o Owner) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for h := e.owner(o); h != nil && h.busy; {
		e.settled.Wait()
	}
}

// settle is an owner's goroutine.
func (e *Engine) settle(h *holding) {
	var first firstRound
	for {
		todo, turn, lost, announce := e.next(h)
		switch {
		case todo == mending:
			e.mendAll(h, turn, lost)
		case todo != nothing:
			var failed []Failure
			if failed, first = e.change(h, todo, turn); len(failed) > 0 {
				e.told.Failed(failed)
			}
		case announce != nil:
			e.finish(h, announce, first)
			first = firstRound{}
		default:
			return
		}
	}
}

// change adds or removes the owner's addresses, and the entries that go with them.
func (e *Engine) change(h *holding, todo change, turn uint64) (failed []Failure, first firstRound) {
	if todo == removing {
		failed = e.removeEntries(h, turn)
	}
	more, first := e.carryOut(h, todo, turn)
	if failed = append(failed, more...); todo == adding {
		failed = append(failed, e.addEntries(h, turn)...)
	}
	return failed, first
}

// firstRound is the round in which addresses are announced as soon as they are added.
type firstRound struct {
	begun bool
	rest  []Address // added, and not handed to a herald yet
}

// finish has an owner's addresses announced that are all added now: in the rounds that are
// left.
func (e *Engine) finish(h *holding, list []Address, first firstRound) {
	e.mu.Lock()
	rounds := max(h.Rounds, 1)
	e.mu.Unlock()
	if first.begun {
		e.enqueue(h, first.rest, 1, false)
		rounds--
	}
	e.enqueue(h, list, rounds, true)
}

// next is what an owner's goroutine has to do; with nothing it is to end.
func (e *Engine) next(h *holding) (todo change, turn uint64, lost, announce []Address) {
	e.mu.Lock()
	defer e.mu.Unlock()
	todo, turn, lost = h.todo, h.turn, h.lost
	switch {
	case todo != nothing:
		h.todo, h.lost = nothing, nil
	case h.announce && len(h.Addresses) > 0:
		h.announce, announce = false, h.Addresses
	default:
		h.busy = false
		e.settled.Broadcast()
	}
	return todo, turn, lost, announce
}

// carryOut adds or removes the owner's addresses, batch by batch, until Move says
// otherwise. Between two batches others may work: what they have taken from the owner is
// not added. What is added is announced where that is wanted, so that the first addresses
// do not wait for the last.
func (e *Engine) carryOut(h *holding, todo change, turn uint64) (failed []Failure, first firstRound) {
	label, list, version := e.begin(h)
	for part := range slices.Chunk(list, batch) {
		done, refused, same := e.changeBatch(h, todo, turn, version, label, part)
		failed = append(failed, refused...)
		if !same {
			break
		}
		if todo == removing {
			continue
		}
		if first.rest = append(first.rest, done...); e.announces(h, turn) {
			e.enqueue(h, first.rest, 1, false)
			first = firstRound{begun: true}
		}
	}
	return failed, first
}

// changeBatch adds or removes addresses that the owner still has, unless Move has said
// otherwise; then same is false.
func (e *Engine) changeBatch(h *holding, todo change, turn, version uint64, label string, list []Address) (done []Address, failed []Failure, same bool) {
	e.work.Lock()
	defer e.work.Unlock()
	if list, same = e.still(h, turn, version, list, todo == removing); !same {
		return nil, nil, false
	}
	if todo == adding {
		return list, e.add(label, list), true
	}
	return list, e.remove(label, list), true
}

// announces says whether the owner's addresses are to be announced once they are added.
func (e *Engine) announces(h *holding, turn uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return h.announce && h.turn == turn
}

// begin is what the owner has when nobody else is at work.
func (e *Engine) begin(h *holding) (label string, list []Address, version uint64) {
	e.work.Lock()
	defer e.work.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	return h.Label, h.Addresses, h.version
}

// still says whether the owner's addresses are still to be where they were in this turn,
// and which of a list it still has; with all it is the whole list.
func (e *Engine) still(h *holding, turn, version uint64, list []Address, all bool) (rest []Address, same bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h.turn != turn || h.gone && !all {
		return nil, false
	}
	if h.version == version || all {
		return list, true
	}
	has := make(map[Address]bool, len(h.Addresses))
	for _, a := range h.Addresses {
		has[a] = true
	}
	for _, a := range list {
		if has[a] {
			rest = append(rest, a)
		}
	}
	return rest, true
}
