package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a program to be run in a namespace.
type Command struct {
	// Name is what the process is called in messages: "node01's web server".
	Name string
	// Path is the program, and Args what follows it on the command line.
	Path string
	Args []string
	// Log is the file that gets the program's output, at its end.
	Log string
}

// Process is a child of the lab in a namespace.
type Process struct {
	Name string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; to be read once done is closed
}

// Start runs a program inside a namespace. Unless the lab is to be kept, the
// kernel kills the program when the lab's process dies. Its mount namespace is
// the lab's own: `ip netns exec` would hide the bpf file system from it.
func (l *Lab) Start(ns *Namespace, c Command) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o755); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.Name, err)
	}
	defer output.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Stdout, cmd.Stderr = output, output
	// A session of its own: the terminal's Ctrl-C is for the lab alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !l.opts.Keep {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := l.spawn(ns, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Name: c.Name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, l.adopt(p)
}

// spawn forks on the lab's own thread, taken into the namespace for that.
func (l *Lab) spawn(ns *Namespace, cmd *exec.Cmd) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("the lab is closed")
	}
	return l.spawner.do(func() error {
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer home.Close()
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", ns.Name, err)
		}
		err = cmd.Start()
		return errors.Join(err, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
	})
}

// adopt writes the child down, so that it is found after the lab's death.
func (l *Lab) adopt(p *Process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
	ref, err := refOf(p.Pid())
	if err != nil {
		return nil // it has ended already
	}
	line, err := json.Marshal(ref)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(l.Dir(childrenFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("record %s: %w", p.Name, err)
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal; a process that has ended gets none.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// Stop sends SIGTERM and waits for the end. An exit code other than 0 is an
// error, as is a process that still runs when the context ends.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.Wait(ctx)
}

// Wait waits for the end of a process that was told to stop, with the errors of Stop.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s was told to stop and did not end: %w", p.Name, context.Cause(ctx))
	case <-p.done:
	}
	if p.err != nil {
		return fmt.Errorf("%s was told to stop and ended with %w", p.Name, p.err)
	}
	return nil
}

// ended tells how the process ended, in words.
func (p *Process) ended() string {
	if p.err != nil {
		return p.err.Error()
	}
	return "exit status 0"
}
