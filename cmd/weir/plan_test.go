package main

import (
	"bytes"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/director"
)

// TestShowChanges is a difference as people see it.
func TestShowChanges(t *testing.T) {
	answer := api.Answer{File: "/etc/new.conf", Touched: 12, Changes: director.Changes{
		Services: []director.ServiceChange{
			{Service: "TCP 192.168.25.100:80", Kind: director.Changed, Settings: []director.Setting{{Name: "lb_algo", From: "rr", To: "wlc"}}, Servers: []director.ServerChange{
				{Server: "192.168.25.42:80", Kind: director.Changed, Settings: []director.Setting{{Name: "weight", From: "2", To: "3"}}, Connections: 3},
				{Server: "192.168.25.44:80", Kind: director.Removed, Touched: true, Connections: 12},
				{Server: "192.168.25.45:80", Kind: director.Added, Weight: 4, Checked: true},
				{Server: "192.168.25.46:80", Kind: director.Added, Weight: 1},
			}},
			{Service: "TCP 192.168.25.100:25", Kind: director.Added, Servers: make([]director.ServerChange, 2)},
			{Service: "UDP 192.168.25.100:53", Kind: director.Removed, Servers: make([]director.ServerChange, 1)},
		},
		Instances: []director.InstanceChange{{Instance: "VI_1", Kind: director.Changed, State: "MASTER", Next: "becomes BACKUP if another director has more than 50",
			Settings: []director.Setting{{Name: "priority", From: "100", To: "50"}}}},
		Restart: []director.Setting{{Name: "tables services", From: "4096", To: "8192"}},
	}}
	const want = `~ TCP 192.168.25.100:80
    ~ lb_algo rr -> wlc
    ~ 192.168.25.42:80       weight 2 -> 3             connections stay
    - 192.168.25.44:80                                 12 connections without a server
    + 192.168.25.45:80       weight 4                  gets traffic once its checks pass
    + 192.168.25.46:80       weight 1                  gets traffic at once
+ TCP 192.168.25.100:25   2 real servers
- UDP 192.168.25.100:53   1 real server, 0 connections
~ VRRP VI_1  MASTER   priority 100 -> 50   becomes BACKUP if another director has more than 50
! tables services 4096 -> 8192   takes a restart; a reload leaves it

3 changes, 1 removal, 2 additions, 1 new service, 1 removed service, 1 setting that waits for a restart. 12 live connections are touched.  Apply: weir reload /etc/new.conf
`
	var plain, coloured bytes.Buffer
	if err := showChanges(&plain, answer, false, false); err != nil || plain.String() != want {
		t.Errorf("%v, printed\n%swant\n%s", err, &plain, want)
	}
	if err := showChanges(&coloured, answer, true, true); err != nil {
		t.Error(err)
	}
	if !strings.Contains(coloured.String(), "    \x1b[31m- 192.168.25.44:80") || !strings.HasSuffix(coloured.String(), "are touched.  Done.\n") {
		t.Errorf("coloured, and done: %q", &coloured)
	}
	for file, called := range map[string]string{"/etc/new.conf": "/etc/new.conf", "/etc/" + stdinName: "standard input"} {
		plain.Reset()
		if err := showChanges(&plain, api.Answer{File: file}, false, false); err != nil || plain.String() != "No change: weir does what "+called+" says.\n" {
			t.Errorf("%s: %v, printed %q", file, err, &plain)
		}
	}
}

func TestPlanWithoutARunningWeir(t *testing.T) {
	for _, args := range [][]string{{"plan", "keepalived.conf"}, {"reload", "keepalived.conf"}, {"status"}, {"ls"}} {
		root, verb := rootCommand(), args[0]
		root.SetArgs(append(args, "--run-dir", t.TempDir()))
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), "start it by weir run -f FILE") {
			t.Errorf("%s: %v, want that none runs and how to start one", verb, err)
		}
	}
}
