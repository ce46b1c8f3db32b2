package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// within is how long both have for a step.
	within = 2 * time.Minute
	// settle is how long what a step has led to stays: one more round of checks.
	settle = 1500 * time.Millisecond
	// apart is how far apart both may change: delay_loop and a second.
	apart = 2 * time.Second
	// stalled is how late a timer may be on a machine whose times count.
	stalled = 300 * time.Millisecond
	// tries is how often a story is told that fails on such a machine.
	tries = 2
)

// errSlow says that the machine was too slow for the story to be judged.
var errSlow = errors.New("the machine was too slow")

// errTold says that both have done the same, and told otherwise of it: no machine is too slow for
// that.
var errTold = errors.New("told otherwise")

// tellAlone tells a story in the namespaces of a place. Where it fails and the machine stood
// still meanwhile, which the checks of both see as servers that are silent, it is told once more.
func tellAlone(s story, p place, times bool) error {
	for try := 1; ; try++ {
		st := &stage{story: s, place: p, times: times}
		err := st.tell()
		late := time.Duration(st.lately.Load())
		if err == nil || late <= stalled || errors.Is(err, errTold) {
			return err
		}
		err = fmt.Errorf("%w: a timer was %v late: %v", errSlow, late, err)
		if try == tries {
			return err
		}
		fmt.Println("once more:", strings.SplitN(err.Error(), "\n", 2)[0])
		if _, err := run("rm -rf " + p.dir() + "/{keepalived,weir}"); err != nil {
			return err
		}
	}
}

// stage is a story while it is told.
type stage struct {
	story
	place
	both   [2]*director // keepalived and weir
	marks  [2]int       // of their lines, behind the steps of before
	times  bool
	lately atomic.Int64 // how late a timer has been
}

func (st *stage) tell() error {
	s, p := st.story, st.place
	done := make(chan struct{})
	defer close(done)
	go st.watchClock(done)
	if s.peer != "" {
		if err := st.atServer("begin; start"); err != nil {
			return err
		}
		defer st.atServer("heard; stop")
	}
	keepalived, err := prepare("keepalived", p.keepalived(), p, s)
	if err != nil {
		return err
	}
	defer keepalived.relay.Close()
	weir, err := prepare("weir", p.weir(), p, s)
	if err != nil {
		return err
	}
	defer weir.relay.Close()
	st.both = [2]*director{keepalived, weir}
	if err := keepalived.startKeepalived(); err != nil {
		return err
	}
	defer keepalived.end()
	if err := weir.startWeir(); err != nil {
		return err
	}
	defer weir.end()
	for n, step := range s.steps {
		if err := st.play(n, step); err != nil {
			return fmt.Errorf("step %d (%s): %w%s", n+1, step.change, err, st.logs())
		}
	}
	return nil
}

// logs are what both have logged.
func (st *stage) logs() (text string) {
	for _, d := range st.both {
		log, _ := os.ReadFile(d.dir + "/log")
		text += fmt.Sprintf("\n%s:\n%s", d.name, log)
	}
	return text
}

// watchClock notes how late timers are.
func (st *stage) watchClock(done chan struct{}) {
	const every = 20 * time.Millisecond
	for {
		begun := time.Now()
		select {
		case <-done:
			return
		case <-time.After(every):
			if late := int64(time.Since(begun) - every); late > st.lately.Load() {
				st.lately.Store(late)
			}
		}
	}
}

// play goes one step.
func (st *stage) play(n int, step step) error {
	for _, d := range st.both {
		d.change(step.change)
	}
	if n > 0 {
		if err := st.changeServer(step.change); err != nil {
			return err
		}
	}
	for _, d := range st.both {
		if err := d.reach(step.want); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	tables := [2]string{}
	for i, d := range st.both {
		var err error
		if tables[i], err = d.table(); err != nil || short(tables[i]) != step.want {
			return fmt.Errorf("%s had %q, and now has %q (%v)", d.name, step.want, short(tables[i]), err)
		}
	}
	if tables[0] != tables[1] {
		return fmt.Errorf("keepalived has the table\n%s\nand weir\n%s", tables[0], tables[1])
	}
	return st.compare(n, step)
}

// changeServer has the real server change, or both directors ("here: ").
func (st *stage) changeServer(line string) error {
	if line, is := strings.CutPrefix(line, "here: "); is {
		for _, d := range st.both {
			if _, err := in(d.ns, line); err != nil {
				return err
			}
		}
		return nil
	}
	if st.peer == "" {
		return nil
	}
	return st.atServer(line)
}

// reach waits for a table.
func (d *director) reach(want string) error {
	got, err := "", error(nil)
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got, err = d.look(); err == nil && short(got) == want {
			return nil
		}
	}
	return fmt.Errorf("%s has %q, want %q (%v)", d.name, short(got), want, err)
}

// compare holds what both have told of a step to each other: programs, lines, mails, times.
func (st *stage) compare(n int, step step) error {
	var lines [2][]heard
	var programs, mails [2][]string
	same := func() bool {
		for i, d := range st.both {
			lines[i], programs[i], mails[i] = d.since(st.marks[i]), d.told(), d.mails.Letters()
			if n == 0 || strings.Count(step.change, " ") > 0 && st.peer == "" {
				// Several servers change at once, in no order.
				slices.SortStableFunc(lines[i], func(a, b heard) int { return strings.Compare(a.line, b.line) })
			}
		}
		return slices.EqualFunc(lines[0], lines[1], func(a, b heard) bool { return a.line == b.line }) &&
			slices.Equal(programs[0], programs[1]) && sameMails(mails[0], mails[1])
	}
	for deadline := time.Now().Add(30 * time.Second); !same(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			what := errors.New("done otherwise")
			if slices.EqualFunc(lines[0], lines[1], func(a, b heard) bool { return a.line == b.line }) {
				what = errTold
			}
			return fmt.Errorf("%w: keepalived has told\n%s\nand run %q and sent\n%s\nweir has told\n%s\nand run %q and sent\n%s", what, plain(lines[0]), programs[0], strings.Join(mails[0], ""), plain(lines[1]), programs[1], strings.Join(mails[1], ""))
		}
	}
	for i := range st.both {
		st.marks[i] += len(lines[i])
	}
	if !st.times || n == 0 {
		return nil
	}
	for i, k := range lines[0] {
		if by := lines[1][i].at.Sub(k.at); by.Abs() > apart {
			return fmt.Errorf("weir has told %q %v behind keepalived", k.line, by)
		}
	}
	return nil
}

// sameMails says whether both have sent the same. keepalived sends one about each first check that
// passes, too, which changes nothing. Why SMTP_CHECK fails each says in its own words.
func sameMails(keepalived, weir []string) bool {
	keepalived, weir = withoutReasons(keepalived), withoutReasons(weir)
	for _, letter := range weir {
		i := slices.Index(keepalived, letter)
		if i < 0 {
			return false
		}
		keepalived = slices.Delete(slices.Clone(keepalived), i, i+1)
	}
	first := regexp.MustCompile(`Subject: \[director\] Realserver \S+ of virtual server \S+ - UP\r`)
	return len(slices.Compact(slices.Clone(keepalived))) == len(keepalived) &&
		!slices.ContainsFunc(keepalived, func(letter string) bool { return !first.MatchString(letter) })
}

var reason = regexp.MustCompile(`(=> CHECK failed on service : )(?:[^H]|H[^T]).*( <=)`)

func withoutReasons(letters []string) (all []string) {
	for _, letter := range letters {
		all = append(all, reason.ReplaceAllString(letter, "${1}REASON$2"))
	}
	return all
}

func plain(lines []heard) string {
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "    %s %s\n", l.at.Format("05.000"), l.line)
	}
	return text.String()
}
