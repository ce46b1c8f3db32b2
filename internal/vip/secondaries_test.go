package vip_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/vip"
)

// A device keeps its further addresses while somebody wants that, and does then what it did
// before, though another process asks for that. One that did so before goes on.
func TestSecondaries(t *testing.T) {
	ns := nstest.New(t, "promote")
	ns.IP("link", "add", "one", "type", "veth", "peer", "name", "two")
	file := filepath.Join(t.TempDir(), "secondaries.json")
	ns.Do(func() {
		set := func(device, value string) {
			if err := netlnk.SetSysctl(device, "promote_secondaries", value); err != nil {
				t.Fatal(err)
			}
		}
		want := func(when, one, two string) {
			t.Helper()
			for device, value := range map[string]string{"one": one, "two": two} {
				if got, err := netlnk.Sysctl(device, "promote_secondaries"); err != nil || got != value {
					t.Errorf("%s: promote_secondaries of %s is %s, %v, want %s", when, device, got, err, value)
				}
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		set("one", "0")
		set("two", "1")
		must(vip.Secondaries{File: file}.Promote([]string{"one", "two", "absent"}))
		want("wanted of both", "1", "1")
		ns.IP("address", "add", "10.0.0.1/24", "dev", "one")
		ns.IP("address", "add", "10.0.0.2/24", "dev", "one")
		ns.IP("address", "del", "10.0.0.1/24", "dev", "one")
		if all, err := netlnk.ListAddresses("one"); err != nil || len(all) == 0 || all[0].Prefix.Addr().String() != "10.0.0.2" {
			t.Errorf("the first address has gone, and with it the other: %v, %v", all, err)
		}
		set("one", "0") // somebody else
		must(vip.Secondaries{File: file}.Promote([]string{"one"}))
		want("set otherwise meanwhile", "1", "1")
		must(vip.Secondaries{File: file}.PutBack([]string{"one"}))
		want("still wanted of one", "1", "1")
		must(vip.Secondaries{File: file}.PutBack(nil))
		want("wanted no more", "0", "1")
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("the file is still there: %v", err)
		}
		must(vip.Secondaries{File: file}.PutBack(nil))
	})
}

// What is no list of devices is told, and nothing is set by it; no pipe is waited for.
func TestSecondariesOfABrokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secondaries.json")
	for name, make := range map[string]func() error{
		"cut off": func() error { return os.WriteFile(file, []byte("{"), 0o600) },
		"a pipe":  func() error { return unix.Mkfifo(file, 0o600) },
		"a link":  func() error { return os.Symlink("/dev/null", file) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if err := (vip.Secondaries{File: file}).PutBack(nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		os.Remove(file)
	}
}
