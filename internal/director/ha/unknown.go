package ha

import (
	"net/netip"

	"weir/internal/cluster"
	"weir/lvs"
)

// Unknown is what there is to tell of an advert that an instance got with another VRID: nil
// where an instance of that VRID is on the same interface.
func (s *Instances) Unknown(heardBy lvs.InstanceID, vrid uint8, from netip.Addr) *cluster.Event {
	heardBy.VRID = vrid
	if s.find(heardBy) != nil {
		return nil
	}
	e := cluster.UnknownVRID(heardBy.Interface, vrid, from)
	return &e
}
