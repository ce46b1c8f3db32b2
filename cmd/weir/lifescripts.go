package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/script"
)

// lifeScripts are startup_script, which runs before everything else, and shutdown_script, which
// runs behind it.
//
// A restart costs no mastership, however long they take: while startup_script runs, a keeper or a
// caretaker goes on with what the process before has left; while shutdown_script runs, a keeper
// with what this one leaves.
type lifeScripts struct {
	global atomic.Pointer[conf.Global]
	log    *slog.Logger
}

func newLifeScripts(cfg *conf.Config, log *slog.Logger) *lifeScripts {
	s := &lifeScripts{log: log}
	s.set(cfg)
	return s
}

// set takes up a configuration that was reloaded.
func (s *lifeScripts) set(cfg *conf.Config) { s.global.Store(&cfg.Global) }

// startUp runs startup_script. As in keepalived weir begins whatever becomes of it; the error is
// ctx's, where that has ended.
func (s *lifeScripts) startUp(ctx context.Context) error {
	g := s.global.Load()
	s.run(ctx, "startup_script", g.StartupScript, g.StartupTimeout)
	return ctx.Err()
}

// shutDown runs shutdown_script. A signal ends it, and the keeper of what is pinned in the folder
// waits for it.
func (s *lifeScripts) shutDown(pinDir string) {
	g := s.global.Load()
	if g.ShutdownScript.Command == "" {
		return
	}
	if k := findKeeper(pinDir); k != nil {
		k.stay()
		defer k.conn.Close()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	s.run(ctx, "shutdown_script", g.ShutdownScript, g.ShutdownTimeout)
}

// atMost is how long shutdown_script may take.
func (s *lifeScripts) atMost() time.Duration {
	g := s.global.Load()
	if g.ShutdownScript.Command == "" {
		return 0
	}
	return g.ShutdownTimeout + script.Patience
}

// run runs one of them to its end, and logs how it ended.
func (s *lifeScripts) run(ctx context.Context, keyword string, program conf.Script, timeout time.Duration) {
	if program.Command == "" {
		return
	}
	log := s.log.With("program", program.Command)
	log.Info(keyword + " runs")
	begun := time.Now()
	end, err := script.CommandOf(program).Run(ctx, script.RulesOf(s.global.Load()), timeout)
	log = log.With("took", time.Since(begun).Round(time.Millisecond).String())
	switch {
	case ctx.Err() != nil:
		log.Warn(keyword + " was ended, as weir was told to end")
	case err != nil:
		log.Warn(keyword+" cannot be run, weir goes on without it", "error", err)
	case end.Late:
		log.Warn(keyword+" takes too long and was ended, weir goes on", "timeout", timeout.String())
	case end.Signal != 0:
		log.Warn(keyword+" was ended by a signal, weir goes on", "signal", end.Signal.String())
	case end.Code != 0:
		log.Warn(keyword+" has failed, weir goes on", "code", end.Code)
	default:
		log.Info(keyword + " has succeeded")
	}
}
