package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	labsDir  = "/run/weir-lab"
	bpffsDir = "/sys/fs/bpf"

	ownerFile    = "owner"
	childrenFile = "children"
	keptFile     = "kept"
)

// Options are what every lab needs.
type Options struct {
	// Executable is the weir binary that runs in the nodes; empty is the
	// program that is running.
	Executable string
	// Keep lets the children outlive the lab's owner, for HandOver.
	Keep bool
	// Logger gets what the lab does by itself; nil discards it.
	Logger *slog.Logger
}

// Lab is a set of namespaces and of processes in them, which are removed
// together.
type Lab struct {
	ID string

	opts    Options
	log     *slog.Logger
	spawner *thread

	mu         sync.Mutex
	namespaces map[string]*Namespace
	processes  []*Process
	closed     bool
}

// New opens a lab, and first removes what labs whose owner died left behind.
// It needs root.
func New(opts Options) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab builds network namespaces and needs root: run it with sudo")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Executable == "" {
		executable, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the weir binary: %w", err)
		}
		opts.Executable = executable
	}
	unlock, err := lockLabs()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := prepareMachine(); err != nil {
		return nil, err
	}
	if err := sweepDead(opts.Logger); err != nil {
		return nil, fmt.Errorf("remove what an earlier lab left: %w", err)
	}
	id, err := claimID()
	if err != nil {
		return nil, err
	}
	return &Lab{
		ID: id, opts: opts, log: opts.Logger, spawner: newThread(),
		namespaces: map[string]*Namespace{},
	}, nil
}

// lockLabs keeps other labs on this machine from starting or sweeping at the
// same time. The lock goes with the process at the latest.
func lockLabs() (unlock func(), err error) {
	if err := os.MkdirAll(labsDir, 0o755); err != nil {
		return nil, fmt.Errorf("create %s: %w", labsDir, err)
	}
	file, err := os.OpenFile(filepath.Join(labsDir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the labs' lock: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// prepareMachine mounts what a lab stands on, where it is missing: a bpf file
// system for the nodes' pins, and the directory of named namespaces.
func prepareMachine() error {
	if err := ensureNetnsDir(); err != nil {
		return fmt.Errorf("prepare %s: %w", netnsDir, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(bpffsDir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", bpffsDir, err)
	}
	if st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffsDir, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpf file system on %s: %w", bpffsDir, err)
	}
	return nil
}

// owner is who built a lab.
type owner struct {
	pidRef
	Command string `json:"command"`
}

// claimID makes the directory of a new lab, with its owner in it.
func claimID() (string, error) {
	ref, err := refOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("read own start time: %w", err)
	}
	for counter := 1; ; counter++ {
		id := fmt.Sprintf("%d-%d", ref.Pid, counter)
		err := os.Mkdir(filepath.Join(labsDir, id), 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("create lab %s: %w", id, err)
		}
		data, err := json.Marshal(owner{pidRef: ref, Command: strings.Join(os.Args, " ")})
		if err == nil {
			err = os.WriteFile(filepath.Join(labsDir, id, ownerFile), data, 0o644)
		}
		return id, err
	}
}

// Dir is a path below the lab's own directory.
func (l *Lab) Dir(parts ...string) string {
	return filepath.Join(append([]string{labsDir, l.ID}, parts...)...)
}

// PinDir is where a node's data plane pins its maps and programs.
func (l *Lab) PinDir(node string) string { return filepath.Join(pinRoot(l.ID), node) }

func pinRoot(id string) string { return filepath.Join(bpffsDir, "weir-lab-"+id) }

func namespacePrefix(id string) string { return "weirlab-" + id + "-" }

// AddNamespace makes the namespace of a node, with IPv6 off unless wanted.
func (l *Lab) AddNamespace(node string, ipv6 bool) (*Namespace, error) {
	ns, err := createNamespace(namespacePrefix(l.ID) + node)
	if err != nil {
		return nil, err
	}
	if err := ns.normalise(ipv6); err != nil {
		return nil, errors.Join(err, ns.remove())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.namespaces[node] = ns
	return ns, nil
}

// RemoveNamespace removes a node's namespace with every process in it and
// everything its data plane pinned, and waits until it is gone.
func (l *Lab) RemoveNamespace(node string) error {
	l.mu.Lock()
	ns := l.namespaces[node]
	delete(l.namespaces, node)
	l.mu.Unlock()
	if ns == nil {
		return fmt.Errorf("lab %s has no namespace for %s", l.ID, node)
	}
	if err := killInside([]*Namespace{ns}); err != nil {
		return err
	}
	if err := os.RemoveAll(l.PinDir(node)); err != nil {
		return fmt.Errorf("remove pins of %s: %w", node, err)
	}
	return ns.remove()
}

// Close ends every process, removes everything the lab built, and waits until
// it is gone. A second call does nothing.
func (l *Lab) Close() error {
	if !l.release() {
		return nil
	}
	return removeLab(l.ID)
}

// HandOver ends the lab for its owner and leaves everything running for the
// user to play with, until `weir lab down` removes it.
func (l *Lab) HandOver() error {
	if !l.opts.Keep {
		return errors.New("hand over a lab: it was not opened with Keep, its processes end with their owner")
	}
	if err := os.WriteFile(l.Dir(keptFile), nil, 0o644); err != nil {
		return fmt.Errorf("mark lab %s as kept: %w", l.ID, err)
	}
	l.release()
	return nil
}

// release lets go of the lab's namespaces. It kills the children unless they
// are to stay, and is true the first time.
func (l *Lab) release() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	if _, err := os.Stat(l.Dir(keptFile)); err != nil {
		for _, p := range l.processes {
			p.Kill()
		}
	}
	for _, ns := range l.namespaces {
		ns.close()
	}
	l.spawner.close()
	return true
}
