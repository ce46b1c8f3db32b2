package vrrp

// Group keeps an instance in step with others (keepalived's vrrp_sync_group). An Owner that
// has this method belongs to one; the instance's goroutine calls it.
type Group interface {
	// MayTakeOver is asked by a backup whose Master_Down_Timer has fired, and by one that
	// starts as the owner of its addresses. With false it stays backup, and listens for
	// another Master_Down_Interval.
	MayTakeOver() bool
	// GivesWay tells that a backup has heard a master that it leaves in place: it wants to
	// take over no more.
	GivesWay()
}

// Follow has a backup become master at once, or a master backup, because the others of its
// group have. It returns at once; of several calls the last one counts. An instance that is
// in another state, or in fault, is left as it is.
func (v *Instance) Follow(to State) {
	v.mu.Lock()
	v.directed = to
	v.mu.Unlock()
	select {
	case v.direct <- struct{}{}:
	default: // the wake-up that is pending will read this state
	}
}

// direction is the state that the group has asked for since it was last read; Init is none.
func (v *Instance) direction() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	to := v.directed
	v.directed = Init
	if v.snap.Fault != "" {
		return Init
	}
	return to
}

// mayTakeOver asks the group, if there is one.
func (v *Instance) mayTakeOver() bool {
	g, grouped := v.owner.(Group)
	return !grouped || g.MayTakeOver()
}

// givesWayInGroup tells the group, if there is one.
func (v *Instance) givesWayInGroup() {
	if g, grouped := v.owner.(Group); grouped {
		g.GivesWay()
	}
}
