package realserver_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

// crashState names the variable that turns the test binary into the process
// that TestKilledHalfWay kills.
const crashState = "WEIR_TEST_CRASH_STATE"

// crashMethod names the variable that says with which method it starts.
const crashMethod = "WEIR_TEST_CRASH_METHOD"

func TestMain(m *testing.M) {
	if file := os.Getenv(crashState); file != "" {
		if err := startStopForever(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// startStopForever prints a line at the beginning of each round.
func startStopForever(file string) error {
	rs := realserver.New(file)
	for {
		fmt.Println("round")
		if err := startBy(os.Getenv(crashMethod), rs); err != nil {
			return err
		}
		if err := rs.Stop(nil); err != nil {
			return err
		}
	}
}

func startBy(method string, rs *realserver.RealServer) error {
	if method == "tunnel" {
		return rs.StartTunnel(vips{vip, vip2}, byBPF)
	}
	return rs.Start(vips{vip, vip2})
}

// At whatever moment the process dies, another Stop restores the state before the first
// Start.
func TestKilledHalfWay(t *testing.T) {
	for _, method := range []string{"direct", "tunnel"} {
		t.Run(method, func(t *testing.T) { killHalfWay(t, method) })
	}
}

func killHalfWay(t *testing.T, method string) {
	n := nstest.New(t, "crash-"+method)
	nstest.Veth(n, "ens160", n, "peer")
	n.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
	rs := realserver.New(filepath.Join(t.TempDir(), "realserver.json"))
	var before string
	n.Do(func() {
		set(t, "all", "arp_ignore", "3")
		n.IP("address", "add", "192.168.25.101/32", "dev", "lo")
		before = snapshot(t)
	})
	interrupted := 0
	for round := range 30 {
		killed(t, n, rs.StateFile(), method, func(out *bufio.Scanner) {
			for range 1 + round/2%3 {
				if !out.Scan() {
					t.Fatal("the process ended by itself")
				}
			}
			if round%2 == 0 {
				return // killed at the beginning of a round
			}
			// Killed during a change, at a random moment.
			n.Do(func() {
				nstest.WaitFor(t, "a change in the kernel", func() bool { return snapshot(t) != before })
			})
		})
		n.Do(func() {
			if snapshot(t) != before {
				interrupted++
			}
			// Start completes a change that was interrupted, and Stop undoes it.
			if round%3 == 0 {
				must(t, startBy(method, rs))
				wantAttached(t, "ens160", method == "tunnel")
				wantWell(t, rs)
			}
			must(t, rs.Stop(nil))
			check(t, fmt.Sprintf("killed, round %d, then stopped", round), before)
			wantAttached(t, "ens160", false)
		})
	}
	t.Logf("30 kills, %d of them half-way", interrupted)
	if interrupted == 0 {
		t.Error("no kill came half-way: this test proves nothing")
	}
}

// killed runs the process in the namespace until the moment has come, and kills
// it.
func killed(t *testing.T, n *nstest.Namespace, file, method string, moment func(out *bufio.Scanner)) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.Name, os.Args[0])
	cmd.Env = append(os.Environ(), crashState+"="+file, crashMethod+"="+method)
	cmd.Stderr = os.Stderr
	// If this test dies first, the process dies with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal is tied to the starting thread
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Error("the process was not killed")
		}
	}()
	moment(bufio.NewScanner(out))
}
