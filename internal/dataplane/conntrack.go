package dataplane

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"weir/internal/dataplane/abi"
)

// conntrackFunctions are those of the kernel by which bpf/balance/conntrack.h asks its
// connection tracking. They are part of nf_conntrack.
var conntrackFunctions = []string{"bpf_xdp_ct_lookup", "bpf_skb_ct_lookup", "bpf_ct_release"}

// setConntrack says in an object whether the kernel has these functions, built in or in the
// module, as it is loaded now.
func setConntrack(spec *ebpf.CollectionSpec) error {
	has := func(types *btf.Spec, err error) bool {
		return err == nil && !slices.ContainsFunc(conntrackFunctions, func(name string) bool {
			var f *btf.Func
			return types.TypeByName(name, &f) != nil
		})
	}
	known := has(btf.LoadKernelSpec()) || has(btf.LoadKernelModuleSpec("nf_conntrack"))
	return spec.Variables[abi.BpfVarConntrackFunctions].Set(known)
}
