package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pagesOf is a server of several pages, each of which is bad at some times.
type pagesOf struct {
	round
	start time.Time
	bad   func(page int, since time.Duration) bool
	asked []string
}

func (p *pagesOf) String() string { return "HTTP_GET 192.0.2.2:80" }

func (p *pagesOf) Check(context.Context) (Weight, error) {
	since := time.Since(p.start)
	p.asked = append(p.asked, fmt.Sprintf("%v:%c", since.Seconds(), 'a'+p.next))
	if p.bad(p.next, since) {
		return Weight{}, p.tried(errors.New("bad"))
	}
	return Weight{}, p.tried(nil)
}

// Which page is asked for when, and what follows, as keepalived does it: delay_loop 6,
// retry 1, delay_before_retry 3.
func TestRound(t *testing.T) {
	never := func(int, time.Duration) bool { return false }
	second := func(from, to time.Duration) func(int, time.Duration) bool {
		return func(page int, since time.Duration) bool {
			return page == 1 && since >= from*time.Second && since < to*time.Second
		}
	}
	for _, tt := range []struct {
		name        string
		pages       int
		fast, alpha bool
		loop        time.Duration
		bad         func(int, time.Duration) bool
		asked, want string
	}{
		{"one after the other", 3, false, false, 6, never, "1:a 7:b 13:c 19:a 25:b", ""},
		{"each has to be good first", 3, false, true, 6, never, "1:a 7:b 13:c 19:a", "13 up"},
		{"without a delay", 3, true, true, 6, never, "1:a 1:b 1:c 7:a 13:b", "1 up"},
		{"a page fails, and is tried again", 3, false, false, 6, second(25, 27), "1:a 7:b 13:c 19:a 25:b 28:b 34:c 40:a", ""},
		{"a page fails, and only it is asked for; then all", 2, false, false, 6, second(19, 35),
			"1:a 7:b 13:a 19:b 22:b 28:b 34:b 40:b 46:a 52:b 58:a", "22 down 52 up"},
		{"the same, without a delay", 2, true, false, 6, second(19, 35),
			"1:a 1:b 7:a 13:b 19:a 25:b 28:b 34:b 40:b 40:a 40:b 46:a", "28 down 40 up"},
		{"the longer delay counts while it is down", 1, false, false, 1, func(_ int, s time.Duration) bool { return s >= 3*time.Second && s < 8*time.Second },
			"1:a 2:a 3:a 6:a 9:a 10:a 11:a", "6 down 10 up"},
		{"bad from the start", 2, false, false, 6, second(0, 20), "1:a 7:b 13:b 19:b 25:b 31:a 37:b 43:a", "7 down 37 up"},
		{"bad from the start, alpha", 2, false, true, 6, second(0, 20), "1:a 7:b 13:b 19:b 25:b 31:a 37:b 43:a", "7 down 37 up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pagesOf{round: round{pages: tt.pages, fast: tt.fast}, start: time.Now(), bad: tt.bad}
				var got []string
				r := Runner{
					Checker: p, Log: slog.New(slog.DiscardHandler),
					Timing: Timing{DelayLoop: tt.loop * time.Second, Retry: 1, DelayBeforeRetry: 3 * time.Second, Alpha: tt.alpha},
					Report: func(v Verdict) {
						state := map[bool]string{true: "up", false: "down"}[v.Up]
						got = append(got, fmt.Sprint(time.Since(p.start).Seconds(), " ", state))
					},
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
				if asked := strings.Join(p.asked, " "); !strings.HasPrefix(asked, tt.asked+" ") {
					t.Errorf("asked for %.120s, want %s", asked, tt.asked)
				}
				if got := strings.Join(got, " "); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}
