package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// State is what became of a lab.
type State string

const (
	Alive State = "alive" // its owner runs
	Kept  State = "kept"  // its owner handed it over to the user
	Left  State = "left"  // its owner died over it
)

// Found is a lab that is on this machine.
type Found struct {
	ID    string
	State State
	// Command is the owner's command line, and Pid its process, where known.
	Command string
	Pid     int
}

// killTimeout bounds the wait for a process after SIGKILL. One that is inside
// the kernel, removing a BPF program say, ends only when it comes out.
const killTimeout = 10 * time.Second

// List finds every lab on this machine by what it built.
func List() ([]Found, error) {
	var found []Found
	ids, err := labIDs()
	for _, id := range ids {
		found = append(found, inspect(id))
	}
	return found, err
}

// Down removes every lab but those whose owner lives, and returns both kinds.
func Down(log *slog.Logger) (removed, alive []Found, err error) {
	if os.Geteuid() != 0 {
		return nil, nil, errors.New("removing a lab needs root: run it with sudo")
	}
	unlock, err := lockLabs()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	return removeWhere(log, func(f Found) bool { return f.State != Alive })
}

// sweepDead removes the labs whose owner died over them. The caller holds the
// labs' lock.
func sweepDead(log *slog.Logger) error {
	_, _, err := removeWhere(log, func(f Found) bool { return f.State == Left })
	return err
}

func removeWhere(log *slog.Logger, match func(Found) bool) (removed, stayed []Found, err error) {
	all, err := List()
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, f := range all {
		if !match(f) {
			stayed = append(stayed, f)
			continue
		}
		if err := removeLab(f.ID); err != nil {
			errs = append(errs, fmt.Errorf("remove lab %s: %w", f.ID, err))
			continue
		}
		log.Info("lab removed", "id", f.ID, "was", string(f.State), "command", f.Command)
		removed = append(removed, f)
	}
	return removed, stayed, errors.Join(errs...)
}

// labIDs collects the ids of all labs: directories, namespaces and pins each
// count, so that half a lab is found too.
func labIDs() ([]string, error) {
	places := []struct {
		dir  string
		name *regexp.Regexp
	}{
		{labsDir, regexp.MustCompile(`^(\d+-\d+)$`)},
		{netnsDir, regexp.MustCompile(`^weirlab-(\d+-\d+)-`)},
		{bpffsDir, regexp.MustCompile(`^weir-lab-(\d+-\d+)$`)},
	}
	var ids []string
	for _, place := range places {
		entries, err := os.ReadDir(place.dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("look for labs: %w", err)
		}
		for _, e := range entries {
			if m := place.name.FindStringSubmatch(e.Name()); m != nil {
				ids = append(ids, m[1])
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// inspect tells a lab's state. One without a readable owner is left over: a
// lab writes its owner, under the lock, before it builds anything.
func inspect(id string) Found {
	f := Found{ID: id, State: Left}
	data, err := os.ReadFile(filepath.Join(labsDir, id, ownerFile))
	if err != nil {
		return f
	}
	var o owner
	if json.Unmarshal(data, &o) != nil {
		return f
	}
	f.Command, f.Pid = o.Command, o.Pid
	if o.alive() {
		f.State = Alive
	} else if _, err := os.Stat(filepath.Join(labsDir, id, keptFile)); err == nil {
		f.State = Kept
	}
	return f
}

// removeLab removes whatever there is of a lab: processes first, then pins, so
// that BPF programs leave their devices, then namespaces, then its directory.
// It goes on after an error, and keeps the directory then, for another try.
func removeLab(id string) error {
	namespaces, err := labNamespaces(id)
	if err != nil {
		return err
	}
	errs := []error{killRecorded(id), killInside(namespaces), os.RemoveAll(pinRoot(id))}
	for _, ns := range namespaces {
		errs = append(errs, ns.remove())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(labsDir, id))
}

// labNamespaces opens a lab's namespaces. A name without a namespace, left by
// a lab that died between the two, is removed at once.
func labNamespaces(id string) ([]*Namespace, error) {
	paths, err := filepath.Glob(filepath.Join(netnsDir, namespacePrefix(id)+"*"))
	if err != nil {
		return nil, err
	}
	var namespaces []*Namespace
	for _, path := range paths {
		var st unix.Statfs_t
		if err := unix.Statfs(path, &st); err != nil {
			return nil, fmt.Errorf("look at %s: %w", path, err)
		}
		if st.Type != unix.NSFS_MAGIC {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		ns, err := openNamespace(filepath.Base(path))
		if err != nil {
			return nil, err
		}
		namespaces = append(namespaces, ns)
	}
	return namespaces, nil
}

// killRecorded ends the children that a lab wrote down.
func killRecorded(id string) error {
	file, err := os.Open(filepath.Join(labsDir, id, childrenFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var errs []error
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var child pidRef
		// A line cut short by the writer's death names no process.
		if json.Unmarshal(lines.Bytes(), &child) == nil {
			errs = append(errs, child.kill(killTimeout))
		}
	}
	return errors.Join(errs...)
}

// killInside ends every process inside the namespaces, until a look finds
// none: one of them may just have started another.
func killInside(namespaces []*Namespace) error {
	inside := map[uint64]bool{}
	for _, ns := range namespaces {
		inode, err := ns.inode()
		if err != nil {
			return err
		}
		inside[inode] = true
	}
	for len(inside) > 0 {
		refs, err := processesIn(inside)
		if err != nil || len(refs) == 0 {
			return err
		}
		for _, ref := range refs {
			if err := ref.kill(killTimeout); err != nil {
				return err
			}
		}
	}
	return nil
}

// processesIn lists the processes whose network namespace is one of these.
func processesIn(inodes map[uint64]bool) ([]pidRef, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var refs []pidRef
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		ref, err := refOf(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil && inodes[st.Ino] && ref.alive() {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}
