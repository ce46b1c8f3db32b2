package lab

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps named namespaces, so that `ip netns` and
// nsenter find a lab's too.
const netnsDir = "/run/netns"

// goneTimeout bounds the wait for a removed namespace: with a BPF program
// running in it the kernel takes seconds.
const goneTimeout = 20 * time.Second

// Namespace is a named network namespace, held open.
type Namespace struct {
	Name string

	file    *os.File
	handle  *netlink.Handle
	sockets sockets
}

// createNamespace makes a new network namespace under its name and opens it.
func createNamespace(name string) (*Namespace, error) {
	path := filepath.Join(netnsDir, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	file.Close()
	err = inOwnNamespace(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("create namespace %s: %w", name, err)
	}
	n, err := openNamespace(name)
	if err != nil {
		return nil, errors.Join(err, unmountNamespace(name))
	}
	return n, nil
}

// openNamespace opens a namespace that is already there.
func openNamespace(name string) (*Namespace, error) {
	file, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(file.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	return &Namespace{Name: name, file: file, handle: handle}, nil
}

// Path is where the namespace is mounted, for nsenter --net=PATH.
func (n *Namespace) Path() string { return filepath.Join(netnsDir, n.Name) }

// Do runs fn on an OS thread inside the namespace: sockets that fn creates
// belong to the namespace for good, also when used elsewhere later. What fn
// starts as a goroutine of its own runs outside.
func (n *Namespace) Do(fn func() error) error {
	return inOwnNamespace(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.Name, err)
		}
		return fn()
	})
}

// inOwnNamespace runs fn on a locked OS thread and puts the thread back into
// its own network namespace. A thread that cannot go back stays locked, and
// ends with its goroutine.
func inOwnNamespace(fn func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		err = fn()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// inode identifies the namespace in /proc/<pid>/ns/net.
func (n *Namespace) inode() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(n.file.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat namespace %s: %w", n.Name, err)
	}
	return st.Ino, nil
}

// close lets go of the namespace without removing it.
func (n *Namespace) close() {
	n.sockets.close()
	n.handle.Close()
	n.file.Close()
}

// remove takes the namespace away and waits until the kernel has let go of
// it. Links go first, one by one, because deleting a link returns only when
// nothing uses it any more.
func (n *Namespace) remove() error {
	err := errors.Join(n.destroyConnections(), n.deleteLinks())
	id, idErr := n.namespaceID()
	n.close()
	if unmountErr := unmountNamespace(n.Name); unmountErr != nil {
		return errors.Join(err, unmountErr)
	}
	if idErr != nil {
		return errors.Join(err, idErr)
	}
	return errors.Join(err, waitGone(n.Name, id))
}

func (n *Namespace) deleteLinks() error {
	links, err := n.handle.LinkList()
	if err != nil {
		return fmt.Errorf("list links of %s: %w", n.Name, err)
	}
	var errs []error
	for _, link := range links {
		if link.Attrs().Name == "lo" {
			continue
		}
		// The other end of a pair may be gone already, with this one.
		err := n.handle.LinkDel(link)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete link %s of %s: %w", link.Attrs().Name, n.Name, err))
		}
	}
	return errors.Join(errs...)
}

// destroyConnections ends the TCP connections that the namespace's programs
// left to the kernel to close. Where the other end is dead it goes on trying
// for minutes, and they keep the namespace. A connection over IPv4 may be an
// IPv6 socket's; those over IPv6 itself are left to end by themselves.
func (n *Namespace) destroyConnections() error {
	err := n.Do(func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			sockets, err := netlink.SocketDiagTCP(family)
			if err != nil {
				return fmt.Errorf("list connections: %w", err)
			}
			for _, s := range sockets {
				if s.State == netlink.TCP_TIME_WAIT {
					continue
				}
				if err := destroyConnection(s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("namespace %s: %w", n.Name, err)
	}
	return nil
}

func destroyConnection(s *netlink.Socket) error {
	local := &net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)}
	remote := &net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)}
	if local.IP.To4() == nil || remote.IP.To4() == nil {
		return nil
	}
	err := netlink.SocketDestroy(local, remote)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("destroy connection %v to %v: %w", local, remote, err)
	}
	return nil
}

// unmountNamespace takes the name away. A namespace may be mounted more than
// once where `ip netns` bound the whole directory over itself.
func unmountNamespace(name string) error {
	path := filepath.Join(netnsDir, name)
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// namespaceID gives the namespace an id in this one, if it has none, and
// returns it. The id is how its end can be seen from outside. It is made of
// the inode number: the kernel's own choice is the lowest free one, which
// another lab's namespace would get the moment this one is gone.
func (n *Namespace) namespaceID() (int, error) {
	fd := int(n.file.Fd())
	if id, err := netlink.GetNetNsIdByFd(fd); err == nil && id >= 0 {
		return id, nil
	}
	inode, err := n.inode()
	if err != nil {
		return 0, err
	}
	if err := netlink.SetNetNsIdByFd(fd, int(inode&math.MaxInt32)); err != nil && !errors.Is(err, unix.EEXIST) {
		return 0, fmt.Errorf("give namespace %s an id: %w", n.Name, err)
	}
	return netlink.GetNetNsIdByFd(fd)
}

// waitGone waits until no process, socket or mount holds the namespace with
// this id. The kernel then answers ENOENT (net/core/net_namespace.c,
// rtnl_net_getid, which takes a reference only where one is left).
func waitGone(name string, id int) error {
	deadline := time.Now().Add(goneTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := probeID(id)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for namespace %s: %w", name, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("namespace %s is unmounted, but something still holds it after %v", name, goneTimeout)
		}
		time.Sleep(pause)
	}
}

// probeID asks the kernel for the namespace with this id.
func probeID(id int) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETNSID, unix.NLM_F_REQUEST)
	req.AddData(nl.NewRtGenMsg())
	value := make([]byte, 4)
	nl.NativeEndian().PutUint32(value, uint32(id))
	req.AddData(nl.NewRtAttr(netlink.NETNSA_NSID, value))
	_, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNSID)
	return err
}

// ensureNetnsDir makes /run/netns what iproute2 expects it to be: a shared
// mount, so that names made and removed here are made and removed in other
// mount namespaces too. Where others already keep namespaces in it, it stays
// as it is: mounting over them would hide them.
func ensureNetnsDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(netnsDir)
	if err != nil || len(entries) > 0 {
		return err
	}
	err = unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", netnsDir, err)
	}
	return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "")
}
