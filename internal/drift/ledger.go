// Package drift counts and logs drift: what another program or person has changed of what
// weir has set up on this machine, and whether it could be repaired. The data plane, the
// director and the real server's side enter what they find into a Ledger.
package drift

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Count is how often things of one kind were found to have drifted, and how often they
// were repaired. Neither decreases. A drift that cannot be repaired is found once, however
// often repairing it is tried.
type Count struct {
	Found, Repaired uint64
}

const (
	// quiet is how long a thing has to stay as it is after a repair before another
	// drift of it is logged as a new one.
	quiet = time.Minute
	// mostTold is how many drifts of one kind a look logs one by one.
	mostTold = 10
)

// Ledger counts drifts and logs each once. A drift that cannot be repaired is logged when
// it begins and when it ends; one that comes again and again is logged as such and then
// only counted. A look is one comparison of everything, which Done ends. A Ledger may be
// used by several goroutines.
type Ledger struct {
	log *slog.Logger

	mu     sync.Mutex // guards the fields below
	counts map[string]Count
	open   map[thing]*entry
	told   map[string]int // by kind: how many drifts this look has logged
	looks  uint64
}

type thing struct{ kind, name string }

// entry is a thing that has drifted and is not forgotten yet.
type entry struct {
	since, last time.Time // when its drift was first and last noted
	times       int       // how often it has drifted
	failing     bool      // its last repair failed
	failure     Failure   // if so, how
	seen        bool      // it was noted in this look
}

// NewLedger makes an empty Ledger that logs to log.
func NewLedger(log *slog.Logger) *Ledger {
	return &Ledger{log: log, counts: map[string]Count{}, open: map[thing]*entry{}, told: map[string]int{}}
}

// Note enters that the thing with this name was found to have drifted, and was repaired
// or, with an error, could not be. Kind is the name under which it is counted.
func (l *Ledger) Note(kind, name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, count := time.Now(), l.counts[kind]
	e := l.open[thing{kind, name}]
	if e == nil {
		e = &entry{since: now}
		l.open[thing{kind, name}] = e
	}
	was := e.failing
	e.last, e.seen, e.failing = now, true, err != nil
	if err != nil {
		if e.failure.Why = err.Error(); !was {
			e.failure.Since = now
		}
	}
	if !was {
		count.Found++
		e.times++
	}
	if err == nil {
		count.Repaired++
	}
	l.counts[kind] = count
	at := []any{"kind", kind, "thing", name}
	switch {
	case e.times > 2 || was && err != nil:
		// It was already logged.
	case err != nil:
		l.tell(kind, slog.LevelError, "drift cannot be repaired, trying on", append(at, "error", err)...)
	case was:
		l.tell(kind, slog.LevelWarn, "drift repaired", append(at, "after", now.Sub(e.since).Round(time.Millisecond))...)
	case e.times == 2:
		l.tell(kind, slog.LevelWarn, "drift comes again: another program may be changing what weir sets", at...)
	default:
		l.tell(kind, slog.LevelWarn, "drift repaired", at...)
	}
}

// Failure is a drift that cannot be repaired: since when, and why.
type Failure struct {
	Since time.Time
	Why   string
}

// Failing lists the drifts of a kind that cannot be repaired, by the names of the things.
func (l *Ledger) Failing(kind string) map[string]Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]Failure{}
	for t, e := range l.open {
		if t.kind == kind && e.failing {
			all[t.name] = e.failure
		}
	}
	return all
}

// Done ends a look: drifts that were not noted in it have ended.
func (l *Ledger) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	for kind, n := range l.told {
		if n > mostTold {
			l.log.Warn("more drifts of a kind than are told one by one", "kind", kind, "more", n-mostTold)
		}
	}
	clear(l.told)
	for t, e := range l.open {
		at := []any{"kind", t.kind, "thing", t.name}
		switch {
		case e.seen:
			e.seen = false
			continue
		case e.failing:
			l.log.Info("drift is gone", append(at, "after", time.Since(e.since).Round(time.Millisecond))...)
		case time.Since(e.last) < quiet:
			continue
		case e.times > 1:
			l.log.Info("drift comes no more", append(at, "times", e.times)...)
		}
		delete(l.open, t)
	}
}

// tell logs a drift, unless this look has already logged mostTold of its kind.
func (l *Ledger) tell(kind string, level slog.Level, message string, attrs ...any) {
	if l.told[kind]++; l.told[kind] <= mostTold {
		l.log.Log(context.Background(), level, message, attrs...)
	}
}

// Looks is the number of looks that have ended.
func (l *Ledger) Looks() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// Counts returns the counts of all kinds that have drifted since NewLedger.
func (l *Ledger) Counts() map[string]Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

func (c Count) String() string { return fmt.Sprintf("%d found, %d repaired", c.Found, c.Repaired) }
