package main

import (
	"context"
	"slices"
	"time"

	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/netlnk"
)

// The machine's firewall is looked at each firewallEvery, since the kernel reports no change of
// iptables' legacy tables, and within firewallSoon where it reports one of nftables' rules.
const (
	firewallEvery = 10 * time.Second
	firewallSoon  = 2 * time.Second
)

// watchFirewall tells, at the start and after each change, of rules of the machine's
// firewall that packets to services do not pass.
func watchFirewall(ctx context.Context, events *cluster.Stream) error {
	var told []string
	changes, err := netlnk.WatchFirewall(ctx)
	if err != nil { // such as on a kernel without nftables
		events.Logger().Debug("watch the firewall", "error", err)
	}
	look := time.NewTimer(firewallEvery) // it is set in each turn
	defer look.Stop()
	for {
		if chains, err := netlnk.FirewallChains(); err != nil {
			events.Logger().Debug("look at the firewall", "error", err)
		} else if !slices.Equal(chains, told) {
			told = chains
			if len(chains) > 0 {
				events.Publish(cluster.FirewallPassedOver(chains))
			}
		}
		look.Reset(beat.Until(firewallEvery))
		for due := false; !due; {
			select {
			case <-ctx.Done():
				return nil
			case _, open := <-changes:
				if !open {
					changes = nil
					continue
				}
				look.Reset(beat.Until(firewallSoon))
			case <-look.C:
				due = true
			}
		}
	}
}
