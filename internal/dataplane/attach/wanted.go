package attach

import (
	"errors"
	"maps"
	"slices"
	"time"

	"weir/internal/netlnk"
	"weir/lvs"
)

// Wanted are the devices that the data plane is to be attached to.
type Wanted struct {
	// Devices are named, and it is an error if one cannot be attached to.
	Devices []lvs.Device
	// Everywhere adds each other device by which packets for this machine come in, as the
	// devices come and go. No device that is Excluded is used, whoever names it.
	Everywhere bool
	Excluded   []string
}

// loopback is the device of packets from this machine to itself.
const loopback = "lo"

// hookEgress is the hook of lo: weir looks only at what leaves there.
const hookEgress lvs.Hook = "egress"

// look finds out which devices are wanted at the moment.
func (a *Devices) look() {
	begun := time.Now()
	asked := a.asked
	a.want, a.found, a.trunks = nil, map[string]bool{}, nil
	add := func(w lvs.Device, found bool) {
		named := slices.ContainsFunc(a.want, func(d lvs.Device) bool { return d.Name == w.Name })
		if !named && !slices.Contains(asked.Excluded, w.Name) {
			a.want = append(a.want, w)
			a.found[w.Name] = found
		}
	}
	for _, w := range asked.Devices {
		if w.Name != loopback { // which may have the address of a service
			add(w, false)
		}
	}
	if asked.Everywhere {
		names, trunks, err := netlnk.ClientDevices()
		if err != nil {
			a.noteFailure(Kind, err)
		}
		a.trunks = trunks
		for _, name := range names {
			add(lvs.Device{Name: name, Hook: lvs.HookAuto}, true)
		}
	}
	if len(asked.Devices)+len(a.want) > 0 {
		add(lvs.Device{Name: loopback, Hook: hookEgress}, false)
	}
	a.looked, a.took = time.Now(), time.Since(begun)
}

// lookAgain is look, unless it was done a moment ago: with very many devices it takes a
// while, and no more than a twentieth of a CPU. It says whether other devices are wanted.
func (a *Devices) lookAgain() (others bool) {
	if a.putOff = a.asked.Everywhere && time.Since(a.looked) < lookShare*a.took; !a.asked.Everywhere || a.putOff {
		return false
	}
	before, trunks := a.want, a.trunks
	a.look()
	return !slices.Equal(before, a.want) || !maps.Equal(trunks, a.trunks)
}

// lookShare is the part of a CPU's time that looking for devices takes at most.
const lookShare = 20

// PutOff says whether devices were not looked for, since that had just been done, and in how long
// that may be done again: what has come since is not known yet, and nobody reports it again.
func (a *Devices) PutOff() (rest time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(lookShare*a.took-time.Since(a.looked), 0), a.putOff
}

// noteUnfit tells once of a device that nobody named and that cannot be attached to.
func (a *Devices) noteUnfit(name string, err error) {
	why := ""
	if err != nil && !errors.Is(err, netlnk.ErrNoDevice) { // it has gone meanwhile
		why = err.Error()
	}
	if why != "" && a.unfit[name] != why {
		a.log.Warn("the data plane is not on a device: clients that come by it are not balanced", "device", name, "why", why)
	}
	if a.unfit[name] = why; why == "" {
		delete(a.unfit, name)
	}
}
