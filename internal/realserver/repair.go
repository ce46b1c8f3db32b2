package realserver

import (
	"fmt"
	"slices"

	"weir/internal/netlnk"
)

// Repair puts back what somebody changed of what Start made, and says what that
// was, in words; nothing where all is well. What Stop took away stays away.
func (r *RealServer) Repair() (astray []string, err error) {
	s, err := r.load()
	if err != nil || len(s.VIPs) == 0 {
		return nil, err
	}
	if astray, err = s.astray(); err != nil || len(astray) == 0 {
		return nil, err
	}
	unlock, err := r.lock()
	if err != nil {
		return astray, err
	}
	defer unlock()
	if s, err = r.load(); err != nil { // a Stop may have been quicker
		return astray, err
	}
	// As with Start, what is there now is remembered before it is changed.
	if err := s.remember(nil, nil); err != nil {
		return astray, err
	}
	if err := r.save(s); err != nil {
		return astray, err
	}
	return astray, s.apply()
}

// astray compares the kernel's state with the one that apply makes.
func (s *state) astray() (list []string, err error) {
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
	tunnels, err := s.tunnelsAstray()
	return append(list, tunnels...), err
}

// tunnelsAstray looks at what takes packets out of tunnels.
func (s *state) tunnelsAstray() ([]string, error) {
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
