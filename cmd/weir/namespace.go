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
	"weir/internal/api"
)

// namespaceFolder is where "ip netns add" puts network namespaces.
const namespaceFolder = "/run/netns"

// enteredVariable tells a program that it was executed again for a network namespace, and
// which: it is not executed a second time.
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

// inNamespace has the process be in the network namespace that the file names, and returns the
// options with the folders of that namespace. Where the process is in another one it does not
// return without an error: the program is executed again there, and reads the file again. The
// error has the place of net_namespace.
func inNamespace(ctx context.Context, o runOptions) (runOptions, error) {
	entered := takeEntered()
	if info, err := os.Stat(o.config); err != nil || !info.Mode().IsRegular() {
		return o, nil // a pipe is read once: see sameAsEntered
	}
	// What is wrong with the file is told when it is read to be run.
	cfg, _, err := api.Read(&conf.Loader{}, o.config)
	if err != nil || cfg.Machine.NetNamespace == "" {
		return o, nil
	}
	o.space = cfg.Machine.NetNamespace
	if !o.fixedRunDir {
		o.runDir = folderIn(o.runDir, o.space)
	}
	if !o.fixedPinDir {
		o.pinDir = folderIn(o.pinDir, o.space)
	}
	if err := enterNamespace(ctx, o.space, entered); err != nil {
		return o, fmt.Errorf("%s: net_namespace %s: %w", cfg.Machine.PlaceOf("net_namespace").WithColumn(), o.space, err)
	}
	return o, nil
}

// sameAsEntered says why a configuration cannot run in the namespace that inNamespace has
// found for it: it has come by a pipe, or has changed since.
func (o runOptions) sameAsEntered(cfg *conf.Config) error {
	if name := cfg.Machine.NetNamespace; name != o.space {
		return fmt.Errorf("%s: net_namespace %s: weir reads %s twice, and found something else: name a regular file, which does not change while weir starts",
			cmp.Or(cfg.Machine.PlaceOf("net_namespace").WithColumn(), o.config), cmp.Or(name, "(none)"), o.config)
	}
	return nil
}

// takeEntered is the namespace for which this program was executed again, "" where it was not.
// Scripts and programs do not inherit it.
func takeEntered() string {
	name := os.Getenv(enteredVariable)
	os.Unsetenv(enteredVariable)
	return name
}

// errGone says that there is no network namespace of a name.
var errGone = errors.New("there is no such network namespace")

// enterNamespace returns nil where this process is in the network namespace of that name.
// Otherwise it executes the program again there, with the same arguments, environment,
// process number and standard files: threads that exist cannot be moved. It returns an error
// with its remedy where that cannot be, and ctx's where that has ended.
func enterNamespace(ctx context.Context, name, entered string) error {
	if filepath.Base(name) != name || name == ".." || name == "." {
		return errors.New("that is no name of a network namespace: expected one that ip netns list shows")
	}
	path := filepath.Join(namespaceFolder, name)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: make it by ip netns add %s, before weir starts", errGone, name)
	case err != nil:
		return fmt.Errorf("open %s: %w: start weir as root", path, err)
	}
	defer unix.Close(fd)
	if sameNamespace(fd) {
		return nil
	}
	if entered == name {
		return fmt.Errorf("%s became another namespace while weir entered it: start weir again", path)
	}
	runtime.LockOSThread() // for good where it fails afterwards: the process ends
	if err := unix.Setns(fd, unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("enter %s: %w: start weir as root, or with CAP_SYS_ADMIN", path, err)
	} else if err != nil {
		return fmt.Errorf("enter %s: %w: make the namespace by ip netns add %s", path, err, name)
	}
	// From here on SIGTERM and SIGINT end the process at once: what comes while a program is
	// executed would not be heard by it.
	signal.Reset(os.Interrupt, unix.SIGTERM)
	if ctx.Err() != nil {
		return context.Cause(ctx)
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
