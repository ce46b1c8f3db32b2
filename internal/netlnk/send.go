package netlnk

import (
	"fmt"
	"net"

	"github.com/mdlayher/packet"
)

// Send sends b as the payload of one Ethernet frame of this EtherType (in host byte
// order) to a MAC address. The kernel writes the Ethernet header.
func (l Link) Send(etherType int, to net.HardwareAddr, b []byte) error {
	c, err := packet.Listen(&net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC}, packet.Datagram, etherType, nil)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	defer c.Close()
	_, err = c.WriteTo(b, &packet.Addr{HardwareAddr: to})
	return err
}
