package cluster

import (
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
	c.waitAnswer(5 * time.Second)
}
