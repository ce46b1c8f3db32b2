package attach

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
	"weir/lvs"
)

// retry is when a device is tried again, to which the data plane could not be
// attached: loading the programs is much work.
type retry struct {
	index int
	at    time.Time
	pause time.Duration
	did   repair // what is tried
	err   error
}

const (
	retryFirst = time.Second / 2
	retryMost  = 32 * time.Second
)

// Kind is the name under which the drift of attachments is counted.
const Kind = "attachments"

// Repair attaches the data plane again where it is not, because somebody took it off
// or because the device was made anew, and pins again what is on the devices. Where the
// exits ask for other hooks by now, it changes to them. Where around is false it asks only for
// what the kernel does not report: whether its programs and pins are where they were put.
func (a *Devices) Repair(exits Exits, around bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	around = around || !slices.Equal(a.exits, exits)
	a.exits = exits
	others := around && a.lookAgain()
	a.repairDevices(around)
	switch {
	case others:
		a.setAgain()
	case around:
		a.chooseAgain()
	}
}

// chooseAgain changes to other hooks where the choice is another one by now.
func (a *Devices) chooseAgain() {
	avoid, sends := a.chosen()
	for _, d := range a.by {
		if d.avoid != avoid[d.name] {
			a.setAgain()
			return
		}
	}
	a.noteFailure(abi.BpfMapXdpExits, a.forbidSending(sends))
	a.noteFailure(abi.BpfMapXdpExits, a.allowSending(sends))
	a.noteFailure(abi.BpfVarFarEnds, a.followFarEnds())
}

// repairDevices attaches the data plane again where it is not.
func (a *Devices) repairDevices(around bool) {
	attached, failed := false, false
	a.repairTail()
	for _, w := range a.want {
		if a.found[w.Name] && a.by[w.Name] == nil { // it has come, or cannot be used
			continue
		}
		if d := a.by[w.Name]; !around && d != nil && d.wanted == w.Hook && !d.off() {
			a.repairPins(d)
			continue
		}
		did, err := a.repairDevice(w)
		if errors.Is(err, netlnk.ErrNoDevice) { // it has gone meanwhile, which is nobody's doing
			continue
		}
		if did == takenOff || err != nil {
			a.ledger.Note(Kind, w.Name, err)
		}
		attached, failed = attached || did != nothing, failed || err != nil
	}
	if attached && !failed { // what is left of devices that went can go, too
		a.setAgain()
	}
}

// repair is what a device needed.
type repair int

const (
	nothing  repair = iota
	cameAnew        // the machine's device is another one by now: no drift, and told as attached
	takenOff        // somebody took a program off, which is drift
)

func (a *Devices) repairDevice(w lvs.Device) (did repair, err error) {
	l, err := netlnk.LinkByName(w.Name)
	if errors.Is(err, netlnk.ErrNoDevice) { // nobody's doing: who wants it hears of it, too
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	d := a.by[w.Name]
	same := d != nil && d.index == l.Index && d.wanted == w.Hook && bytes.Equal(d.mac, l.MAC)
	did = cameAnew
	if same {
		a.repairPins(d)
		if !d.off() {
			return nothing, nil
		}
		did = takenOff
	}
	r := a.retries[w.Name]
	if r.index == l.Index {
		if did = max(did, r.did); time.Now().Before(r.at) {
			return did, r.err
		}
	}
	if same {
		d.close()
		delete(a.by, w.Name)
	}
	avoid, _ := a.chosen()
	if _, err := a.setDevice(w, avoid[w.Name]); err != nil {
		pause := retryFirst
		if r.index == l.Index {
			pause = min(2*r.pause, retryMost)
		}
		a.retries[w.Name] = retry{l.Index, time.Now().Add(pause), pause, did, err}
		return did, err
	}
	delete(a.retries, w.Name)
	return did, a.moved(w.Name)
}

// off says whether a program is not on the device any more.
func (d *device) off() bool { return slices.ContainsFunc(d.attachments(), (*attachment).off) }

// repairPins pins again what is on a device.
func (a *Devices) repairPins(d *device) {
	for _, h := range d.attachments() {
		if h.pin.Lost() {
			a.ledger.Note(kmap.PinKind, h.pin.Name(), h.repin())
		}
	}
}

// setAgain is setDevices for what has changed on the machine. A device that has gone meanwhile
// is no drift: who wants it hears of it, too.
func (a *Devices) setAgain() {
	if err := a.setDevices(); !errors.Is(err, netlnk.ErrNoDevice) {
		a.noteFailure(Kind, err)
	}
}

// noteFailure enters that something could not be compared.
func (a *Devices) noteFailure(what string, err error) {
	if err != nil {
		a.ledger.Note(kmap.CompareKind, what, err)
	}
}
