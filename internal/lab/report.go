package lab

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// The report's columns, of 80: the step's number and title, what was measured,
// and whether it held.
const (
	reportWidth = 80
	titleColumn = 4
	textColumn  = 30
	textWidth   = reportWidth - textColumn - len(" FAILED")
)

// livePeriod is how often a terminal's live lines are drawn again.
const livePeriod = 200 * time.Millisecond

// report tells the steps of a story, a line for each thing measured. On a
// terminal two live lines below show the step that is under way.
type report struct {
	out io.Writer
	// live, where not nil, makes the live status; nil is no terminal.
	live func() string

	steps, failed int
	stepFailed    bool
	title         string // of the step under way, until its first line is told
	running       string // what the live lines say is under way
	since         time.Time

	mu   sync.Mutex
	stop chan struct{}
	done chan struct{}
}

// begin starts a step.
func (r *report) begin(title string) {
	r.steps++
	r.title = fmt.Sprintf("%2d  %s", r.steps, title)
	r.running, r.since = r.title, time.Now()
	r.stepFailed = false
	if r.live == nil {
		return
	}
	r.stop, r.done = make(chan struct{}), make(chan struct{})
	go r.animate(r.stop, r.done)
}

// check tells one thing of the step: what was measured, and whether it held.
// The label stands in the title's place on all lines but the step's first.
func (r *report) check(label, text string, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erase()
	verdict := "ok"
	if !held {
		verdict = "FAILED"
		r.stepFailed = true
	}
	head := strings.Repeat(" ", titleColumn) + label
	if r.title != "" {
		head, r.title = r.title, ""
	}
	for i, line := range wrap(text, textWidth) {
		if i > 0 {
			head, verdict = "", ""
		}
		padded := fmt.Sprintf("%-*s%-*s", textColumn, head, textWidth, line)
		fmt.Fprintln(r.out, strings.TrimRight(fmt.Sprintf("%s %*s", padded, reportWidth-1-len(padded), verdict), " "))
	}
}

// end closes the step.
func (r *report) end() {
	if r.stepFailed {
		r.failed++
	}
	if r.stop != nil {
		close(r.stop)
		<-r.done
		r.stop = nil
	}
}

// animate draws the live lines until the step ends, and erases them.
func (r *report) animate(stop, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(livePeriod)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.erase()
			return
		case <-tick.C:
			r.mu.Lock()
			r.draw()
			r.mu.Unlock()
		}
	}
}

// draw writes the live lines and goes back to the first one's beginning.
func (r *report) draw() {
	head := fmt.Sprintf("%-*s%s", textColumn, r.running, Seconds(time.Since(r.since).Round(100*time.Millisecond)))
	fmt.Fprintf(r.out, "\r\x1b[J%s\n%s\x1b[A\r", cut(head, reportWidth-1), cut("    "+r.live(), reportWidth-1))
}

func (r *report) erase() {
	if r.live != nil {
		fmt.Fprint(r.out, "\r\x1b[J")
	}
}

// line writes a line of its own, outside the steps.
func (r *report) line(format string, args ...any) {
	fmt.Fprintf(r.out, format+"\n", args...)
}

func cut(s string, width int) string {
	if len(s) > width {
		return s[:width]
	}
	return s
}

// wrap breaks a text between words into lines of at most width columns.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
