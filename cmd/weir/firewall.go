package main

import (
	"context"
	"slices"
	"time"

	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/netlnk"
)

// firewallEvery is how often the machine's firewall is looked at.
const firewallEvery = 2 * time.Second

// watchFirewall tells, at the start and after each change, of rules of the machine's
// firewall that packets to services do not pass.
func watchFirewall(ctx context.Context, events *cluster.Stream) error {
	var told []string
	look := time.NewTimer(beat.Until(firewallEvery))
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
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			look.Reset(beat.Until(firewallEvery))
		}
	}
}
