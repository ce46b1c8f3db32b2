package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/netlnk/nstest"
)

// realserverRun runs "weir realserver ARGS" and returns its output and error.
func realserverRun(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := realserverCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors = true
	err := cmd.Execute()
	return out.String(), err
}

// One machine's story at the command line, step by step.
func TestRealserverCommand(t *testing.T) {
	n := nstest.New(t, "cli")
	state := filepath.Join(t.TempDir(), "realserver.json")
	const vip, silent = "192.168.25.100", " is on lo, and this machine keeps silent about it\n"
	steps := []struct {
		args, out, err string
	}{
		{"status", "! no virtual address has been started here: run weir realserver start --vip ADDRESS\n", "problems found: 1"},
		{"start", "", "start needs at least one virtual address"},
		{"start --vip 192.168.25", "", `--vip: "192.168.25" is not an IP address: expected four numbers with dots between them, as in 192.0.2.1, and not 3`},
		{"start --vip 224.0.0.18", "", "virtual address 224.0.0.18: expected an address that clients can reach"},
		{"start --vip " + vip + " --vip fd25::100", vip + silent + "fd25::100" + silent, ""},
		{"status", "  " + vip + silent + "  fd25::100" + silent, ""},
		{"status --vip 192.168.25.101", "! 192.168.25.101 is not on lo: run weir realserver start --vip 192.168.25.101\n", "problems found: 1"},
		{"stop", "stopped: what start had changed for it is as before\n", ""},
		{"stop", "stopped: what start had changed for it is as before\n", ""},
		{"status --vip fd25::100", "! fd25::100 is not on lo: run weir realserver start --vip fd25::100\n", "problems found: 1"},
		{"strat", "", `unknown command "strat"`},
		{"start 192.168.25.100", "", "unknown command"},
	}
	n.Do(func() {
		for _, s := range steps {
			args := strings.Fields(s.args)
			if args[0] != "strat" {
				args = append(args, "--state", state)
			}
			out, err := realserverRun(args...)
			if out != s.out {
				t.Errorf("%s: printed\n%swant\n%s", s.args, out, s.out)
			}
			if (err == nil) != (s.err == "") || err != nil && !strings.Contains(err.Error(), s.err) {
				t.Errorf("%s: error %v, want %q", s.args, err, s.err)
			}
		}
	})
}

// The same for a tunnel, with a device that it may come by.
func TestRealserverTunnelCommand(t *testing.T) {
	n := nstest.New(t, "clitun")
	nstest.Veth(n, "eth0", n, "peer")
	n.IP("address", "add", "192.168.25.31/24", "dev", "eth0")
	state := filepath.Join(t.TempDir(), "realserver.json")
	const silent = "192.168.25.100 is on lo, and this machine keeps silent about it\n"
	const start = "start --vip 192.168.25.100 --method tunnel"
	const out = "  packets come out of tunnels by a BPF program on eth0, sent to 192.168.25.31 by 192.168.25.32\n  packets that came out: 0\n"
	steps := []struct {
		args, out, err string
	}{
		{"start --vip 192.168.25.100 --method nat", "", "--method nat: expected direct or tunnel"},
		{"start --vip 192.168.25.100 --device eth0", "", "--device, --director and --decap are for tunnels: add --method tunnel"},
		{start + " --decap magic", "", "--decap magic: expected auto, kernel or bpf"},
		{start + " --director 192.168.25", "", `--director: "192.168.25" is not an IP address`},
		{start + " --device eth7", "", `device "eth7": no such device`},
		{"status --method tunnel", "", "unknown flag: --method"},
		{start + " --device eth0 --director 192.168.25.32 --decap bpf", silent + "packets for it come out of tunnels: see weir realserver status\n", ""},
		{"status", out + "  " + silent, ""},
		{"start --vip 192.168.25.100", silent, ""},
		{"status", out + "  " + silent, ""},
		{"stop", "stopped: what start had changed for it is as before\n", ""},
		{"status", "! no virtual address has been started here: run weir realserver start --vip ADDRESS\n", "problems found: 1"},
	}
	n.Do(func() {
		for _, s := range steps {
			got, err := realserverRun(append(strings.Fields(s.args), "--state", state)...)
			if got != s.out {
				t.Errorf("%s: printed\n%swant\n%s", s.args, got, s.out)
			}
			if (err == nil) != (s.err == "") || err != nil && !strings.Contains(err.Error(), s.err) {
				t.Errorf("%s: error %v, want %q", s.args, err, s.err)
			}
		}
	})
}
