package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// A director that has no file left for its checks takes no real server out, says so once
// with what to do, and says when it is over. Clients do not notice.
func TestOutOfFilesTakesNoServerOut(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.waitFirstChecks()
	mark := time.Now()
	var had unix.Rlimit
	pid := c.node01.Weir().Pid()
	c.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &had))
	c.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: had.Max}, nil))
	time.Sleep(20 * time.Second) // three checks of each server, with none of its three retries left
	c.must(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &had, nil))
	_, err := c.node01.WaitFrom(c.within(3*time.Minute), mark, "the checks are made again", lab.IsKind(model.ChecksMadeAgain))
	c.must(err)
	events, err := c.node01.Happened(c.within(5*time.Second), mark)
	c.must(err)
	told := 0
	for _, e := range events {
		switch e.Kind {
		case model.ChecksNotMade:
			told++
			if e.Reason != "too many open files" || e.Detail("remedy") == "" {
				t.Errorf("told %+v", e)
			}
		case model.RealServerDown:
			t.Errorf("a server was taken out: %+v", e)
		}
	}
	if told != 1 {
		t.Errorf("it was told %d times, want once", told)
	}
	c.waitAnswer()
}

// fewFilesConfig is a director with 20 good servers beside 200 that answer nothing, whose
// checks hold a socket for ten seconds each.
func fewFilesConfig() string {
	var out strings.Builder
	out.WriteString("vrrp_instance VI_1 {\n    state MASTER\n    interface ens160\n    virtual_router_id 51\n    priority 100\n    advert_int 1\n" +
		"    virtual_ipaddress {\n        192.168.25.100\n    }\n}\n" +
		"virtual_server 192.168.25.100 80 {\n    delay_loop 2\n    lb_algo rr\n    lb_kind DR\n    protocol TCP\n")
	for n := range 220 {
		fmt.Fprintf(&out, "    real_server %s 80 {\n        TCP_CHECK {\n            connect_timeout 10\n        }\n    }\n", fewFilesServer(n))
	}
	return out.String() + "}\n"
}

// fewFilesServer is the address of a server: the first 20 are good.
func fewFilesServer(n int) netip.Addr {
	if n < 20 {
		return netip.AddrFrom4([4]byte{192, 168, 25, byte(200 + n)})
	}
	return netip.AddrFrom4([4]byte{10, 77, 0, byte(n)})
}

// With a hard limit of open files that may not be raised and is too low for all checks, no
// good server is taken out for those that answer nothing. What to do is said at the start, and
// once when checks cannot be made; the director can be asked all the time.
func TestFewFilesTakeNoGoodServerOut(t *testing.T) {
	t.Parallel()
	limited := filepath.Join(t.TempDir(), "weir")
	if err := os.WriteFile(limited, []byte("#!/bin/sh\nulimit -n 208\nexec setpriv --bounding-set=-sys_resource "+executable+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: limited},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: fewFilesConfig()},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), RealServer: []string{"start", "--vip", "192.168.25.100", "--state", filepath.Join(t.TempDir(), "realserver.json")}},
		},
		Prepare: func(c *lab.Cluster) error {
			for n := range 20 {
				if err := c.Node("node02").Namespace().AddAddr("ens160", netip.PrefixFrom(fewFilesServer(n), 24)); err != nil {
					return err
				}
			}
			return nil
		},
	})
	c.serve6(c.node02)
	c.must(ip("route", "add", "10.77.0.0/24", "dev", "ens160")(c.node01))
	for n := 20; n < 220; n++ { // frames to an address that no machine has
		c.must(ip("neigh", "add", fewFilesServer(n).String(), "lladdr", "02:00:00:00:ff:01", "dev", "ens160", "nud", "permanent")(c.node01))
	}
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, model.Master, 10*time.Second)
	_, err := c.node01.Wait(c.within(time.Minute), "checks that cannot be made", lab.IsKind(model.ChecksNotMade))
	c.must(err)
	_, err = c.node01.Wait(c.within(time.Minute), "a silent server down", func(e model.Event) bool { return e.Kind == model.RealServerDown })
	c.must(err)
	time.Sleep(15 * time.Second) // each good server's check comes several times
	events, err := c.node01.Happened(c.within(20*time.Second), time.Time{})
	c.must(err)
	told, limit := 0, 0
	for _, e := range events {
		switch {
		case e.Kind == model.ChecksNotMade:
			told++
			if e.Reason != "too many open files" || !strings.Contains(e.Detail("remedy"), "LimitNOFILE=") {
				t.Errorf("told %s", lab.Line(e))
			}
		case e.Kind == model.RealServerDown && strings.HasPrefix(e.RealServer, "192.168.25."):
			t.Errorf("a good server was taken out: %s", lab.Line(e))
		case strings.Contains(e.Message, "the limit of open files is 208"):
			limit++
		}
	}
	if told != 1 || limit != 1 {
		t.Errorf("told %d times that checks cannot be made, and %d times of the limit; want once", told, limit)
	}
}
