package conf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"weir/conf/text"
)

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

// rawVRRPs are those of a file.
type rawVRRPs []*rawVRRP

// begin reads which vrrp_instance is meant.
func (all *rawVRRPs) begin(r *reader, st *text.Statement) *rawVRRP {
	name, ok := one(r, st, nonEmpty("the name of a vrrp_instance"))
	if !ok || r.language.root.lookup(st.Keyword()) != nil {
		return nil
	}
	if i := slices.IndexFunc(*all, func(v *rawVRRP) bool { return v.name == name }); i >= 0 {
		r.errorAt(st.All(), fmt.Sprintf("vrrp %s is given twice", name), "take one of them out", "first given at "+(*all)[i].head.Place().String())
		return nil
	}
	v := &rawVRRP{head: st, name: name}
	*all = append(*all, v)
	return v
}

// resolve gives each instance what the weir block says of it.
func (all rawVRRPs) resolve(r *reader, instances []VRRPInstance, services []VirtualServer) {
	for _, v := range all {
		i := slices.IndexFunc(instances, func(c VRRPInstance) bool { return c.Name == v.name })
		if i < 0 {
			r.errorAt(v.head.All(), "there is no vrrp_instance "+text.Shorten(v.name), "expected the name of a vrrp_instance of this file")
			continue
		}
		instances[i].Beyond = v.OwnVRRP
		if _, tracks := v.TrackQuorum.Weight(); tracks && !hasServices(&instances[i], services) {
			r.warnAt(v.PlaceOf("track_quorum"), "no-effect", fmt.Sprintf("track_quorum has no effect: no virtual_server has an address of vrrp_instance %s", v.name), "take it out, or give a virtual_server one of its addresses")
		}
	}
}

// hasServices says whether a virtual_server has one of an instance's addresses.
func hasServices(v *VRRPInstance, services []VirtualServer) bool {
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
