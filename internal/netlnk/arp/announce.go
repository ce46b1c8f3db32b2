package arp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
)

// Frame is the broadcast of a gratuitous ARP for the VIP from this device, after which the
// hosts and switches of the link send its frames here. A VIP that is not an IPv4 address
// and a device without an Ethernet address are errors.
func Frame(l netlnk.Link, vip netip.Addr) (netlnk.Frame, error) {
	if !vip.Unmap().Is4() {
		return netlnk.Frame{}, fmt.Errorf("announce %s by ARP: expected an IPv4 address", vip)
	}
	b, err := Gratuitous(l.MAC, vip.Unmap()).MarshalBinary()
	if err != nil {
		return netlnk.Frame{}, fmt.Errorf("announce %s on %s: %w", vip, l.Name, err)
	}
	return netlnk.Frame{EtherType: unix.ETH_P_ARP, To: broadcast(), Payload: b}, nil
}

// ProbeFrame is the broadcast of a Probe from this device. The errors are those of Frame.
func ProbeFrame(l netlnk.Link, addr netip.Addr) (netlnk.Frame, error) {
	b, err := Probe(l.MAC, addr).MarshalBinary()
	if err != nil {
		return netlnk.Frame{}, fmt.Errorf("ask for %s on %s: %w", addr, l.Name, err)
	}
	return netlnk.Frame{EtherType: unix.ETH_P_ARP, To: broadcast(), Payload: b}, nil
}

// AskAll asks on a device whether other machines have addresses; Listen hears who answers. It
// waits a second at most. The errors are those of netlnk.OpenSender, Frame and Sender.Send.
func AskAll(device string, addrs []netip.Addr) error {
	s, err := netlnk.OpenSender(device)
	if err != nil {
		return err
	}
	defer s.Close()
	frames := make([]netlnk.Frame, 0, len(addrs))
	for _, a := range addrs {
		f, err := ProbeFrame(s.Link, a)
		if err != nil {
			return err
		}
		frames = append(frames, f)
	}
	_, err = s.Send(frames)
	return err
}
