package drift

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errBusy = errors.New("device or resource busy")

// One look a second: the drifts that each finds, all lines of the log, and the counts.
func TestLedger(t *testing.T) {
	const ok, fails, nothing = "repaired", "fails", "nothing"
	for _, tt := range []struct {
		name  string
		looks []string
		want  []string // messages
		count Count
	}{
		{"repaired at once", []string{ok, nothing, nothing}, []string{"drift repaired"}, Count{1, 1}},
		{"a repair that fails is told when it begins and when it ends",
			[]string{fails, fails, fails, ok, nothing},
			[]string{"drift cannot be repaired, trying on", "drift repaired"}, Count{1, 1}},
		{"one that ends by itself",
			[]string{fails, fails, nothing, nothing},
			[]string{"drift cannot be repaired, trying on", "drift is gone"}, Count{1, 0}},
		{"somebody does it again and again",
			[]string{ok, ok, ok, ok, ok, ok},
			[]string{"drift repaired", "drift comes again: another program may be changing what weir sets"}, Count{6, 6}},
		{"repaired and failing by turns",
			[]string{ok, fails, ok, fails, ok, fails, ok},
			[]string{"drift repaired", "drift cannot be repaired, trying on", "drift repaired"}, Count{4, 4}},
		{"no drift", []string{nothing, nothing}, nil, Count{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				l := NewLedger(logTo(&log))
				for _, look := range tt.looks {
					switch look {
					case ok:
						l.Note("vips", "192.0.2.100", nil)
					case fails:
						l.Note("vips", "192.0.2.100", errBusy)
					}
					l.Done()
					time.Sleep(time.Second)
				}
				if got := messages(log.String()); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Errorf("said %q, want %q", got, tt.want)
				}
				if got := l.Counts()["vips"]; got != tt.count {
					t.Errorf("counted %s, want %s", got, tt.count)
				}
			})
		})
	}
}

// A drift that comes after a quiet minute is logged as a new one.
func TestNewsAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := NewLedger(logTo(&log))
		for range 3 {
			l.Note("vips", "192.0.2.100", nil)
			for range 61 {
				l.Done()
				time.Sleep(time.Second)
			}
		}
		if got := messages(log.String()); len(got) != 3 || got[2] != "drift repaired" {
			t.Errorf("said %q, want the repair three times", got)
		}
	})
}

// Many drifts in one look, as after a table was emptied, do not fill the log.
func TestManyAtOnce(t *testing.T) {
	var log bytes.Buffer
	l := NewLedger(logTo(&log))
	for i := range 5000 {
		l.Note("servers", fmt.Sprint(i), nil)
	}
	l.Done()
	if got := messages(log.String()); len(got) != mostTold+1 || !strings.Contains(log.String(), "more=4990") {
		t.Errorf("said %q in %d lines, want %d and that there are 4990 more", got[len(got)-1], len(got), mostTold)
	}
	if got := l.Counts()["servers"]; got != (Count{5000, 5000}) {
		t.Errorf("counted %s, want them all", got)
	}
}

func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// messages are the messages of a log, without their attributes.
func messages(log string) (all []string) {
	for line := range strings.Lines(log) {
		_, rest, _ := strings.Cut(line, "msg=")
		message, _, quoted := strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
		if !quoted {
			message, _, _ = strings.Cut(rest, " ")
		}
		all = append(all, message)
	}
	return all
}
