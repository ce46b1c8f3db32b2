package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"weir/conf/text"
)

// OwnVRRP is what the weir block says of one vrrp_instance that keepalived has no words for.
type OwnVRRP struct {
	// TrackQuorum has the instance follow the quorums of the virtual_servers at its
	// addresses.
	TrackQuorum QuorumWeight `json:"track_quorum"`
}

// QuorumWeight is a weight as it is written; empty does not track quorums.
type QuorumWeight string

// Weight is the number; ok is false where quorums are not tracked. 0 is a fault.
func (w QuorumWeight) Weight() (n int, ok bool) {
	n, err := strconv.Atoi(string(w))
	return n, err == nil
}

// rawVRRP is vrrp of the weir block as it is written.
type rawVRRP struct {
	given
	OwnVRRP
	name string
	head *text.Statement
}

// ownVRRPBlock is the table of vrrp in the weir block.
func ownVRRPBlock() *blockSpec {
	return &blockSpec{name: "vrrp", entries: []*entry{
		value("track_quorum", quorumWeight(), func(v *rawVRRP) *QuorumWeight { return &v.TrackQuorum },
			"follow the quorums of the virtual_servers that have one of the instance's addresses: a positive weight counts while all are held, a negative one while any is lost; with 0 a lost one is a fault", otherwise("quorums change nothing"), example("20", "0")),
	}}
}

// quorumWeight is a weight from -253 to 253.
func quorumWeight() kind[QuorumWeight] {
	k := number(-253, 253)
	return kind[QuorumWeight]{k.expects, func(word string) (QuorumWeight, *complaint) {
		n, c := k.parse(word)
		return QuorumWeight(strconv.Itoa(n)), c
	}}
}

// ownVRRPHead reads which vrrp_instance is meant.
func ownVRRPHead(r *reader, st *text.Statement, w *rawWeir) *rawVRRP {
	name, ok := one(r, st, nonEmpty("the name of a vrrp_instance"))
	if !ok {
		return nil
	}
	if i := slices.IndexFunc(w.vrrp, func(v *rawVRRP) bool { return v.name == name }); i >= 0 {
		r.errorAt(st.All(), fmt.Sprintf("vrrp %s is given twice", name), "take one of them out", "first given at "+w.vrrp[i].head.Place().String())
		return nil
	}
	v := &rawVRRP{head: st, name: name}
	w.vrrp = append(w.vrrp, v)
	return v
}

// resolveVRRP gives each instance what the weir block says of it.
func (w *rawWeir) resolveVRRP(r *reader, instances []VRRPInstance, services []VirtualServer) {
	for _, v := range w.vrrp {
		i := slices.IndexFunc(instances, func(c VRRPInstance) bool { return c.Name == v.name })
		if i < 0 {
			r.errorAt(v.head.All(), "there is no vrrp_instance "+text.Shorten(v.name), "expected the name of a vrrp_instance of this file")
			continue
		}
		instances[i].Beyond = v.OwnVRRP
		if _, tracks := v.TrackQuorum.Weight(); tracks && !instances[i].hasServices(services) {
			r.warnAt(v.PlaceOf("track_quorum"), "no-effect", fmt.Sprintf("track_quorum has no effect: no virtual_server has an address of vrrp_instance %s", v.name), "take it out, or give a virtual_server one of its addresses")
		}
	}
}

// hasServices says whether a virtual_server has one of the instance's addresses.
func (v *VRRPInstance) hasServices(services []VirtualServer) bool {
	own := map[netip.Addr]bool{}
	for _, a := range v.Addresses() {
		own[a.Prefix.Addr()] = true
	}
	return slices.ContainsFunc(services, func(s VirtualServer) bool {
		for _, key := range s.Keys {
			if key.Mark == 0 && own[key.Addr] {
				return true
			}
		}
		return false
	})
}
