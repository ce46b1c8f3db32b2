package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane"
	"weir/internal/director"
)

// endWithin is how long a process that is told to end may take. Whatever hangs then is left
// behind: leases run out, as those of one that was killed.
const endWithin = 5 * time.Second

// secondWithin is for how long a first start goes on that is told to end twice: it is taking
// away what it has set up, and waits for nothing.
const secondWithin = time.Second

// ending bounds how long the end of a process takes, but for shutdown_script, which has a time of
// its own.
type ending struct {
	atOnce func()

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	done  bool
	// withdraw takes away what a first start has set up so far; nil in every other process.
	withdraw func()
}

// starts is called before a first start sets anything up. Until stands, the process does not
// end without withdraw.
func (e *ending) starts(withdraw func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.withdraw = withdraw
}

// stands is called when a start has set everything up. It returns false where the process has
// been told to end before.
func (e *ending) stands() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		return false
	}
	e.withdraw = nil
	return true
}

// begin is called when the process is told to end: a second signal ends it at once.
func (e *ending) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done {
		return
	}
	e.timer = time.AfterFunc(endWithin, e.now)
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, unix.SIGTERM)
	go func() { e.beginAgain(<-again) }()
}

// beginAgain is called for the second signal.
func (e *ending) beginAgain(s os.Signal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.done:
	case e.withdraw != nil:
		e.timer.Reset(secondWithin)
	default:
		signal.Reset(os.Interrupt, unix.SIGTERM)
		unix.Kill(os.Getpid(), s.(unix.Signal))
	}
}

// now ends the process.
func (e *ending) now() {
	e.mu.Lock()
	withdraw := e.withdraw
	e.mu.Unlock()
	if withdraw != nil {
		withdraw()
	}
	e.atOnce()
}

// over is called when all has ended but shutdown_script.
func (e *ending) over() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done = true; e.timer != nil {
		e.timer.Stop()
		signal.Reset(os.Interrupt, unix.SIGTERM)
	}
}

// endAtOnce ends the process.
func endAtOnce(log *slog.Logger, flush func()) func() {
	return func() {
		log.Error("the end takes too long, ending without it", "after", endWithin)
		flush()
		os.Exit(1)
	}
}

// withdraw takes away what a first start has set up that does not stand yet: pins, programs on
// devices, devices and addresses of instances. It tells what cannot be taken away, and does
// nothing where the data plane stands.
func withdraw(pinDir, secondaries string, log *slog.Logger) {
	removed, err := dataplane.RemoveUnfinished(pinDir)
	if err == nil && removed {
		_, err = director.RemoveVIPs(secondaries)
	}
	if err != nil {
		log.Error("take away what the start has set up", "error", err, "remedy", "weir stop --remove takes it away")
	}
}
