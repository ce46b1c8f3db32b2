package conf

import (
	"slices"
	"time"

	"weir/lvs"
)

// Beyond is what the weir block says of one virtual_server that keepalived has no words for.
type Beyond struct {
	// SlowStart is how long the weight of a real server rises after it has come in; 0 gives
	// it its whole weight at once.
	SlowStart time.Duration `json:"slow_start"`
}

// SharesByWeight tells whether a scheduler gives servers shares that are as their weights
// are to each other. To the others a weight is a limit or an order, or nothing.
func SharesByWeight(s lvs.Scheduler) bool {
	return slices.Contains([]lvs.Scheduler{
		lvs.WeightedRoundRobin, lvs.WeightedLeastConnection, lvs.ShortestExpectedDelay, lvs.NeverQueue,
		lvs.SourceHash, lvs.MaglevHash, lvs.PowerOfTwoChoices,
	}, s)
}
