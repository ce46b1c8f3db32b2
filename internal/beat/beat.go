// Package beat gives tasks that repeat something common instants to wake up at. A process
// at rest that wakes up once a second for ten tasks takes a fraction of the CPU of one that
// wakes up ten times: each time, several threads and the runtime's monitor wake up, too.
package beat

import "time"

// behind is by how much the instants lie behind whole seconds, at which many other programs
// of a machine wake up.
const behind = 11 * time.Millisecond

// Until is how long it is to the next instant of a period, more than 0 and at most the
// period. The instants lie shortly behind the multiples of the period by the system's clock;
// where somebody sets that, one comes early. It is to be asked again after each instant.
func Until(period time.Duration) time.Duration {
	return period - (time.Duration(time.Now().UnixNano())-behind)%period
}
