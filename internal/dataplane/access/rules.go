// Package access writes the rules that deny or allow clients of the services.
package access

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/lvs"
)

// Rules are the rules in force: those of the state, and live ones, which have times. One
// entry of the table holds all rules with one key.
type Rules struct {
	mu    sync.Mutex // guards the fields below
	table *ebpf.Map
	rules *kmap.Mirror[abi.BpfAccessKey, abi.BpfAccessRule]
	kinds *kmap.Mirror[uint32, uint32]
	count map[uint32]int // rules of each kind
}

// forever is the time of a live rule that has no end.
const forever = math.MaxUint64

// New takes up the rules that an earlier process left.
func New(m *abi.Maps, mirrors *kmap.Mirrors) *Rules {
	r := &Rules{table: m.AccessRules, count: map[uint32]int{}}
	r.rules = kmap.Add(mirrors, abi.BpfMapAccessRules, m.AccessRules, &r.mu, func(k abi.BpfAccessKey, _ abi.BpfAccessRule) string { return k.Rule().Network.String() })
	r.kinds = kmap.Add[uint32, uint32](mirrors, abi.BpfMapAccessKinds, m.AccessKinds, &r.mu, nil)
	if r.rules == nil {
		return r
	}
	r.rules.Ours(func(v abi.BpfAccessRule) abi.BpfAccessRule {
		v.Packets = 0
		return v
	})
	for key := range r.rules.Wrote() {
		r.count[key.Kind()]++
	}
	return r
}

// bootTime is the clock of the rules: it goes on while the machine sleeps.
func bootTime() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("the boot-time clock: %v", err)) // cannot fail on Linux
	}
	return uint64(t.Nano())
}

// Set makes these the rules of the state. More says that some clients may be denied now
// that were not.
func (r *Rules) Set(deny, allow []lvs.AccessRule) (more bool, err error) {
	wanted := map[abi.BpfAccessKey]uint32{}
	for _, rule := range allow {
		wanted[abi.AccessKeyOf(rule)] = abi.AccessAllow
	}
	for _, rule := range deny {
		wanted[abi.AccessKeyOf(rule)] = abi.AccessDeny
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]abi.BpfAccessKey, 0, len(wanted))
	for key := range wanted {
		keys = append(keys, key)
	}
	for key := range r.rules.Wrote() {
		if _, stays := wanted[key]; !stays {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		rule := r.rules.Wrote()[key]
		if rule.File == wanted[key] {
			continue
		}
		more = true
		rule.File = wanted[key]
		if err := r.put(key, rule); err != nil {
			return more, err
		}
	}
	return more, r.putKinds()
}

// Add enters a live rule, or gives it another time; 0 is until it is removed. More is as
// in Set.
func (r *Rules) Add(rule lvs.AccessRule, deny bool, d time.Duration) (more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until := uint64(forever)
	if d > 0 {
		until = bootTime() + uint64(d)
	}
	key := abi.AccessKeyOf(rule)
	entry := r.rules.Wrote()[key]
	*end(&entry, deny) = until
	if err := r.put(key, entry); err != nil {
		return false, err
	}
	return deny, r.putKinds()
}

// Remove removes a live rule; found is false where there is none.
func (r *Rules) Remove(rule lvs.AccessRule, deny bool) (found bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := abi.AccessKeyOf(rule)
	entry := r.rules.Wrote()[key]
	if *end(&entry, deny) <= bootTime() {
		return false, nil
	}
	*end(&entry, deny) = 0
	if err := r.put(key, entry); err != nil {
		return true, err
	}
	return true, r.putKinds()
}

// Expire removes live rules whose time is over. The data plane has not obeyed them since.
func (r *Rules) Expire() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := bootTime()
	for key, entry := range r.rules.Wrote() {
		was := entry
		for _, deny := range []bool{true, false} {
			if until := end(&entry, deny); *until <= now {
				*until = 0
			}
		}
		if entry == was {
			continue
		}
		if err := r.put(key, entry); err != nil {
			return err
		}
	}
	return r.putKinds()
}

// end is when the live rule of an entry that denies or allows ends, in boot time.
func end(entry *abi.BpfAccessRule, deny bool) *uint64 {
	if deny {
		return &entry.DenyUntil
	}
	return &entry.AllowUntil
}

// put writes an entry, keeping what it has counted, or removes one that says nothing. A
// kind's first rule is obeyed only after putKinds.
func (r *Rules) put(key abi.BpfAccessKey, entry abi.BpfAccessRule) error {
	was, there := r.rules.Wrote()[key]
	if entry.File == 0 && entry.DenyUntil == 0 && entry.AllowUntil == 0 {
		if there {
			r.count[key.Kind()]--
		}
		if err := r.rules.Drop(key); err != nil {
			return fmt.Errorf("remove the rule of %s: %w", key.Rule().Network, err)
		}
		return nil
	}
	if there {
		entry.Packets = r.packets(key, was)
	} else {
		r.count[key.Kind()]++
	}
	entry.Bits = key.Bits
	if err := r.rules.Put(key, entry); err != nil {
		return fmt.Errorf("enter the rule of %s: %w", key.Rule().Network, err)
	}
	return nil
}

// packets is how many packets an entry has denied.
func (r *Rules) packets(key abi.BpfAccessKey, was abi.BpfAccessRule) uint64 {
	var now abi.BpfAccessRule
	if r.table.Lookup(key, &now) != nil || now.Bits != key.Bits { // a shorter prefix: ours was removed
		return was.Packets
	}
	return now.Packets
}

// putKinds tells the data plane which kinds of rules to look for.
func (r *Rules) putKinds() error {
	var kinds uint32
	for kind, n := range r.count {
		if n > 0 {
			kinds |= 1 << kind
		}
	}
	if r.kinds.Wrote()[0] == kinds {
		return nil
	}
	if err := r.kinds.Put(0, kinds); err != nil {
		return fmt.Errorf("set which rules there are: %w", err)
	}
	return nil
}

// List is what is in force, the largest networks first.
func (r *Rules) List() (all []lvs.AccessState, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	boot, now := bootTime(), time.Now()
	for key, entry := range r.rules.Wrote() {
		state := lvs.AccessState{AccessRule: key.Rule()}
		denied := r.packets(key, entry)
		if entry.File != 0 {
			state.Deny = entry.File == abi.AccessDeny
			if state.Deny {
				state.Packets = denied
			}
			all = append(all, state)
		}
		for _, deny := range []bool{true, false} {
			until := *end(&entry, deny)
			if until <= boot {
				continue
			}
			live := lvs.AccessState{AccessRule: key.Rule(), Deny: deny, Live: true}
			if until != forever {
				live.Until = now.Add(time.Duration(until - boot)).Round(0)
			}
			if deny && !state.Deny {
				live.Packets = denied
			}
			all = append(all, live)
		}
	}
	slices.SortFunc(all, order)
	return all, nil
}

func order(a, b lvs.AccessState) int {
	return cmp.Or(
		cmp.Compare(family(a.Network), family(b.Network)), cmp.Compare(a.Network.Bits(), b.Network.Bits()),
		a.Network.Addr().Compare(b.Network.Addr()), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port),
		cmp.Compare(says(a), says(b)),
	)
}

func family(p netip.Prefix) int { return p.Addr().BitLen() }

// says orders rules of one key: deny before allow, the state's before live ones.
func says(s lvs.AccessState) (n int) {
	if !s.Deny {
		n += 2
	}
	if s.Live {
		n++
	}
	return n
}
