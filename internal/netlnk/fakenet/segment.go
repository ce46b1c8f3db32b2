package fakenet

import (
	"errors"
	"net/netip"
	"slices"
	"sync"

	"weir/internal/netlnk"
	"weir/vrrp"
)

// Segment is a network that carries advertisements, and whose hosts know by the last
// announcement which machine has an address.
type Segment struct {
	mu         sync.Mutex
	transports []*transport
	cut        map[*Machine]bool // machines that neither send nor receive
	holders    map[netip.Addr]*Machine
}

// NewSegment is one without machines.
func NewSegment() *Segment {
	return &Segment{cut: map[*Machine]bool{}, holders: map[netip.Addr]*Machine{}}
}

// Cut takes a machine off the network, or puts it on again.
func (s *Segment) Cut(m *Machine, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[m] = cut
}

// Holder is the machine that has announced an address last; nil before that.
func (s *Segment) Holder(a netip.Addr) *Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holders[a]
}

func (s *Segment) announced(a netip.Addr, m *Machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cut[m] {
		s.holders[a] = m
	}
}

// transport is a ha.Transport of one instance.
type transport struct {
	machine *Machine
	cfg     vrrp.LinkConfig
	index   int // of the device that it is bound to
	inbox   chan vrrp.Packet
}

// OpenLink opens what carries an instance's advertisements.
func (m *Machine) OpenLink(cfg vrrp.LinkConfig) (*transport, error) {
	m.mu.Lock()
	l, err := m.link(cfg.Interface)
	if err == nil {
		err = m.refuses("open")
	}
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t := &transport{machine: m, cfg: cfg, index: l.Index, inbox: make(chan vrrp.Packet, 64)}
	m.segment.mu.Lock()
	defer m.segment.mu.Unlock()
	m.segment.transports = append(m.segment.transports, t)
	return t, nil
}

// Open counts the transports of a machine that are open.
func (m *Machine) Open() (n int) {
	m.segment.mu.Lock()
	defer m.segment.mu.Unlock()
	for _, t := range m.segment.transports {
		if t.machine == m {
			n++
		}
	}
	return n
}

// live says whether the device that it is bound to is there, and up.
func (t *transport) live() bool {
	t.machine.mu.Lock()
	defer t.machine.mu.Unlock()
	l, err := t.machine.link(t.cfg.Interface)
	return err == nil && l.Up && l.Index == t.index
}

// Send carries the advertisement's bytes to all others of the virtual router.
func (t *transport) Send(a vrrp.Advertisement) error {
	b, err := a.MarshalBinary()
	if err != nil {
		return err
	}
	if !t.live() {
		return errors.New("network is down")
	}
	p := vrrp.Packet{Source: t.cfg.Source, MAC: t.machine.mac, TTL: vrrp.TTL, Multicast: len(t.cfg.UnicastPeers) == 0}
	p.Err = p.Advertisement.UnmarshalBinary(b)
	s := t.machine.segment
	s.mu.Lock()
	others := slices.Clone(s.transports)
	cut := s.cut[t.machine]
	s.mu.Unlock()
	for _, o := range others {
		if cut || o.machine == t.machine || o.cfg.VRID != t.cfg.VRID || !o.live() {
			continue
		}
		if !p.Multicast && !slices.Contains(t.cfg.UnicastPeers, o.cfg.Source) {
			continue
		}
		s.mu.Lock()
		reaches := !s.cut[o.machine]
		s.mu.Unlock()
		if reaches {
			select {
			case o.inbox <- p:
			default: // as a full socket buffer
			}
		}
	}
	return nil
}

func (t *transport) Received() <-chan vrrp.Packet { return t.inbox }

// Lost says whether the device that it is bound to is gone.
func (t *transport) Lost() bool {
	t.machine.mu.Lock()
	defer t.machine.mu.Unlock()
	return !slices.ContainsFunc(t.machine.links, func(l netlnk.Link) bool { return l.Index == t.index })
}

// Reopen binds it to the device that has the name now.
func (t *transport) Reopen() error {
	t.machine.mu.Lock()
	defer t.machine.mu.Unlock()
	l, err := t.machine.link(t.cfg.Interface)
	if err == nil {
		err = t.machine.refuses("reopen")
	}
	if err == nil {
		t.index = l.Index
	}
	return err
}

// Close takes it off the segment.
func (t *transport) Close() error {
	s := t.machine.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transports = slices.DeleteFunc(s.transports, func(o *transport) bool { return o == t })
	return nil
}
