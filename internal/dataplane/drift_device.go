package dataplane

import (
	"bytes"
	"slices"
	"time"

	"weir/internal/netlnk"
	"weir/lvs"
)

// retry is when a device is tried again, to which the data plane could not be
// attached: loading the programs is much work.
type retry struct {
	index int
	at    time.Time
	pause time.Duration
	err   error
}

const (
	retryFirst = time.Second / 2
	retryMost  = 32 * time.Second
)

// repairDevices attaches the data plane again where it is not, be it that somebody
// took it off or that the device was made anew.
func (p *Plane) repairDevices() {
	repaired, failed := false, false
	p.repairTail()
	for _, w := range p.devicesWanted {
		drifted, err := p.repairDevice(w)
		if drifted {
			p.ledger.Note(driftAttachment, w.Name, err)
		}
		repaired, failed = repaired || drifted, failed || err != nil
	}
	if repaired && !failed { // what is left of devices that went can go, too
		p.noteFailure(driftAttachment, p.setDevices(p.devicesWanted))
	}
}

func (p *Plane) repairDevice(w lvs.Device) (drifted bool, err error) {
	l, err := netlnk.LinkByName(w.Name)
	if err != nil {
		return true, err
	}
	d := p.devices[w.Name]
	same := d != nil && d.index == l.Index && d.wanted == w.Hook && bytes.Equal(d.mac, l.MAC)
	if same {
		p.repairPinsOf(d)
		if !slices.ContainsFunc(d.holds(), (*hold).off) {
			return false, nil
		}
	}
	r := p.retries[w.Name]
	if r.index == l.Index && time.Now().Before(r.at) {
		return true, r.err
	}
	if same {
		d.close()
		delete(p.devices, w.Name)
	}
	if _, err := p.setDevice(w); err != nil {
		pause := retryFirst
		if r.index == l.Index {
			pause = min(2*r.pause, retryMost)
		}
		p.retries[w.Name] = retry{l.Index, time.Now().Add(pause), pause, err}
		return true, err
	}
	delete(p.retries, w.Name)
	return true, p.moveLeases(w.Name)
}
