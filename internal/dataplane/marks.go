package dataplane

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// mapped4 is IPv4 in the tables' addresses.
var mapped4 = netip.MustParsePrefix("::ffff:0:0/96")

// setMarks lays out the rules that give packets their marks. The new lists are
// written beside those in force, and take their places one by one.
func (p *Plane) setMarks(rules []lvs.MarkRule) error {
	if p.marks != nil && slices.Equal(p.marks, rules) {
		return nil
	}
	fitted := make([]markRule, 0, len(rules))
	for _, r := range rules {
		rule, err := fit(r)
		if err != nil {
			return fmt.Errorf("mark %d: %w", r.Mark, err)
		}
		fitted = append(fitted, rule)
	}
	old, first, err := p.markLists()
	if err != nil {
		return fmt.Errorf("list the marks' rules: %w", err)
	}
	if err := p.putMarks(fitted, first); err != nil {
		return err
	}
	for _, prefix := range old {
		if slices.Contains(prefixes(fitted), prefix) {
			continue
		}
		if err := p.tables.markLists.Drop(abi.MarkPrefixOf(prefix)); err != nil {
			return fmt.Errorf("remove the marks of %s: %w", prefix, err)
		}
	}
	p.marks = append([]lvs.MarkRule{}, rules...)
	return nil
}

// markRule is a rule with its destination as the tables have it, and as whose
// address family.
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
		m.to = mapped(r.Destination)
	}
	if r.Source.IsValid() {
		source := mapped(r.Source)
		m.wire.Source, m.wire.Mask = abi.AddrOf(source.Addr()), abi.MaskOf(source.Bits())
	}
	return m, nil
}

// mapped is a prefix of the tables' addresses.
func mapped(p netip.Prefix) netip.Prefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mapped4.Bits()
	}
	return netip.PrefixFrom(netip.AddrFrom16(p.Masked().Addr().As16()), bits)
}

// prefixes are the destinations that need a list of their own. IPv4 is one of
// them, so that its packets do not meet the rules of IPv6.
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
func (p *Plane) putMarks(rules []markRule, first uint32) error {
	room := p.maps.MarkRules.MaxEntries() / 2
	lists, at := map[netip.Prefix]abi.BpfMarkList{}, first
	for _, prefix := range prefixes(rules) {
		list := abi.BpfMarkList{First: at}
		for _, r := range rules {
			if !r.covers(prefix) {
				continue
			}
			if at-first == room {
				return fmt.Errorf("marks: the rules need more than %d places, one for each destination that each covers: use fewer overlapping ones", room)
			}
			if err := p.tables.markRules.Put(at, r.wire); err != nil {
				return fmt.Errorf("write a rule of mark %d: %w", r.wire.Mark, err)
			}
			at++
		}
		list.Count = at - list.First
		lists[prefix] = list
	}
	for prefix, list := range lists {
		if err := p.tables.markLists.Put(abi.MarkPrefixOf(prefix), list); err != nil {
			return fmt.Errorf("put the marks of %s in force: %w", prefix, err)
		}
	}
	return nil
}

// markLists are the destinations that have lists now, and where the other half of
// the rules begins.
func (p *Plane) markLists() (all []netip.Prefix, free uint32, err error) {
	half := p.maps.MarkRules.MaxEntries() / 2
	free = half
	var key abi.BpfMarkPrefix
	var list abi.BpfMarkList
	entries := p.maps.MarkLists.Iterate()
	for entries.Next(&key, &list) {
		all = append(all, key.Netip())
		if list.First >= half {
			free = 0
		}
	}
	return all, free, entries.Err()
}
