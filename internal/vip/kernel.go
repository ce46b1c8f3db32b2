package vip

import (
	"net/netip"

	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/ndp"
)

// Kernel is the network namespace of the calling thread: Addresses and Announcer.
type Kernel struct{}

func (Kernel) List(device string) ([]netip.Prefix, error) { return netlnk.Addresses(device) }

func (Kernel) Add(device string, p netip.Prefix) (bool, error) { return netlnk.AddAddress(device, p) }

func (Kernel) Remove(device string, p netip.Prefix) (bool, error) {
	return netlnk.DelAddress(device, p)
}

func (Kernel) Announce(device string, addr netip.Addr) error {
	if addr.Is4() {
		return arp.Announce(device, addr)
	}
	return ndp.Announce(device, addr)
}
