package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The story's bounds follow from these figures; the seed's files must say so.
func TestSeedFigures(t *testing.T) {
	opts, err := SeedCluster(Options{})
	if err != nil {
		t.Fatal(err)
	}
	inSeconds := func(d time.Duration) string { return fmt.Sprintf("%d", d/time.Second) }
	for i, priority := range []int{seedPriority, seedStandby} {
		node := opts.Nodes[i]
		for keyword, want := range map[string][]string{
			"priority":           {fmt.Sprint(priority)},
			"advert_int":         {inSeconds(seedAdvert)},
			"delay_loop":         {inSeconds(seedDelayLoop)},
			"connect_timeout":    {inSeconds(seedConnect), inSeconds(seedConnect)},
			"nb_get_retry":       {fmt.Sprint(seedRetries), fmt.Sprint(seedRetries)},
			"delay_before_retry": {inSeconds(seedRetryWait), inSeconds(seedRetryWait)},
			"weight":             {fmt.Sprint(seedWeight1), fmt.Sprint(seedWeight2)},
			"interface":          {opts.Device},
			"virtual_server":     {opts.Target.Addr().String()},
			"real_server":        {opts.Nodes[0].Addr.Addr().String(), opts.Nodes[1].Addr.Addr().String()},
		} {
			var got []string
			for _, m := range regexp.MustCompile(`(?m)^\s*`+keyword+`\s+([\w.]+)`).FindAllStringSubmatch(node.Config, -1) {
				got = append(got, m[1])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", keyword, node.Name, diff)
			}
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := &report{out: &out}
	r.begin("start")
	r.check("", "node01 master after 1.6 s, node02 backup", true)
	r.end()
	r.begin("node01 dies")
	r.check("", "VIP on node02 after 2.9 s (bound 3.8 s)", true)
	r.check("its web server", "out after 56.4 s (bound 55.0 s); until then 3,162 of 9,482 requests went to it: 3,162 timed out", false)
	r.end()
	want := ` 1  start                     node01 master after 1.6 s, node02 backup        ok
 2  node01 dies               VIP on node02 after 2.9 s (bound 3.8 s)         ok
    its web server            out after 56.4 s (bound 55.0 s); until then FAILED
                              3,162 of 9,482 requests went to it: 3,162
                              timed out
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if r.failed != 1 || r.steps != 2 {
		t.Errorf("%d of %d steps failed, want 1 of 2", r.failed, r.steps)
	}
	for line := range strings.Lines(out.String()) {
		if len(strings.TrimSuffix(line, "\n")) > reportWidth {
			t.Errorf("a line of more than %d columns: %q", reportWidth, line)
		}
	}
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.log")
	log := newLog(path)
	if log.Mark() != 0 {
		t.Errorf("a log without a file has mark %d", log.Mark())
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write := func(text string) {
		t.Helper()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("warning: nat_mask has no effect\n")
	write(`{"time":"2026-01-02T03:04:05.678Z","level":"INFO","msg":"vrrp state changed","instance":"VI_1","from":"BACKUP","to":"MASTER"}` + "\n")
	mark := log.Mark()
	write(`{"time":"2026-01-02T03:04:06Z","level":"WARN","msg":"real server",`)
	if got := log.Mark(); got != mark || mark != 2 {
		t.Errorf("marks before and within a half-written line are %d and %d, want 2", mark, got)
	}
	write(`"real_server":"10.9.0.1:80","state":"down","tries":4}` + "\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	isDown := func(r Record) bool { return r.Attrs["state"] == "down" }
	down, err := log.Wait(ctx, mark, nil, "down", isDown)
	if err != nil || down.Attrs["tries"] != "4" {
		t.Errorf("the record is %+v, %v", down, err)
	}
	want := []string{
		"03:04:05.678 vrrp state changed  from=BACKUP  instance=VI_1  to=MASTER",
		"03:04:06.000 real server (WARN)  real_server=10.9.0.1:80  state=down  tries=4",
	}
	if diff := cmp.Diff(want, log.Tail(5)); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}
