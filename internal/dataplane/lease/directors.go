package lease

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
	"weir/lvs"
)

// Directors are the other directors, by their Ethernet addresses, and the networks whose
// routes lead by them. They have a lock of their own.
type Directors struct {
	log        *slog.Logger
	most       int        // how many there is room for
	mostRoutes int        // how many networks there is room for
	looking    sync.Mutex // one look at the kernel's tables at a time
	mu         sync.Mutex // guards the fields below
	wanted     []lvs.Director
	table      *kmap.Mirror[uint64, uint8]
	filter     *kmap.Mirror[uint32, uint64]
	routes     *kmap.Mirror[abi.BpfPrefix, uint64]
	next       time.Time // of the next look at the routes
	putOff     bool      // one was asked for since the last
	// crowded are the Ethernet addresses of the directors that route more networks than there
	// is room for (fit).
	crowded []uint64
}

// addressesOfOne is how many Ethernet addresses a director has at most: the source of its
// advertisements, and the one that its neighbours find it by.
const addressesOfOne = 2

// NewDirectors takes up those that an earlier process left.
func NewDirectors(log *slog.Logger, m *abi.Maps, mirrors *kmap.Mirrors) *Directors {
	d := &Directors{log: log, most: int(m.Directors.MaxEntries()) / addressesOfOne}
	d.mostRoutes = int(m.DirectorRoutes.MaxEntries()) - 1 // Linux changes no entry of a full table before 6.13
	d.table = kmap.Add(mirrors, abi.BpfMapDirectors, m.Directors, &d.mu, func(word uint64, _ uint8) string { return abi.WordMAC(word).String() })
	d.filter = kmap.Add[uint32, uint64](mirrors, abi.BpfVarDirectorFilter, m.DirectorFilter, &d.mu, nil)
	d.routes = kmap.Add(mirrors, abi.BpfMapDirectorRoutes, m.DirectorRoutes, &d.mu, func(k abi.BpfPrefix, _ uint64) string { return k.Netip().String() })
	return d
}

// List is what is in force, by Ethernet address alone.
func (d *Directors) List() (all []lvs.Director) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for word := range d.table.Wrote() {
		all = append(all, lvs.Director{MAC: abi.WordMAC(word)})
	}
	return all
}

// Set makes these, and only these, the directors whose packets are never forwarded again.
// Where there is no room for all, the last ones are left out: what neighbours send refuses
// no configuration. Changed says that a packet may have to take the full path because of that.
func (d *Directors) Set(all []lvs.Director) (changed bool, err error) {
	all = all[:min(len(all), d.most)]
	d.mu.Lock()
	same := slices.EqualFunc(d.wanted, all, equal)
	d.wanted, d.next = slices.Clone(all), time.Time{}
	d.mu.Unlock()
	if same && len(all) > 0 {
		return false, nil
	}
	return d.Refresh()
}

func equal(a, b lvs.Director) bool { return a.Addr == b.Addr && slices.Equal(a.MAC, b.MAC) }

// lookShare bounds the time that looking at the kernel's tables takes: one part of this
// many. It matters where a machine has hundreds of thousands of routes.
const lookShare = 20

// PutOff is how long it takes until Refresh looks again where its last call came too early
// for that; otherwise ok is false.
func (d *Directors) PutOff() (rest time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(time.Until(d.next), 0), d.putOff
}

// Refresh follows the kernel's routes and neighbours. Changed is as in Set.
func (d *Directors) Refresh() (changed bool, err error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	d.mu.Lock()
	wanted, begun := d.wanted, time.Now()
	early := begun.Before(d.next)
	d.putOff = early
	d.mu.Unlock()
	if early {
		return false, nil
	}
	var around surroundings
	if len(wanted) > 0 {
		for _, other := range wanted {
			if other.Addr.IsValid() {
				_ = netlnk.Refresh(other.Addr) // without a route to it, its address is not needed
			}
		}
		if around, err = look(); err != nil {
			return false, fmt.Errorf("find the routes by other directors: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if took := time.Since(begun); took > time.Millisecond {
		d.next = time.Now().Add(lookShare * took)
	}
	return d.put(wanted, around)
}

// put writes what follows from the kernel's tables.
func (d *Directors) put(wanted []lvs.Director, around surroundings) (changed bool, err error) {
	macs := around.macs(wanted, d.table.Wrote())
	networks := around.back(wanted, macs)
	crowded := fit(networks, d.mostRoutes)
	takeAsShared(macs, crowded)
	d.tellCrowded(crowded)
	for word := range d.table.Wrote() {
		if _, stays := macs[word]; stays {
			continue
		}
		changed = true
		if err := d.table.Drop(word); err != nil {
			return changed, fmt.Errorf("remove a director: %w", err)
		}
	}
	filter := uint64(0)
	for word, kind := range macs {
		filter |= abi.DirectorBit(word)
		if d.table.Wrote()[word] == kind {
			continue
		}
		changed = true
		if err := d.table.Put(word, kind); err != nil {
			return changed, fmt.Errorf("enter director %s: %w", abi.WordMAC(word), err)
		}
	}
	if err := d.putRoutes(networks); err != nil {
		return changed, err
	}
	if d.filter.Wrote()[0] != filter {
		if err := d.filter.Put(0, filter); err != nil {
			return changed, fmt.Errorf("set the directors' filter: %w", err)
		}
	}
	return changed, nil
}

// putRoutes writes the networks. What goes makes room first, where there is no room for both.
func (d *Directors) putRoutes(networks map[netip.Prefix]uint64) error {
	wanted, added := make(map[abi.BpfPrefix]uint64, len(networks)), 0
	for network, mac := range networks {
		key := abi.PrefixOf(network)
		wanted[key] = mac
		if _, there := d.routes.Wrote()[key]; !there {
			added++
		}
	}
	if len(d.routes.Wrote())+added > d.mostRoutes {
		if err := d.dropRoutes(wanted); err != nil {
			return err
		}
	}
	for key, mac := range wanted {
		if was, there := d.routes.Wrote()[key]; there && was == mac {
			continue
		}
		if err := d.routes.Put(key, mac); err != nil {
			return fmt.Errorf("enter the route back to %s: %w", key.Netip(), err)
		}
	}
	return d.dropRoutes(wanted)
}

func (d *Directors) dropRoutes(wanted map[abi.BpfPrefix]uint64) error {
	for key := range d.routes.Wrote() {
		if _, stays := wanted[key]; stays {
			continue
		}
		if err := d.routes.Drop(key); err != nil {
			return fmt.Errorf("remove the route back to %s: %w", key.Netip(), err)
		}
	}
	return nil
}

// tellCrowded tells once of each director that routes more networks than there is room for.
func (d *Directors) tellCrowded(crowded []uint64) {
	for _, mac := range crowded {
		if !slices.Contains(d.crowded, mac) {
			d.log.Warn("another director routes more networks than the data plane has room for: what it forwards is not told from what its clients send",
				"director", abi.WordMAC(mac).String(), "room", d.mostRoutes)
		}
	}
	d.crowded = crowded
}
