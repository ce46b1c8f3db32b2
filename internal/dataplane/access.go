package dataplane

import (
	"time"

	"weir/lvs"
)

// AddRule denies clients of the services, or allows some of them nevertheless, for a time;
// 0 is until the rule is removed. A rule that is there gets the new time. Connections of
// clients that are denied now have ended when it returns. The rule stays when another
// state is set, and for the next process that takes up the pinned tables.
func (p *Plane) AddRule(rule lvs.AccessRule, deny bool, d time.Duration) error {
	return p.cutIf(p.access.Add(rule, deny, d))
}

// RemoveRule removes a rule of AddRule; found is false where there is none.
func (p *Plane) RemoveRule(rule lvs.AccessRule, deny bool) (found bool, err error) {
	found, err = p.access.Remove(rule, deny)
	if found && !deny { // what an exception has allowed may be denied now
		err = p.cutIf(true, err)
	}
	return found, err
}

// Rules are the rules in force, the largest networks first.
func (p *Plane) Rules() ([]lvs.AccessState, error) { return p.access.List() }

// cutIf ends the connections of clients that are denied where a change of the rules may
// deny more of them. Its arguments are results of p.access.
func (p *Plane) cutIf(more bool, err error) error {
	if err != nil || !more {
		return err
	}
	p.cutAgain.Store(true)
	return p.conns.CutDenied()
}

// followRules does what rules need that were written a while ago: it removes those whose
// time is over, and ends what denied clients began while they were written.
func (p *Plane) followRules() {
	if err := p.access.Expire(); err != nil {
		p.log.Error("remove rules whose time is over", "error", err)
	}
	if !p.cutAgain.Swap(false) {
		return
	}
	if err := p.conns.CutDenied(); err != nil {
		p.log.Error("end connections of denied clients", "error", err)
	}
}
