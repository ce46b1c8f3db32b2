package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

// shell runs a line of a shell on a node, with weir and its run folder as $WEIR and $RUN
// and the node's file as $CONF, and returns the output and the exit code.
func (c *cluster) shell(line string) (string, int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.within(30*time.Second), "bash", "-c", line)
	cmd.Env = append(os.Environ(), "WEIR="+executable, "RUN="+c.node01.RunDir(), "CONF="+c.node01.ConfigFile())
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// What a caller pipes is what weir takes up, and a file that asks for nothing is refused,
// by each of the ways to ask for a reload.
func TestReloadReadsWhatTheCallerMeant(t *testing.T) {
	t.Parallel()
	good := wish{weights: [3]int{1, 2, -1}}
	c := startWish(t, good)
	other := filepath.Join(t.TempDir(), "other.conf")
	c.must(os.WriteFile(other, []byte(wish{weights: [3]int{1, 3, -1}}.file("node01")), 0o600))
	for _, tt := range []struct{ name, line, want string }{
		{"plan of a pipe", `$WEIR plan --run-dir $RUN <(cat ` + other + `)`, "weight 2 -> 3"},
		{"plan of standard input", `$WEIR plan --run-dir $RUN - < ` + other + ``, "Apply: weir reload -"},
		{"plan of a file behind a descriptor", `$WEIR plan --run-dir $RUN /dev/stdin < ` + other + ``, "weight 2 -> 3"},
		{"plan of no name", `$WEIR plan --run-dir $RUN ""`, "the name of the file is empty"},
		{"plan of a device without an end", `$WEIR plan --run-dir $RUN /dev/zero`, "longer than 64 MiB"},
		{"reload of nothing", `$WEIR reload --run-dir $RUN /dev/stdin < /dev/null`, "say weir reload --empty"},
		{"reload of a pipe", `cat ` + other + ` | $WEIR reload --run-dir $RUN /dev/stdin`, "weight 2 -> 3"},
		{"a second time", `$WEIR reload --run-dir $RUN <(cat ` + other + `)`, "No change"},
		{"reload of the file", `$WEIR reload --run-dir $RUN`, "weight 3 -> 2"},
	} {
		if out, code := c.shell(tt.line); !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit code %d, want %q in\n%s", tt.name, code, tt.want, out)
		}
	}
	mark := time.Now()
	c.write(c.node01, "")
	c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
	_, err := c.node01.WaitFrom(c.within(5*time.Second), mark, "the refusal", lab.IsKind(model.ReloadRefused))
	c.must(err)
	if st := c.Requests(c.within(10*time.Second), 20); st.Failures() > 0 {
		t.Errorf("after a file that asks for nothing: %s", st)
	}
	if out, code := c.shell(`$WEIR reload --run-dir $RUN --empty`); code != 0 {
		t.Errorf("a reload of nothing that is meant: exit code %d\n%s", code, out)
	}
}

// A FIFO in the place of the configuration, as a disk that hangs, is refused, and in
// nobody's way: not in that of a plan, nor of SIGTERM.
func TestConfigurationThatIsAFIFO(t *testing.T) {
	t.Parallel()
	c := startWish(t, wish{weights: [3]int{1, 2, -1}})
	good := filepath.Join(t.TempDir(), "good.conf")
	c.must(os.WriteFile(good, []byte(wish{weights: [3]int{1, 3, -1}}.file("node01")), 0o600))
	c.must(os.Remove(c.node01.ConfigFile()))
	c.must(syscall.Mkfifo(c.node01.ConfigFile(), 0o600))
	mark := time.Now()
	c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
	_, err := c.node01.WaitFrom(c.within(15*time.Second), mark, "the refusal", lab.IsKind(model.ReloadRefused))
	c.must(err)
	if out, code := c.weir(c.node01, "plan", good); code != 2 {
		t.Errorf("plan of a good file: exit code %d\n%s", code, out)
	}
	c.must(c.node01.TerminateWeir(c.within(10 * time.Second)))
}

// A log whose reader has ended, that nobody empties, or whose disk is full: weir starts with
// what it has to say of its file, reloads and ends as with any other.
func TestLogWithoutAReader(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]string{"its reader has ended": "> >(exec true)", "its reader reads nothing": "> >(exec sleep 60 >/dev/null 2>&1)", "its disk is full": ">/dev/full"} {
		t.Run(name, func(t *testing.T) {
			program := wrapped(t, "exec "+executable+` "$@" --log text 2`+log)
			c := start(t, func(o *lab.ClusterOptions) {
				o.Executable = program
				for i := range o.Nodes { // more to say than there is room in a pipe
					for n := range 1000 {
						o.Nodes[i].Config += fmt.Sprintf("include /nonexistent/%d/*.conf\n", n)
					}
				}
			})
			for range 20 {
				mark := time.Now()
				c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
				_, err := c.node01.WaitFrom(c.within(15*time.Second), mark, "a reload", lab.IsKind(model.Reloaded))
				c.must(err)
			}
			c.wantSplit(100, 200)
			c.must(c.node01.StopWeir(c.within(10 * time.Second)))
		})
	}
}

// Signals that mean nothing to weir, and to some other program something, do nothing.
func TestSignalsOfOtherPrograms(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for _, s := range []syscall.Signal{
		syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGTTIN, syscall.SIGTTOU,
		syscall.SIGXFSZ, syscall.SIGXCPU, syscall.SIGIO, syscall.SIGWINCH, syscall.SIGPWR, syscall.SIGCHLD, syscall.Signal(36),
	} {
		c.must(syscall.Kill(c.node01.Weir().Pid(), s))
		if out, code := c.weir(c.node01, "plan"); code != 0 {
			t.Fatalf("after %s: weir plan ends with %d:\n%s", s, code, out)
		}
	}
	c.wantSplit(100, 200)
}

// With --log json every line is JSON, diagnostics included, and the first one has the version.
func TestJSONLogIsJSONAlone(t *testing.T) {
	t.Parallel()
	remark := "vrrp_sync_group G {\n    group {\n        VI_1\n    }\n}\n" // warned of: not yet
	c := start(t, func(o *lab.ClusterOptions) {
		for i := range o.Nodes {
			o.Nodes[i].Config = remark + o.Nodes[i].Config
		}
	})
	mark := time.Now()
	c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
	_, err := c.node01.WaitFrom(c.within(15*time.Second), mark, "a warning", lab.IsKind(model.ConfigurationFlaw))
	c.must(err)
	text, err := os.ReadFile(c.node01.Log.Path())
	c.must(err)
	first := true
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("a line that is no JSON: %s", line)
		}
		if first && (record["version"] == nil || record["version"] == "") {
			t.Errorf("the first line has no version: %s", line)
		}
		first = false
	}
}

// A removed run folder comes again, and with it every verb that asks.
func TestLostRunFolder(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.must(os.RemoveAll(c.node01.RunDir()))
	nstest.WaitFor(t, "weir answers again", func() bool {
		_, code := c.weir(c.node01, "plan")
		return code == 0
	})
	c.wantSplit(100, 200)
}
