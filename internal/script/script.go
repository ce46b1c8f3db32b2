// Package script runs the programs that a configuration names: each in a process group of
// its own, as the user that it is to run as, for no longer than it may.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program to run.
type Command struct {
	// Words are its path and its arguments.
	Words []string
	// User and Group are whose it runs as; empty is Rules'. Supplementary gives it the
	// user's other groups, too.
	User, Group   string
	Supplementary bool
}

// Result is how a program ended.
type Result struct {
	// Code is its exit code; -1 where a signal ended it.
	Code   int
	Signal syscall.Signal
	// Late says that it was ended because its time was over.
	Late bool
}

// Patience is how long a program has to end by itself once it was asked to by SIGTERM.
const Patience = 2 * time.Second

// Run runs a program and waits for its end, at most for the time-out, which 0 is none.
// Then its process group gets SIGTERM and, after Patience, SIGKILL. When ctx ends it gets
// SIGKILL at once; the error is then ctx's. What the program leaves in its group when its
// time is over is killed, too. Any other error is that it could not be run.
func (c Command) Run(ctx context.Context, rules *Rules, timeout time.Duration) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	cmd, err := c.prepare(rules)
	if err != nil {
		return Result{}, err
	}
	if err := start(cmd, rules); err != nil {
		return Result{}, fmt.Errorf("run %s: %w", c.Words[0], err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		awaitEnd(cmd.Process.Pid)
	}()
	late := supervise(ctx, cmd.Process.Pid, ended, timeout)
	if late || ctx.Err() != nil {
		killGroup(cmd.Process.Pid, unix.SIGKILL) // what it has started, before its number is free
	}
	_ = cmd.Wait() // the outcome is in ProcessState
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	r := Result{Code: cmd.ProcessState.ExitCode(), Late: late}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal = status.Signal()
	}
	return r, nil
}

// start starts a program with the rules' umask. The threads of a process share one, so the program
// is started by a thread that has left that (CLONE_FS) and ends afterwards. Where a container's
// filter forbids unshare, the program has this process's umask.
func start(cmd *exec.Cmd, rules *Rules) error {
	if rules == nil || rules.Umask == nil {
		return cmd.Start()
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Unshare(unix.CLONE_FS) == nil {
			unix.Umask(int(*rules.Umask))
		}
		started <- cmd.Start()
	}()
	return <-started
}

// supervise waits for the end of a program, and ends it where that is due; late says that
// its time was over.
func supervise(ctx context.Context, pid int, ended <-chan struct{}, timeout time.Duration) (late bool) {
	var over <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		over = timer.C
	}
	for signal := unix.SIGTERM; ; signal = unix.SIGKILL {
		select {
		case <-ended:
			return late
		case <-ctx.Done():
			killGroup(pid, unix.SIGKILL)
			<-ended
			return late
		case <-over:
			late = true
			killGroup(pid, signal)
			over = time.After(Patience)
		}
	}
}

// awaitEnd waits until a child has ended, and leaves it to be waited for, so that its
// number stays its own.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// killGroup sends a signal to a process group, which may be gone.
func killGroup(pid int, signal syscall.Signal) { _ = unix.Kill(-pid, signal) }

// dangerous are variables that are not handed on: they change how a shell or the loader
// works.
var dangerous = []string{"IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"}

// environment is what a program inherits.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(dangerous, name)
	})
}

func (c Command) prepare(rules *Rules) (*exec.Cmd, error) {
	if len(c.Words) == 0 {
		return nil, errors.New("there is no program to run")
	}
	who, err := rules.identity(c)
	if err != nil {
		return nil, err
	}
	path, err := rules.admit(c.Words[0], who)
	if err != nil {
		return nil, err
	}
	words := append([]string{path}, c.Words[1:]...)
	cmd := &exec.Cmd{Path: path, Args: words, Env: environment(), SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if who != nil {
		cmd.SysProcAttr.Credential = who
	}
	return cmd, nil
}
