package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"weir/internal/netlnk"
)

// Repair restores what somebody has changed of what Start set up, and returns each
// difference that it found as a sentence for people; nothing where there is none. What Stop
// removed stays removed. The director calls it again and again. With an error, the
// differences may not be repaired.
func (r *RealServer) Repair() (drifted []string, err error) {
	if _, err := os.Lstat(r.stateFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // as on most machines
	}
	s, err := r.load()
	if err != nil || len(s.VIPs) == 0 {
		return nil, err
	}
	if drifted, err = s.drifted(); err != nil || len(drifted) == 0 {
		return nil, err
	}
	unlock, err := r.lock()
	if err != nil {
		return drifted, err
	}
	defer unlock()
	if s, err = r.load(); err != nil { // a Stop may have come first
		return drifted, err
	}
	// As in Start, the present settings are saved before they are changed.
	if err := s.remember(nil, nil); err != nil {
		return drifted, err
	}
	if err := r.save(s); err != nil {
		return drifted, err
	}
	return drifted, s.apply()
}

// drifted compares the kernel's state with the one that apply makes.
func (s *state) drifted() (list []string, err error) {
	lo, err := netlnk.LinkByName(loopback)
	if err != nil {
		return nil, err
	}
	if !lo.Up {
		list = append(list, "lo is down")
	}
	have, err := netlnk.Addresses(loopback)
	if err != nil {
		return nil, err
	}
	for _, v := range s.VIPs {
		if !slices.Contains(have, host(v.Addr)) {
			list = append(list, fmt.Sprintf("%s is not on lo", v.Addr))
		}
	}
	if s.hasIPv4() {
		for _, w := range wanted() {
			got, err := netlnk.Sysctl(w.device, w.name)
			if err != nil {
				return nil, err
			}
			if !w.suffices(got) {
				list = append(list, fmt.Sprintf("%s of %s is %s", w.name, w.device, got))
			}
		}
	}
	if s.Decap == nil {
		return list, nil
	}
	tunnels, err := s.tunnelsDrifted()
	return append(list, tunnels...), err
}

// tunnelsDrifted does the same for decapsulation.
func (s *state) tunnelsDrifted() ([]string, error) {
	want, err := s.layout()
	if err != nil {
		return nil, err
	}
	links, err := netlnk.Links()
	if err != nil {
		return nil, err
	}
	var r Report
	if s.Decap.By == DecapKernel {
		err := r.lookAtTunnelDevices(s, want, links)
		return r.Problems, err
	}
	for _, l := range want.devices {
		t, err := attachedTo(l)
		if err != nil {
			return nil, err
		}
		if t == nil {
			r.problem("decapsulation is not attached to %s", l.Name)
			continue
		}
		err = r.lookAtTables(s, want, l, t)
		t.close()
		if err != nil {
			return nil, err
		}
	}
	return r.Problems, nil
}
