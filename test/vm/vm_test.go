// Package vm tests weir in a guest with Debian's kernel 6.1, which has the real
// IPVS: see build and run.
package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
)

// root is the project's folder, which is the working directory in the guest.
const root = "../.."

func TestMain(m *testing.M) {
	// Built once, before the tests, so that it does not count for the time of any.
	build := exec.Command("./build")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "make the guest (as root, on Debian 12):", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// guest runs a command in a fresh guest; it returns its output and status.
func guest(t *testing.T, limit time.Duration, command string) (output string, status int) {
	t.Helper()
	return guestWith(t, limit, command)
}

// guestWith is guest with other options of run.
func guestWith(t *testing.T, limit time.Duration, command string, options ...string) (output string, status int) {
	t.Helper()
	began := time.Now()
	c := exec.Command("./run", append(append([]string{"-t", strconv.Itoa(int(limit.Seconds()))}, options...), root, command)...)
	var out bytes.Buffer
	live := io.MultiWriter(&out, os.Stderr) // a guest may run for minutes
	c.Stdout, c.Stderr = live, live
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("%.0f s in the guest: %s", time.Since(began).Seconds(), command)
	return ofLastGuest(out.String()), c.ProcessState.ExitCode()
}

// ofLastGuest is the output without that of a guest that stood still.
func ofLastGuest(output string) string {
	const again = " s: once more\n"
	if i := strings.LastIndex(output, again); i >= 0 {
		return output[i+len(again):]
	}
	return output
}

// program builds a static program into build/guest, and returns its path.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := filepath.Join("build", "guest", name)
	c := exec.Command("go", append(args[:1:1], append([]string{"-o", path}, args[1:]...)...)...)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// A guest returns a command's output and status, and is ended when its time is up.
func TestGuest(t *testing.T) {
	if out, status := guest(t, 5*time.Minute, "uname -r; ipvsadm -Ln; exit 3"); status != 3 ||
		!strings.HasPrefix(out, "6.1.") || !strings.Contains(out, "IP Virtual Server version 1.2.1") {
		t.Errorf("status %d, want 3 and a kernel 6.1 with IPVS", status)
	}
	if _, status := guest(t, 15*time.Second, "sleep 1000"); status != 124 {
		t.Errorf("status %d after the time-out, want 124", status)
	}
	left, err := filepath.Glob(root + "/build/vm/run.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range left { // some may belong to other guests that run
		if _, err := os.Stat("/proc/" + strings.TrimPrefix(filepath.Ext(dir), ".")); err != nil {
			t.Errorf("left behind: %s", dir)
		}
	}
}

// A guest whose emulator crashes before it is up is started once more.
func TestGuestStartsOnceMore(t *testing.T) {
	c := exec.CommandContext(t.Context(), "./run", "-t", "120", root, "echo it is up")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	nstest.WaitFor(t, "an emulator runs, and crashes", func() bool { return signalEmulator(t, c.Process.Pid, syscall.SIGSEGV) })
	if err := c.Wait(); err != nil || !strings.HasSuffix(out.String(), "before the guest was up: once more\nit is up\n") {
		t.Errorf("%v, and the output is\n%s", err, &out)
	}
}

// A guest that stands still, before it is up or later, is started once more, and only the second
// output counts.
func TestGuestThatStandsStill(t *testing.T) {
	for _, when := range []string{"before it is up", "later"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			c := exec.CommandContext(t.Context(), "./run", "-t", "120", "-s", "10", root, "echo it is up; [ -e /vm/before ] || { touch /vm/before; sleep 1000; }")
			var out bytes.Buffer
			c.Stdout, c.Stderr = &out, &out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprintf("%s/build/vm/run.%d/before", root, c.Process.Pid)
			nstest.WaitFor(t, "an emulator runs, and is stopped", func() bool {
				if when == "later" {
					if _, err := os.Stat(before); err != nil {
						return false
					}
				}
				return signalEmulator(t, c.Process.Pid, syscall.SIGSTOP)
			})
			if when != "later" { // the second guest's command is not to stand still
				if err := os.WriteFile(before, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Wait(); err != nil || ofLastGuest(out.String()) != "it is up\n" {
				t.Errorf("%v, and the output is\n%s", err, &out)
			}
		})
	}
}

// signalEmulator signals the emulator of a run; it returns false where there is none yet.
func signalEmulator(t *testing.T, run int, sig syscall.Signal) bool {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		line, _ := os.ReadFile(name) // the process may have ended
		if !bytes.HasPrefix(line, []byte("qemu-system")) || !bytes.Contains(line, fmt.Appendf(nil, "/run.%d/", run)) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(name, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		return syscall.Kill(pid, sig) == nil
	}
	return false
}

// fixtures are tests of the data plane that also run on Linux 6.1: that the verifier accepts
// the programs, that links and filters are attached and detached, and that packets of each
// kind are forwarded correctly. Each takes seconds there, for the verifier and for making the
// network, so that only few are run.
var fixtures = []string{
	"TestVerifierWork$", "TestAttach$", "TestAttachmentOutlivesTheProcess$",
	"TestDirectRouting$/(xdp|tc)/IPv4_TCP_SYN$",
	"TestMasquerade$/(xdp_IPv4_TCP|tc_IPv6_UDP)$",
	"TestFarEnds$", "TestOwnPackets$", "TestDirectorAsItsOwnClient$", "TestClientIsToldThatAServerIsUnreachable$/^no_route",
	"TestDirectorAsItsOwnServer$/^(tc|native|generic)$/[0-9]_bytes$",
	"TestGolden$/^(wrr-7-5-3-2|persist-fwmark-mask)$",
}

func TestPackets(t *testing.T) {
	path := program(t, "dataplane.test", "test", "-c", "./internal/dataplane")
	var commands []string
	for _, f := range fixtures {
		commands = append(commands, fmt.Sprintf("../../%s -test.v -test.run '^%s'", path, f))
	}
	out, status := guest(t, 30*time.Minute, "cd internal/dataplane && "+strings.Join(commands, " && "))
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, f := range fixtures {
		name, _, _ := strings.Cut(f, "$")
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
}

// Random scenarios have the same outcome with IPVS and with weir, and so have the recorded
// ones that once had not (testdata/found). SEED (one or more numbers) and N (scenarios a seed)
// select the random ones; without SEED there is a new seed, which is printed.
func TestScenarios(t *testing.T) {
	path := program(t, "play", "build", "./test/vm/play")
	seeds, n := strings.Fields(os.Getenv("SEED")), os.Getenv("N")
	if len(seeds) == 0 {
		seeds = []string{strconv.FormatUint(uint64(rand.Uint32()), 10)}
	}
	if n == "" {
		n = "12"
	}
	for _, seed := range seeds {
		t.Run("seed "+seed, func(t *testing.T) {
			t.Parallel()
			play(t, fmt.Sprintf("%s -seed %s -n %s", path, seed, n))
		})
	}
	t.Run("fixed", func(t *testing.T) {
		t.Parallel()
		play(t, path+" test/conformance/testdata/found/*.txt")
	})
}

// play has a guest play scenarios. It has one processor: on two, IPVS may make the template
// of a persistent client twice.
func play(t *testing.T, command string) {
	out, status := guestWith(t, 2*time.Hour, command, "-c", "1")
	if status != 0 || !strings.Contains(out, " 0 differ") {
		t.Errorf("status %d; a scenario is played again, as a file, by\n"+
			"  CGO_ENABLED=0 go build -o build/guest/play ./test/vm/play && test/vm/run . 'build/guest/play FILE'\n"+
			"the end of what was printed:\n%s", status, last(out, 100))
	}
}

// last returns the last n lines of a text.
func last(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
