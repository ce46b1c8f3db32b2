package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// filesFor is how many files a configuration may need at once: a socket for each check, as
// all may run at once, and as many once more for those that a reload adds.
func filesFor(cfg *conf.Config) uint64 {
	checks := 0
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			checks += len(rs.Checks)
		}
	}
	return uint64(4096 + 2*checks + 8*len(cfg.VRRPInstances))
}

// fewestFiles is how many files the data plane's tables and programs take on a few devices,
// with room for the sockets.
const fewestFiles = 208

// errFewFiles is a limit with which the data plane cannot be loaded. The kernel's answers are
// no help then: a table that cannot be opened is taken for one that it does not know.
var errFewFiles = errors.New("raise it (LimitNOFILE= of the unit, or ulimit -n)")

// raiseFiles raises this process's limit of open files, where it is lower than what the
// configuration may need. It returns an error where that is not allowed; the limit is then
// as high as it may be. The error wraps errFewFiles where weir cannot run with that.
func raiseFiles(cfg *conf.Config) error {
	want := filesFor(cfg)
	var has unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &has); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if has.Cur >= want {
		return nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(want, has.Max)}); err == nil {
		return nil
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: has.Max, Max: has.Max}); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return filesEnough(has.Max, want)
}

// filesEnough is an error where the highest limit of open files is lower than what is wanted.
func filesEnough(has, want uint64) error {
	switch {
	case has >= want:
		return nil
	case has < fewestFiles:
		return fmt.Errorf("the limit of open files is %d, and weir needs %d at least: %w", has, fewestFiles, errFewFiles)
	}
	return fmt.Errorf("the limit of open files is %d, and this configuration may need %d: raise it (LimitNOFILE= of the unit, or ulimit -n), or checks may not be made", has, want)
}
