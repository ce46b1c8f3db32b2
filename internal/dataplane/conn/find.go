package conn

import (
	"fmt"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// Find reads the connection of a client's packets with this key. Its error is
// ebpf.ErrKeyNotExist where there is none.
func (t *Table) Find(key abi.BpfFlowKey) (c abi.BpfConn, err error) {
	var knobs abi.BpfFlowKnobs
	if err := t.maps.FlowKnobs.Lookup(uint32(0), &knobs); err != nil {
		return c, fmt.Errorf("read how flows are hashed: %w", err)
	}
	sizes, err := t.readSizes()
	if err != nil {
		return c, err
	}
	hash := uint32(flowHash(&knobs, &key) >> 32)
	for _, index := range []uint32{sizes.Index, sizes.Before} {
		if index == 0 {
			continue
		}
		c, err := t.findIn(index, hash, key)
		if err != nil || c.Lives() {
			return c, err
		}
	}
	return c, ebpf.ErrKeyNotExist
}

// findIn looks in one index. Where there is none, it returns a slot that has no connection.
func (t *Table) findIn(index uint32, hash uint32, key abi.BpfFlowKey) (none abi.BpfConn, err error) {
	each := t.shape.steps[0].indexBits
	for choice := range uint64(abi.IndexChoices) {
		of := hash
		if choice >= abi.IndexMultiples {
			of ^= uint32(choice * abi.IndexSpread)
		}
		at := (2*choice + 1) * abi.Golden64 * uint64(of)
		bucket := uint32(at >> (64 - index&abi.IndexBits))
		buckets, err := innerMap(t.maps.ConnIndex, index>>abi.IndexPlaceShift+bucket>>each)
		if err != nil || buckets == nil {
			return none, err
		}
		defer buckets.Close()
		var b abi.Bucket
		if err := buckets.Lookup(bucket&(1<<each-1), &b); err != nil {
			return none, fmt.Errorf("read the index of connections: %w", err)
		}
		for _, ref := range b.Refs {
			if place := uint32(ref); place == 0 || place&abi.RefAnswers != 0 || uint32(ref>>32) != hash {
				continue
			} else if c, err := t.At(place); err != nil || c.Lives() && c.Key == key {
				return c, err
			}
		}
		if choice == 0 && b.More == 0 {
			break
		}
	}
	return none, nil
}

// flowHash is flow_hash of bpf/conn/flow_line.h.
func flowHash(n *abi.BpfFlowKnobs, k *abi.BpfFlowKey) uint64 {
	sum := k.From.Hi*n.Seed[0] + k.From.Lo*n.Seed[1] + k.To.Hi*n.Seed[2] + k.To.Lo*n.Seed[3] + k.Ports*n.Seed[4]
	return (sum ^ sum>>32) * abi.Golden64
}
