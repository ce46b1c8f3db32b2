package vip

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/ndp"
)

// Kernel is the network namespace of the calling thread: Addresses and Announcer.
type Kernel struct{}

func (Kernel) List(device string) ([]netlnk.Address, error) { return netlnk.ListAddresses(device) }

func (Kernel) Add(device string, p netip.Prefix, preferred uint32, o netlnk.AddressOptions) (bool, error) {
	return netlnk.AddVIP(device, p, preferred, o)
}

func (Kernel) AddEntry(e netlnk.Entry) (bool, error)    { return netlnk.AddEntry(e) }
func (Kernel) RemoveEntry(e netlnk.Entry) (bool, error) { return netlnk.RemoveEntry(e) }

func (Kernel) Remove(device string, p netip.Prefix) (bool, error) {
	return netlnk.DelAddress(device, p)
}

// Open opens a packet socket on the device.
func (Kernel) Open(device string) (Speaker, error) {
	s, err := netlnk.OpenSender(device)
	if err != nil {
		return nil, err
	}
	// Where IPv6 is switched off there is nothing to read, and no VIP of it either.
	router, _ := netlnk.Forwards6(device)
	return &speaker{Sender: s, router: router, frames: map[netip.Addr]netlnk.Frame{}}, nil
}

// speaker is a Speaker by a packet socket.
type speaker struct {
	*netlnk.Sender
	router bool
	frames map[netip.Addr]netlnk.Frame // those made so far
}

func (s *speaker) Announce(addrs []netip.Addr) (sent int, err error) {
	batch := make([]netlnk.Frame, 0, len(addrs))
	for _, a := range addrs {
		f, err := s.frame(a)
		if err != nil {
			sent, failed := s.Send(batch) // those before it
			return sent, errors.Join(failed, err)
		}
		batch = append(batch, f)
	}
	sent, err = s.Send(batch)
	switch {
	case errors.Is(err, unix.ENOBUFS):
		err = ErrBusy
	case err != nil:
		err = fmt.Errorf("announce %s on %s: %w", addrs[sent], s.Link.Name, err)
	}
	return sent, err
}

func (s *speaker) frame(a netip.Addr) (f netlnk.Frame, err error) {
	f, made := s.frames[a]
	if made {
		return f, nil
	}
	if a.Is4() {
		f, err = arp.Frame(s.Link, a)
	} else {
		f, err = ndp.Frame(s.Link, a, s.router)
	}
	if err == nil {
		s.frames[a] = f
	}
	return f, err
}
