package main

import (
	"errors"
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
	for _, has := range []uint64{208, 4196, 10_000} {
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

// A limit with which the data plane cannot be loaded is refused before anything is made.
func TestFewFiles(t *testing.T) {
	for _, tt := range []struct {
		has  uint64
		few  bool
		want string
	}{
		{20, true, "the limit of open files is 20, and weir needs 208 at least: raise it (LimitNOFILE= of the unit, or ulimit -n)"},
		{207, true, "the limit of open files is 207, and weir needs 208 at least: raise it (LimitNOFILE= of the unit, or ulimit -n)"},
		{208, false, "the limit of open files is 208, and this configuration may need 4096: raise it (LimitNOFILE= of the unit, or ulimit -n), or checks may not be made"},
	} {
		err := filesEnough(tt.has, 4096)
		if err == nil || err.Error() != tt.want || errors.Is(err, errFewFiles) != tt.few {
			t.Errorf("%d: %v, want %s", tt.has, err, tt.want)
		}
	}
	if err := filesEnough(4096, 4096); err != nil {
		t.Error(err)
	}
}
