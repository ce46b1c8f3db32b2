package attach

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
)

// farEnd is what was found of the far end of a device that leads to servers.
type farEnd struct {
	netlnk.FarEnd
	takes bool
	asked time.Time
}

// farEndRest is how long that holds: nobody reports a program at the far end, or a filter.
const farEndRest = 10 * time.Second

// followFarEnds has tc give packets to the far ends of those devices that lead to servers and
// allow it: to a container, they need not go by its device's queue of this machine.
func (a *Devices) followFarEnds() error {
	now, found := time.Now(), map[int]farEnd{}
	var failed []error
	chains := sync.OnceValue(func() bool {
		yes, err := netlnk.ChainsAtEgress()
		failed = append(failed, err)
		return yes || err != nil
	})
	for _, index := range a.exits {
		end, ok, err := netlnk.FarEndOf(index)
		if err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			failed = append(failed, err)
		}
		if !ok {
			continue
		}
		if old := a.farEnds[index]; old.FarEnd == end && now.Sub(old.asked) < farEndRest {
			found[index] = old
			continue
		}
		takes, err := end.Takes(index)
		failed = append(failed, err)
		found[index] = farEnd{end, takes && a.onlyProgram(index) && !chains(), now}
	}
	a.farEnds = found
	var ends abi.BpfFarEnds
	for index, end := range found {
		if word := index / 64; end.takes && word < len(ends.Bits) {
			ends.Bits[word] |= 1 << (index % 64)
		}
	}
	if a.far.Wrote()[0] != ends {
		failed = append(failed, a.far.Put(0, ends))
	}
	return errors.Join(failed...)
}

// onlyProgram says whether no program but weir's works on what leaves by a device, where the
// kernel has links for such programs (Linux 6.6).
func (a *Devices) onlyProgram(index int) bool {
	programs, err := programsAt(index, ebpf.AttachTCXEgress)
	return err == nil && !slices.ContainsFunc(programs, func(p link.AttachedProgram) bool {
		for _, d := range a.by {
			if d.index == index && d.egress != nil && d.egress.program == p.ID {
				return false
			}
		}
		return true
	})
}
