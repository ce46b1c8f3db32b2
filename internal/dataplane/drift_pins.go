package dataplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/kmap"
)

// own marks the pins as this process's while it runs: two that repaired the same
// tables would undo each other's work for ever.
func (p *Plane) own() (*os.File, error) {
	dir, err := os.Open(p.pinDir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the pins: %w", err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return dir, nil
	}
	dir.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another weir keeps the data plane that is pinned in %s: stop it, or give this one a pin folder of its own", p.pinDir)
	}
	return nil, fmt.Errorf("lock the folder of the pins: %w", err)
}

// notePins remembers where the tables are pinned.
func (p *Plane) notePins() (err error) {
	p.mapPins = map[string]kmap.Pin{}
	for name, m := range p.maps.ByName() {
		if !m.IsPinned() {
			continue
		}
		if p.mapPins[name], err = kmap.PinAt(filepath.Join(p.pinDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// repairPins pins the tables again that are not where the next process would look
// for them.
func (p *Plane) repairPins() {
	if _, err := os.Stat(p.pinDir); err != nil {
		err := p.remakePinDir()
		p.ledger.Note(driftPin, p.pinDir, err)
		if err != nil {
			return
		}
	}
	tables := p.maps.ByName()
	for name, at := range p.mapPins {
		if at.Lost() {
			p.ledger.Note(driftPin, name, p.repinTable(name, tables[name]))
		}
	}
}

func (p *Plane) remakePinDir() error {
	if err := kmap.MakePinDir(p.pinDir); err != nil {
		return err
	}
	dir, err := p.own()
	if err != nil {
		return err
	}
	p.owned.Close()
	p.owned = dir
	return nil
}

func (p *Plane) repinTable(name string, m *ebpf.Map) (err error) {
	path := p.mapPins[name].Path()
	if err := m.Unpin(); err != nil {
		return err
	}
	if err := m.Pin(path); err != nil {
		return err
	}
	p.mapPins[name], err = kmap.PinAt(path)
	return err
}

// repairPinsOf pins again what is on a device.
func (p *Plane) repairPinsOf(d *device) {
	for _, h := range d.holds() {
		if h.pin.Lost() {
			p.ledger.Note(driftPin, h.pin.Name(), h.repin())
		}
	}
}
