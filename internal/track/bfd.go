package track

import (
	"context"
	"time"

	"weir/conf"
	"weir/internal/bfd"
)

// Sessions are those of BFD: bfd.Speaker's.
type Sessions interface {
	// Follow is bfd.Speaker.Follow.
	Follow(ctx context.Context, name string, report func(bfd.Status))
}

// bfdSpec is a bfd_instance as a tracker follows it.
type bfdSpec struct {
	// patience is for how long a session that has never been up is waited for: two packets
	// at idle_tx from each end make it (RFC 5880 section 6.2).
	patience time.Duration
}

func bfdOf(b *conf.BFD) bfdSpec {
	return bfdSpec{4 * time.Duration(b.IdleTx*float64(time.Millisecond))}
}

// bfdTracker follows a session: good is up.
type bfdTracker struct {
	bfdSpec
	name     string
	sessions Sessions
	told     Verdict
	known    bool
}

// First is known of a session that is up, or has been. One that begins says nothing yet, so
// that a master that goes on after a restart may wait for it.
func (t *bfdTracker) First() (Verdict, bool) {
	ended, end := context.WithCancel(context.Background())
	end()
	t.sessions.Follow(ended, t.name, func(s bfd.Status) { t.told, t.known = Verdict{Good: s.Up}, s.Up || s.Been })
	return t.told, t.known
}

// Run reports a session that comes up or goes down, and one that does not come up in time.
func (t *bfdTracker) Run(ctx context.Context, report func(Verdict)) {
	statuses := make(chan bfd.Status)
	go t.sessions.Follow(ctx, t.name, func(s bfd.Status) {
		select {
		case statuses <- s:
		case <-ctx.Done():
		}
	})
	tell := func(good bool) {
		if !t.known || t.told.Good != good {
			t.told, t.known = Verdict{Good: good}, true
			report(t.told)
		}
	}
	late := time.NewTimer(t.patience)
	defer late.Stop()
	late.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-statuses:
			late.Stop()
			if s.Up || s.Been {
				tell(s.Up)
			} else { // a reload has made it anew, or it has just begun
				late.Reset(t.patience)
			}
		case <-late.C:
			tell(false)
		}
	}
}
