// Package drift keeps the books of drift: of what somebody changed on this
// machine behind weir's back, and what became of it.
package drift

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Count says how often a kind of thing had drifted, and how often that was
// repaired. One that cannot be repaired is found once, however often it is tried.
type Count struct {
	Found, Repaired uint64
}

const (
	// quiet is for how long a thing that was repaired has to stay as it is,
	// before a drift of it is told of again.
	quiet = time.Minute
	// mostTold is of how many things of one kind a look tells one by one.
	mostTold = 10
)

// Ledger counts drifts and tells the log of each once: of one that cannot be
// repaired when it begins and when it ends, and of one that comes again and again
// only that it does.
type Ledger struct {
	log *slog.Logger

	mu     sync.Mutex // everything below
	counts map[string]Count
	open   map[thing]*entry
	told   map[string]int // in this look, by kind
	looks  uint64
}

type thing struct{ kind, name string }

// entry is a thing that has drifted lately.
type entry struct {
	since, last time.Time
	times       int  // it drifted
	failing     bool // to be repaired
	seen        bool // in this look
}

// NewLedger begins with nothing noted.
func NewLedger(log *slog.Logger) *Ledger {
	return &Ledger{log: log, counts: map[string]Count{}, open: map[thing]*entry{}, told: map[string]int{}}
}

// Note enters that a thing was found to have drifted and was repaired, or, with
// an error, could not be.
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
		// It has been told.
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

// Done ends a look at everything: what it did not find is over.
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

// tell logs the first few of a kind in a look.
func (l *Ledger) tell(kind string, level slog.Level, message string, attrs ...any) {
	if l.told[kind]++; l.told[kind] <= mostTold {
		l.log.Log(context.Background(), level, message, attrs...)
	}
}

// Looks is how many looks have ended.
func (l *Ledger) Looks() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// Counts are all kinds that have ever drifted.
func (l *Ledger) Counts() map[string]Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

func (c Count) String() string { return fmt.Sprintf("%d found, %d repaired", c.Found, c.Repaired) }
