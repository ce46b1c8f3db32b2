package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane"
	"weir/internal/director"
)

// A director that is stopped by a signal may be about to be started again, by a restart or
// an upgrade. It leaves its masterships to a keeper: a process of its own, "weir keep",
// that sends the advertisements and renews the leases until the next director comes, and
// hands over to the standby where none does. The two speak over an abstract socket, which
// belongs to the network namespace and goes with the process. The bytes that the next
// director sends are asks; while it is connected the keeper waits for it. The director before is
// connected, too, while its shutdown_script runs.
const (
	keepFor     = 2 * time.Second  // until the next director connects
	keepFailed  = time.Second      // after one that had connected has gone
	keepMost    = 60 * time.Second // in all
	takeWithin  = 2 * time.Second  // for the keeper's answer
	keptAsFile  = 3                // the descriptor of the keeper's listener
	askTake     = 'T'              // "leave at once: I go on"
	askHandOver = 'H'              // "hand over to the standby now"
	askStay     = 'S'              // "I have left them to you, and end only when I disconnect"
	tellTaken   = 'K'
)

// keeperSocket is the abstract socket of who keeps what is pinned in a folder.
func keeperSocket(pinDir string) string {
	return fmt.Sprintf("@weir-keep-%x", sha256.Sum256([]byte(pinDir)))[:44]
}

// legacy is what a keeper gets.
type legacy struct {
	PinDir, RunDir, Log string
	Kept                []director.Kept
}

// leave starts a keeper for masterships, and does not wait for it.
func leave(kept []director.Kept, o runOptions) error {
	listener, err := net.Listen("unix", keeperSocket(o.pinDir))
	if err != nil {
		return fmt.Errorf("leave the masterships to a process that keeps them: %w", err)
	}
	defer listener.Close() // the keeper has its own
	// From here on the next director finds it: it may be faster than the keeper.
	file, err := listener.(*net.UnixListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := unix.MemfdCreate("weir-kept", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("write down what is kept: %w", err)
	}
	note := os.NewFile(uintptr(fd), "kept")
	defer note.Close()
	if err := json.NewEncoder(note).Encode(legacy{o.pinDir, o.runDir, o.log, kept}); err != nil {
		return fmt.Errorf("write down what is kept: %w", err)
	}
	if _, err := note.Seek(0, 0); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "keep")
	cmd.Dir, cmd.Stdin, cmd.Stderr = "/", note, os.Stderr
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the process that keeps the masterships: %w", err)
	}
	return nil
}

// leaveOrHandOver leaves masterships to a keeper. Where none can be started, as without memory
// or with as many processes as the control group allows, it hands them over: the addresses of
// masterships that nobody keeps must not stay beside those of the next master.
func leaveOrHandOver(kept []director.Kept, plane *dataplane.Plane, o runOptions, log *slog.Logger) error {
	err := leave(kept, o)
	if err == nil {
		return nil
	}
	log.Warn("masterships are handed over, and do not wait for a restart", "why", err)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	machine := director.OnKernel(director.Plane{Leases: plane}, nil, secondariesIn(o.runDir))
	return director.Keep(now, machine, log, kept, new(atomic.Bool))
}

// keepCommand is "weir keep", which a director starts that ends.
func keepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keep", Hidden: true, Args: cobra.NoArgs,
		Short: "Keep the masterships of a director until the next one comes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l legacy
			if err := json.NewDecoder(cmd.InOrStdin()).Decode(&l); err != nil {
				return fmt.Errorf("weir run starts this itself; what is to be kept: %w", err)
			}
			listener, err := net.FileListener(os.NewFile(keptAsFile, "keeper"))
			if err != nil {
				return err
			}
			return keep(cmd.Context(), l, listener)
		},
	}
}

// keep keeps masterships until the next director asks for them; or until none has come, ctx
// ends or somebody asks for that, and then hands them over.
func keep(ctx context.Context, l legacy, listener net.Listener) error {
	ignorePipes()
	lines, queue, err := openLog(os.Stderr, l.Log)
	if err != nil {
		return err
	}
	defer queue.close()
	leases, err := dataplane.OpenLeases(l.PinDir)
	if err != nil {
		return err
	}
	defer leases.Close()
	ctx, handOver := context.WithCancel(ctx)
	defer handOver()
	w := newWait(handOver)
	go w.serve(listener)
	machine := director.OnKernel(director.Plane{Leases: leases}, nil, secondariesIn(l.RunDir))
	var leaving atomic.Bool
	return director.Keep(ctx, machine, slog.New(endOnly{lines, ctx, &leaving}), l.Kept, &leaving)
}

// endOnly is a log of the hand-over alone: that the masterships go on is no news.
type endOnly struct {
	slog.Handler
	until   context.Context
	leaving *atomic.Bool // there is no hand-over
}

func (q endOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return (level > slog.LevelInfo || q.until.Err() != nil && !q.leaving.Load()) && q.Handler.Enabled(ctx, level)
}

func (q endOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return endOnly{q.Handler.WithAttrs(attrs), q.until, q.leaving}
}

func (q endOnly) WithGroup(name string) slog.Handler {
	return endOnly{q.Handler.WithGroup(name), q.until, q.leaving}
}

// wait ends the keeping when no director has come.
type wait struct {
	handOver func()
	exit     func() // ends the process
	last     *time.Timer
	most     time.Time

	mu        sync.Mutex // guards what follows, and last
	connected int
}

func newWait(handOver func()) *wait {
	return &wait{
		handOver: handOver, exit: func() { os.Exit(0) },
		last: time.AfterFunc(keepFor, handOver), most: time.Now().Add(keepMost),
	}
}

// serve answers the next directors.
func (w *wait) serve(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if !ours(c) {
			c.Close()
			continue
		}
		go w.answer(c)
	}
}

// ours says whether a process of this process's user, or of root, is at the other end: an
// abstract socket has no owner.
func ours(c net.Conn) bool {
	peer := peerOf(c)
	return peer != nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
}

// peerOf is the process at the other end of a unix socket; nil where it cannot be found.
func peerOf(c net.Conn) (peer *unix.Ucred) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil
	}
	raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return peer
}

// answer waits with a director that starts, until it takes over or has gone.
func (w *wait) answer(c net.Conn) {
	defer c.Close()
	w.mu.Lock()
	if w.connected++; w.last.Stop() {
		w.last.Reset(time.Until(w.most))
	}
	w.mu.Unlock()
	ask, patience := make([]byte, 1), keepFailed
	for {
		if _, err := c.Read(ask); err != nil {
			break
		}
		switch ask[0] {
		case askTake:
			c.Write([]byte{tellTaken})
			w.exit()
			return
		case askHandOver:
			w.handOver()
		case askStay:
			patience = keepFor
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.connected--; w.connected == 0 && w.last.Stop() {
		w.last.Reset(patience)
	}
}

// keeper is a keeper as the next director sees it; nil is none.
type keeper struct{ conn net.Conn }

// findKeeper finds who keeps what is pinned in a folder. It waits from now on.
func findKeeper(pinDir string) *keeper {
	c, err := net.DialTimeout("unix", keeperSocket(pinDir), takeWithin)
	if err != nil {
		return nil
	}
	if !ours(c) {
		c.Close()
		return nil
	}
	return &keeper{c}
}

// stay has the keeper count from the moment when this process ends: the next director comes after
// that.
func (k *keeper) stay() {
	k.conn.SetDeadline(time.Now().Add(takeWithin))
	k.conn.Write([]byte{askStay})
}

// take has the keeper leave everything as it is and end: the caller goes on at once. One
// that does not answer hangs, and sends nothing either.
func (k *keeper) take() {
	defer k.conn.Close()
	k.conn.SetDeadline(time.Now().Add(takeWithin))
	if _, err := k.conn.Write([]byte{askTake}); err == nil {
		k.conn.Read(make([]byte, 1))
	}
}

// handOver has the keeper hand over to the standby, and waits until it has ended.
func (k *keeper) handOver(within time.Duration) error {
	defer k.conn.Close()
	k.conn.SetDeadline(time.Now().Add(within))
	if _, err := k.conn.Write([]byte{askHandOver}); err != nil {
		return err
	}
	if _, err := k.conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the process that keeps the masterships for a restart does not end")
	}
	return nil
}
