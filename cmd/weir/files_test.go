package main

import (
	"testing"

	"golang.org/x/sys/unix"

	"weir/conf"
)

// The limit of open files becomes what the configuration may need, and is never lowered.
func TestRaiseFiles(t *testing.T) {
	var had unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &had) })
	cfg := &conf.Config{VirtualServers: []conf.VirtualServer{{RealServers: []conf.RealServer{{Checks: make([]conf.Check, 50)}}}}}
	for _, has := range []uint64{128, 4196, 10_000} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: has, Max: had.Max}); err != nil {
			t.Fatal(err)
		}
		if err := raiseFiles(cfg); err != nil {
			t.Errorf("from %d: %v", has, err)
		}
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur != max(has, 4196) {
			t.Errorf("from %d the limit became %d (%v), want %d", has, now.Cur, err, max(has, 4196))
		}
	}
}
