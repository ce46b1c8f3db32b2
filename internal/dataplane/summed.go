package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"

	"weir/internal/dataplane/abi"
)

// setSummed says in an object how to read who sums an skb's checksum (bpf/hook/tc_summed.h).
func setSummed(spec *ebpf.CollectionSpec) error {
	by, bit := summedHere()
	return errors.Join(
		spec.Variables[abi.BpfVarSummedBy].Set(by),
		spec.Variables[abi.BpfVarSummedAt].Set(bit/8),
		spec.Variables[abi.BpfVarSummedShift].Set(bit%8))
}

// summedHere is the best way that this kernel has, and how many bits into its skb ip_summed is.
func summedHere() (by, bit uint32) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return abi.SummedByHelpers, 0
	}
	bit, err = bitOf(types, "sk_buff", "ip_summed")
	if err != nil {
		return abi.SummedByHelpers, 0
	}
	var cast *btf.Func
	if types.TypeByName("bpf_cast_to_kern_ctx", &cast) == nil {
		return abi.SummedByMember, bit
	}
	if features.HaveProgramHelper(ebpf.SchedCLS, asm.FnProbeReadKernel) == nil {
		return abi.SummedByMemory, bit
	}
	return abi.SummedByHelpers, 0
}

// bitOf is how many bits into a struct of the kernel a member is that may stand in unnamed
// structs and unions of it.
func bitOf(types *btf.Spec, name, member string) (uint32, error) {
	var s *btf.Struct
	if err := types.TypeByName(name, &s); err != nil {
		return 0, err
	}
	if bit, ok := bitIn(s.Members, member); ok {
		return bit, nil
	}
	return 0, fmt.Errorf("struct %s has no member %s", name, member)
}

func bitIn(members []btf.Member, name string) (uint32, bool) {
	for _, m := range members {
		if m.Name == name {
			return uint32(m.Offset), true
		}
		if m.Name != "" {
			continue
		}
		var within []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			within = t.Members
		case *btf.Union:
			within = t.Members
		}
		if bit, ok := bitIn(within, name); ok {
			return uint32(m.Offset) + bit, true
		}
	}
	return 0, false
}
