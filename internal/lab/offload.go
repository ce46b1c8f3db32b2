package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/safchain/ethtool"
)

// SetOffload switches an offload of an interface, as `ethtool -K DEV FEATURE
// on|off` does, and reads it back. The feature is ethtool's short name (tx,
// tso, gso, gro) or the kernel's own ("tx-checksum-ip-generic").
func (n *Namespace) SetOffload(device, feature string, on bool) error {
	return n.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return fmt.Errorf("open ethtool in %s: %w", n.Name, err)
		}
		defer tool.Close()
		states, err := tool.FeaturesWithState(device)
		if err != nil {
			return fmt.Errorf("read offloads of %s in %s: %w", device, n.Name, err)
		}
		wanted := matchOffload(states, feature, on)
		if len(wanted) == 0 {
			return fmt.Errorf("set offload %s of %s in %s: the device has no such offload that can be switched", feature, device, n.Name)
		}
		if err := tool.Change(device, wanted); err != nil {
			return fmt.Errorf("set offload %s of %s in %s: %w", feature, device, n.Name, err)
		}
		return checkOffload(tool, device, wanted)
	})
}

// matchOffload lists the switchable kernel features that a name stands for.
func matchOffload(states map[string]ethtool.FeatureState, feature string, on bool) map[string]bool {
	matches := func(name string) bool { return name == feature }
	switch feature {
	case "tx", "tx-checksumming":
		matches = func(name string) bool { return strings.HasPrefix(name, "tx-checksum-") }
	case "tso":
		matches = func(name string) bool {
			return strings.HasPrefix(name, "tx-tcp") && strings.HasSuffix(name, "-segmentation")
		}
	case "gso":
		matches = func(name string) bool { return name == "tx-generic-segmentation" }
	case "gro":
		matches = func(name string) bool { return name == "rx-gro" }
	}
	wanted := map[string]bool{}
	for name, state := range states {
		if matches(name) && state.Available && !state.NeverChanged {
			wanted[name] = on
		}
	}
	return wanted
}

func checkOffload(tool *ethtool.Ethtool, device string, wanted map[string]bool) error {
	got, err := tool.Features(device)
	if err != nil {
		return fmt.Errorf("read offloads of %s back: %w", device, err)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if got[name] != wanted[name] {
			return fmt.Errorf("offload %s of %s is still %v after it was set to %v", name, device, got[name], wanted[name])
		}
	}
	return nil
}
