package lease

import (
	"encoding/binary"
	"fmt"
	"net"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

// deviceShift is where the number beside an Ethernet address is in a word of the table vmacs
// (sender_word in parse/address.h): a device's index in a key, a lease's in a value.
const deviceShift = 48

// virtual is an Ethernet address of an instance on a device.
type virtual struct {
	id       lvs.InstanceID
	key, own uint64 // as in the table, without the lease
}

// findVirtual asks for the devices of virtual Ethernet addresses; one that is missing is left
// out until it comes. It is called without the lock.
func findVirtual(instances []lvs.Instance) (all []virtual) {
	for _, in := range instances {
		for _, v := range in.VirtualMACs {
			if l, err := netlnk.LinkByName(v.Device); err == nil {
				all = append(all, virtual{in.ID, abi.MACWord(v.MAC) | uint64(l.Index)<<deviceShift, abi.MACWord(l.MAC)})
			}
		}
	}
	return all
}

// setVMACs tells the data plane which frames beside those to a device's own address are for
// this machine while an instance's lease runs. It is called once the leases are set.
func (l *Leases) setVMACs(all []virtual) error {
	wanted := map[uint64]uint64{}
	for _, v := range all {
		wanted[v.key] = v.own | uint64(l.by[v.id])<<deviceShift
	}
	for key, value := range wanted {
		if have, is := l.vmacs.Wrote()[key]; is && have == value {
			continue
		}
		if err := l.vmacs.Put(key, value); err != nil {
			return fmt.Errorf("take frames to %s: %w", vmacName(key, value), err)
		}
	}
	for key, value := range l.vmacs.Wrote() {
		if _, is := wanted[key]; is {
			continue
		}
		if err := l.vmacs.Drop(key); err != nil {
			return fmt.Errorf("take no more frames to %s: %w", vmacName(key, value), err)
		}
	}
	return nil
}

// vmacName is an entry of the table for people.
func vmacName(key, _ uint64) string {
	var mac [8]byte
	binary.LittleEndian.PutUint64(mac[:], key)
	return fmt.Sprintf("%s on device %d", net.HardwareAddr(mac[:6]), key>>deviceShift)
}
