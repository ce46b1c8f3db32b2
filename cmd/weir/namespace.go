package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/conf"
)

// namespaceFolder is where "ip netns add" puts network namespaces.
const namespaceFolder = "/run/netns"

// enteredVariable tells a program that it was executed again for a network namespace, and
// which.
const enteredVariable = "WEIR_NET_NAMESPACE"

// addNamespaceFlag adds --net-namespace to a verb that asks the weir that runs. The folders
// are right when the verb runs.
func addNamespaceFlag(cmd *cobra.Command, name, runDir, pinDir *string) {
	cmd.Flags().StringVar(name, "net-namespace", "", "`name` of the network namespace of the weir that runs, as its net_namespace says")
	cmd.PreRun = func(*cobra.Command, []string) {
		if *name == "" {
			return
		}
		if !cmd.Flags().Changed("run-dir") {
			*runDir = folderIn(*runDir, *name)
		}
		if pinDir != nil && !cmd.Flags().Changed("pin-dir") {
			*pinDir = folderIn(*pinDir, *name)
		}
	}
}

// folderIn is a default folder of a weir in a network namespace. It stands beside that of a weir
// without one, whose files may have the namespace's name.
func folderIn(dir, name string) string { return dir + "-" + name }

// in are the options of a weir in a network namespace, with its folders; without a name they
// are what they were.
func (o runOptions) in(name string) runOptions {
	if o.space = name; name == "" {
		return o
	}
	if !o.fixedRunDir {
		o.runDir = folderIn(o.runDir, name)
	}
	if !o.fixedPinDir {
		o.pinDir = folderIn(o.pinDir, name)
	}
	return o
}

// enter has the process be in the network namespace that a configuration names. Where it is not
// it does not return without an error: the program is executed again there, and reads the file
// again. The error has the place of net_namespace.
func (o runOptions) enter(ctx context.Context, cfg *conf.Config) error {
	name := cfg.Machine.NetNamespace
	if name == o.space {
		return nil
	}
	err := fmt.Errorf("weir has entered %s for it, and %s says another one now: start weir again", o.space, o.config)
	if o.space == "" {
		err = fmt.Errorf("weir reads %s once more there: name a regular file", o.config)
		if info, failed := os.Stat(o.config); failed == nil && info.Mode().IsRegular() {
			err = enterNamespace(ctx, name)
		}
	}
	return fmt.Errorf("%s: net_namespace %s: %w", cmp.Or(cfg.Machine.PlaceOf("net_namespace").WithColumn(), o.config), cmp.Or(name, "(none)"), err)
}

// takeEntered is the namespace for which this program was executed again, "" where it was not.
// Scripts and programs do not inherit it.
func takeEntered() string {
	name := os.Getenv(enteredVariable)
	os.Unsetenv(enteredVariable)
	if fd, err := openNamespace(name); err == nil {
		defer unix.Close(fd)
		if sameNamespace(fd) {
			return name
		}
	}
	return ""
}

// errGone says that there is no network namespace of a name.
var errGone = errors.New("there is no such network namespace")

// openNamespace opens a network namespace by its name. The error has a remedy.
func openNamespace(name string) (fd int, err error) {
	if filepath.Base(name) != name || name == ".." || name == "." {
		return -1, errors.New("that is no name of a network namespace: expected one that ip netns list shows")
	}
	path := filepath.Join(namespaceFolder, name)
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%w: make it by ip netns add %s, before weir starts", errGone, name)
	case err != nil:
		return -1, fmt.Errorf("open %s: %w: start weir as root", path, err)
	}
	return fd, nil
}

// enterNamespace executes the program again in the network namespace of that name, with the
// same arguments, environment, process number and standard files: threads that exist cannot be
// moved. It returns an error with its remedy where that cannot be, and ctx's where that has
// ended.
func enterNamespace(ctx context.Context, name string) error {
	fd, err := openNamespace(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	runtime.LockOSThread() // for good where it fails afterwards: the process ends
	if err := unix.Setns(fd, unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("enter it: %w: start weir as root, or with CAP_SYS_ADMIN", err)
	} else if err != nil {
		return fmt.Errorf("enter it: %w: make the namespace by ip netns add %s", err, name)
	}
	// From here on SIGTERM and SIGINT end the process at once: what comes while a program is
	// executed would not be heard by it. SIGHUP does nothing until it is heard.
	signal.Reset(os.Interrupt, unix.SIGTERM)
	signal.Ignore(unix.SIGHUP)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	program, err := os.Executable()
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		program = "/proc/self/exe" // its file was replaced or removed
	}
	return fmt.Errorf("execute %s again: %w", program, unix.Exec(program, os.Args, append(os.Environ(), enteredVariable+"="+name)))
}

// sameNamespace says whether this process is in the namespace that a descriptor stands for.
func sameNamespace(fd int) bool {
	var there, here unix.Stat_t
	if unix.Fstat(fd, &there) != nil || unix.Stat("/proc/self/ns/net", &here) != nil {
		return false
	}
	return there.Dev == here.Dev && there.Ino == here.Ino
}
