package fakenet

import (
	"errors"
	"net/netip"
)

// Speaker is a vip.Speaker: what it announces, the segment learns.
type Speaker struct {
	machine *Machine
	device  string
	index   int // of the device that it is bound to
}

// OpenSpeaker opens a speaker on a device.
func (m *Machine) OpenSpeaker(device string) (*Speaker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(device)
	if err == nil {
		err = m.refuses("speaker")
	}
	if err != nil {
		return nil, err
	}
	m.speakers++
	return &Speaker{m, device, l.Index}, nil
}

// Speakers counts the speakers of a machine that are open.
func (m *Machine) Speakers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.speakers
}

// Announce announces addresses until one is refused.
func (s *Speaker) Announce(addrs []netip.Addr) (sent int, err error) {
	for _, a := range addrs {
		if err := s.announce(a); err != nil {
			return sent, err
		}
		s.machine.segment.announced(a, s.machine)
		sent++
	}
	return sent, nil
}

func (s *Speaker) announce(a netip.Addr) error {
	m := s.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.link(s.device)
	switch {
	case err != nil:
		return err
	case l.Index != s.index:
		return errors.New("no such device or address")
	case !l.Up:
		return errors.New("network is down")
	}
	if err := m.refuses("announce"); err != nil {
		return err
	}
	m.note("announce %s", a)
	return nil
}

// Close closes it.
func (s *Speaker) Close() error {
	s.machine.mu.Lock()
	defer s.machine.mu.Unlock()
	s.machine.speakers--
	return nil
}
