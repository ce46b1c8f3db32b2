package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/api"
	"weir/internal/cluster"
	"weir/internal/director"
	"weir/lvs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}

// night is a cluster at three in the morning.
func night() cluster.Snapshot {
	now := time.Date(2026, 1, 15, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	server := func(addr, method string, weight int, up bool) cluster.Server {
		return cluster.Server{Addr: netip.MustParseAddrPort(addr), Method: method, Weight: weight, Up: up, Since: ago(time.Hour), Active: 812, Inactive: 240,
			Traffic: cluster.Traffic{Rates: cluster.Rates{Connections: 31, InPackets: 412, InBytes: 41_200}}}
	}
	down := server("192.168.25.44:80", "DR", 4, false)
	down.Since, down.Reason, down.Active = ago(7*time.Minute), "HTTP_GET /health: status 503, expected 200", 0
	web := cluster.Service{Name: "TCP 192.168.25.100:80", Scheduler: "wlc", Servers: []cluster.Server{
		server("192.168.25.41:80", "DR", 1, true), server("192.168.25.42:80", "DR", 2, true), down,
	}, Traffic: cluster.Traffic{Rates: cluster.Rates{Connections: 3100, InPackets: 412_000, InBytes: 1_200_000_000}}}
	dns := cluster.Service{Name: "UDP 192.168.25.100:53", Scheduler: "rr", Servers: []cluster.Server{server("10.1.0.11:53", "NAT", 1, true)},
		Traffic: cluster.Traffic{Rates: cluster.Rates{Connections: 9800, InPackets: 9800, InBytes: 800_000}}}
	return cluster.Snapshot{
		Time:        now,
		Director:    cluster.Director{OtherVRRP: []string{"process 12 (keepalived)"}, OtherRouters: []lvs.InstanceID{{Interface: "eth0", VRID: 51}}, Host: "node01", Started: ago(12*24*time.Hour + 4*time.Hour), Config: "/etc/keepalived/keepalived.conf", Loaded: ago(2*time.Hour + 5*time.Minute)},
		Devices:     []cluster.Device{{Name: "eth0", Hook: lvs.HookNative}, {Name: "eth1", Hook: lvs.HookTC}},
		Connections: 1_200_400,
		Sessions: []cluster.Session{
			{Name: "east", Neighbor: netip.MustParseAddr("192.168.25.32"), Up: true},
			{Name: "west", Neighbor: netip.MustParseAddr("2001:db8::32"), Reason: "control detection time expired"},
		},
		Instances: []cluster.Instance{
			{Name: "VI_1", ID: lvs.InstanceID{Interface: "eth0", VRID: 51}, State: cluster.Master, Priority: 100, Since: ago(12 * 24 * time.Hour),
				VIPs:      []netip.Prefix{netip.MustParsePrefix("192.168.25.100/32")},
				Peer:      &cluster.Peer{Addr: netip.MustParseAddr("192.168.25.32"), Priority: 90, Heard: ago(400 * time.Millisecond)},
				Other:     &cluster.OtherMaster{Addr: netip.MustParseAddr("192.168.25.32"), Priority: 90, Since: ago(3 * time.Second), Adverts: 3},
				Conflicts: []cluster.Conflict{{VIP: netip.MustParseAddr("192.168.25.100"), MAC: "02:00:00:00:00:99", Since: ago(2 * time.Minute)}}},
			{Name: "VI_2", ID: lvs.InstanceID{VRID: 52}, State: cluster.Fault, Priority: 90, Since: ago(40 * time.Second), Fault: "eth2 is down"},
		},
		Services: []cluster.Service{web, dns},
	}
}

// quiet is the same when all is well: the other program has another VRID.
func quiet() cluster.Snapshot {
	s := night()
	s.Instances, s.Services, s.Sessions = s.Instances[:1], s.Services[1:], s.Sessions[:1]
	s.Director.OtherRouters = []lvs.InstanceID{{Interface: "eth0", VRID: 77}}
	s.Instances[0].Other, s.Instances[0].Conflicts = nil, nil
	return s
}

func TestShowStatus(t *testing.T) {
	for name, s := range map[string]cluster.Snapshot{"status.golden": night(), "status-quiet.golden": quiet(), "status-empty.golden": {}} {
		var out bytes.Buffer
		if err := showStatus(&out, s); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
		for line := range strings.Lines(out.String()) {
			if len(strings.TrimSuffix(line, "\n")) > 80 && !strings.Contains(line, "down: ") {
				t.Errorf("%s: more than 80 columns: %s", name, line)
			}
		}
	}
}

func TestShowServices(t *testing.T) {
	for name, s := range map[string]cluster.Snapshot{"ls.golden": night(), "ls-empty.golden": {}} {
		var out bytes.Buffer
		if err := showServices(&out, s.Services); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1.00 k", 9994: "9.99 k", 9996: "10.0 k", 99_949: "99.9 k", 99_951: "100 k",
		412_400: "412 k", 999_499: "999 k", 999_501: "1.00 M", 1_200_400: "1.20 M", 7e12: "7.00 T", 5e15: "5000 T",
	} {
		if got := short(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// told answers with one snapshot.
type told struct{ state cluster.Snapshot }

func (t told) Plan(*conf.Config) (director.Changes, error)        { return director.Changes{}, nil }
func (t told) Reload(*conf.Config) (director.Changes, error)      { return director.Changes{}, nil }
func (t told) Snapshot(context.Context) (cluster.Snapshot, error) { return t.state, nil }
func (t told) State(context.Context) (director.State, error)      { return director.State{}, nil }

// The verbs ask over the socket, print JSON that can be read back, and end with the
// exit code that their help promises.
func TestStatusAndLs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state cluster.Snapshot
		code  error
	}{{"something needs you", night(), exitCode(exitNeeds)}, {"nothing does", quiet(), nil}} {
		runDir := t.TempDir()
		s, err := api.Listen(runDir, "keepalived.conf", new(conf.Loader), told{tt.state}, cluster.NewStream(func(cluster.Event) {}))
		if err != nil {
			t.Fatal(err)
		}
		go s.Run(t.Context())
		ask := func(args ...string) string {
			t.Helper()
			var out bytes.Buffer
			root := rootCommand()
			root.SetOut(&out)
			root.SetArgs(append(args, "--run-dir", runDir))
			err := root.Execute()
			want := tt.code
			if args[0] == "ls" {
				want = nil
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: weir %v: %v, want %v", tt.name, args, err, want)
			}
			return out.String()
		}
		if out := ask("status"); !strings.HasPrefix(out, "node01  up ") {
			t.Errorf("status printed %s", out)
		}
		if out := ask("ls"); !strings.Contains(out, "UDP 192.168.25.100:53") {
			t.Errorf("ls printed %s", out)
		}
		var snapshot cluster.Snapshot
		if err := json.Unmarshal([]byte(ask("status", "--json")), &snapshot); err != nil || len(snapshot.Services) != len(tt.state.Services) {
			t.Errorf("status --json: %v, %d services", err, len(snapshot.Services))
		}
		var services []cluster.Service
		if err := json.Unmarshal([]byte(ask("ls", "--json")), &services); err != nil || len(services) != len(tt.state.Services) {
			t.Errorf("ls --json: %v, %d services", err, len(services))
		}
	}
}

// Drift is shown where there was some.
func TestStatusShowsDrift(t *testing.T) {
	var v statusView
	v.drift(map[string]cluster.Drift{"pins": {}, "services": {Found: 3, Repaired: 3}, "address_conflicts": {Found: 1}})
	if want := "\nDRIFT address_conflicts: 1 found, 0 repaired\n      services: 3 found, 3 repaired\n"; v.String() != want {
		t.Errorf("printed %q, want %q", v.String(), want)
	}
}
