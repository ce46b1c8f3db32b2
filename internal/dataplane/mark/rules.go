// Package mark writes the rules that give packets firewall marks.
package mark

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/lvs"
)

// mapped4 is IPv4 in the tables' addresses.
var mapped4 = netip.MustParsePrefix("::ffff:0:0/96")

// Rules are the rules in force.
type Rules struct {
	mu      sync.Mutex // guards the fields below
	table   *ebpf.Map
	rules   *kmap.Mirror[uint32, abi.BpfMarkRule]
	lists   *kmap.Mirror[abi.BpfMarkPrefix, abi.BpfMarkList]
	known   bool // what is in force
	inForce []lvs.MarkRule
}

// New takes up the rules that an earlier process left.
func New(m *abi.Maps, mirrors *kmap.Mirrors) *Rules {
	r := &Rules{table: m.MarkRules}
	r.rules = kmap.Add(mirrors, abi.BpfMapMarkRules, m.MarkRules, &r.mu, func(i uint32, r abi.BpfMarkRule) string { return fmt.Sprintf("%d (mark %d)", i, r.Mark) })
	r.lists = kmap.Add(mirrors, abi.BpfMapMarkLists, m.MarkLists, &r.mu, func(k abi.BpfMarkPrefix, _ abi.BpfMarkList) string { return k.Netip().String() })
	return r
}

// Check says what is wrong with a rule.
func Check(r lvs.MarkRule) error {
	_, err := fit(r)
	return err
}

// Set writes the rules that give packets their marks. The new lists are written beside
// those in force, and replace them one by one.
func (r *Rules) Set(rules []lvs.MarkRule) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known && slices.Equal(r.inForce, rules) {
		return nil
	}
	fitted := make([]markRule, 0, len(rules))
	for _, wanted := range rules {
		rule, err := fit(wanted)
		if err != nil {
			return fmt.Errorf("mark %d: %w", wanted.Mark, err)
		}
		fitted = append(fitted, rule)
	}
	old, first := r.listed()
	if err := r.putMarks(fitted, first); err != nil {
		return err
	}
	for _, prefix := range old {
		if slices.Contains(prefixes(fitted), prefix) {
			continue
		}
		if err := r.lists.Drop(abi.MarkPrefixOf(prefix)); err != nil {
			return fmt.Errorf("remove the marks of %s: %w", prefix, err)
		}
	}
	r.known, r.inForce = true, slices.Clone(rules)
	return nil
}

// markRule is a rule with its destination as the tables have it, and its address family.
type markRule struct {
	to   netip.Prefix
	ipv4 bool // only IPv4
	ipv6 bool // only IPv6
	wire abi.BpfMarkRule
}

// fit fills in what a rule leaves open: a rule with one prefix is of that family.
func fit(r lvs.MarkRule) (m markRule, err error) {
	if r.Mark == 0 {
		return m, errors.New("0 is no mark")
	}
	if r.Destination.IsValid() && r.Source.IsValid() && r.Destination.Addr().Is4() != r.Source.Addr().Is4() {
		return m, fmt.Errorf("destination %s and source %s are of two address families", r.Destination, r.Source)
	}
	if r.FirstPort > r.LastPort {
		return m, fmt.Errorf("ports %d to %d: the first is above the last", r.FirstPort, r.LastPort)
	}
	for _, p := range []netip.Prefix{r.Destination, r.Source} {
		m.ipv4 = m.ipv4 || p.IsValid() && p.Addr().Is4()
		m.ipv6 = m.ipv6 || p.IsValid() && p.Addr().Is6()
	}
	m.to, m.wire = netip.PrefixFrom(netip.IPv6Unspecified(), 0), abi.BpfMarkRule{
		Mark: r.Mark, FirstPort: r.FirstPort, LastPort: r.LastPort, Protocol: uint8(r.Protocol),
	}
	if r.LastPort == 0 {
		m.wire.LastPort = math.MaxUint16
	}
	if m.ipv4 {
		m.to = mapped4
	}
	if r.Destination.IsValid() {
		m.to = Mapped(r.Destination)
	}
	if r.Source.IsValid() {
		source := Mapped(r.Source)
		m.wire.Source, m.wire.Mask = abi.AddrOf(source.Addr()), abi.MaskOf(source.Bits())
	}
	return m, nil
}

// Mapped is a prefix of the tables' addresses.
func Mapped(p netip.Prefix) netip.Prefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mapped4.Bits()
	}
	return netip.PrefixFrom(netip.AddrFrom16(p.Masked().Addr().As16()), bits)
}

// prefixes are the destinations that need a list of their own. All of IPv4 is one of them,
// so that rules of IPv6 do not match packets of IPv4.
func prefixes(rules []markRule) (all []netip.Prefix) {
	for _, r := range rules {
		for _, p := range []netip.Prefix{r.to, mapped4} {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// covers says whether a rule may fit packets to this prefix.
func (r markRule) covers(p netip.Prefix) bool {
	is4 := p.Bits() >= mapped4.Bits() && mapped4.Overlaps(p)
	return r.to.Bits() <= p.Bits() && r.to.Overlaps(p) && !(is4 && r.ipv6) && (is4 || !r.ipv4)
}

// putMarks writes the lists into their half of the rules, and puts them in force.
func (r *Rules) putMarks(rules []markRule, first uint32) error {
	room := r.table.MaxEntries() / 2
	lists, at := map[netip.Prefix]abi.BpfMarkList{}, first
	for _, prefix := range prefixes(rules) {
		list := abi.BpfMarkList{First: at}
		for _, rule := range rules {
			if !rule.covers(prefix) {
				continue
			}
			if at-first == room {
				return fmt.Errorf("marks: the rules need more than %d places, one for each destination that each covers: use fewer overlapping ones", room)
			}
			if err := r.rules.Put(at, rule.wire); err != nil {
				return fmt.Errorf("write a rule of mark %d: %w", rule.wire.Mark, err)
			}
			at++
		}
		list.Count = at - list.First
		lists[prefix] = list
	}
	for prefix, list := range lists {
		if err := r.lists.Put(abi.MarkPrefixOf(prefix), list); err != nil {
			return fmt.Errorf("put the marks of %s in force: %w", prefix, err)
		}
	}
	return nil
}

// listed are the destinations that have lists now, and where the other half of
// the rules begins.
func (r *Rules) listed() (all []netip.Prefix, free uint32) {
	half := r.table.MaxEntries() / 2
	free = half
	for key, list := range r.lists.Wrote() {
		all = append(all, key.Netip())
		if list.First >= half {
			free = 0
		}
	}
	return all, free
}
