package conn

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// cacheLimit is from how many lines on those that were not used for six minutes
// leave the cache of lblc and lblcr: what the kernel allows each service
// (IP_VS_LBLC_TAB_SIZE * 16, net/netfilter/ipvs/ip_vs_lblc.c), here for all of
// them together, and at most a quarter of what there is room for.
const cacheLimit = 16384

// sweepCache deletes what was not used for long, and keeps the numbers of the
// servers that the rest refers to.
func (t *Table) sweepCache() error {
	if t.cacheLines == 0 && !t.servers.Remembers() {
		return nil
	}
	args := abi.BpfCacheSweep{Epoch: t.epoch.Load(), Now: Tick(), Goal: cacheGoal(t.cacheLines, min(cacheLimit, t.maps.Cache.MaxEntries()/4))}
	if _, err := t.programs.Cache.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return fmt.Errorf("sweep the cache of destinations: %w", err)
	}
	t.cacheLines = args.Lines
	return nil
}

// cacheGoal is how many lines are to leave before their time: a third more than
// are too many, but never more than half of what is allowed (ip_vs_lblc_check_expire).
func cacheGoal(lines, limit uint32) uint32 {
	if lines <= limit {
		return 0
	}
	return min((lines-limit)*4/3, limit/2)
}

// ForgetDestinations empties the caches of services: each belongs to the scheduler.
func ForgetDestinations(m *abi.Maps, services map[uint32]bool) error {
	for _, table := range []*ebpf.Map{m.Cache, m.MemberBlocks} {
		var key abi.BpfCacheKey
		var value []byte
		var gone []abi.BpfCacheKey
		entries := table.Iterate()
		for entries.Next(&key, &value) {
			if services[key.Service] {
				gone = append(gone, key)
			}
		}
		if err := entries.Err(); err != nil {
			return fmt.Errorf("list the cache of destinations: %w", err)
		}
		for _, key := range gone {
			if err := table.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("empty the cache of destinations: %w", err)
			}
		}
	}
	return nil
}
