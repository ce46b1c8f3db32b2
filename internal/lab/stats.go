package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stats is what clients saw in a stretch of time.
type Stats struct {
	From, To time.Time
	// Requests counts what was asked, By the answers by who gave them, and
	// Failed the failures by kind.
	Requests int
	By       map[string]int
	Failed   map[Failure]int
	// LongestGap is the longest time without a success, the stretch's ends
	// included.
	LongestGap time.Duration
	// Median, P99 and Max are the latencies of the successes.
	Median, P99, Max time.Duration
}

// summarise counts requests that started between two moments, in any order.
func summarise(results []Result, from, to time.Time) Stats {
	s := Stats{From: from, To: to, By: map[string]int{}, Failed: map[Failure]int{}}
	var latencies []time.Duration
	successes := []time.Time{from}
	for _, r := range results {
		s.Requests++
		if r.Failure != "" {
			s.Failed[r.Failure]++
			continue
		}
		s.By[r.By]++
		latencies = append(latencies, r.Latency)
		successes = append(successes, r.End())
	}
	successes = append(successes, to)
	slices.SortFunc(successes, time.Time.Compare)
	for i := range successes[1:] {
		s.LongestGap = max(s.LongestGap, successes[i+1].Sub(successes[i]))
	}
	if n := len(latencies); n > 0 {
		slices.Sort(latencies)
		s.Median, s.P99, s.Max = latencies[n/2], latencies[n*99/100], latencies[n-1]
	}
	return s
}

// Answered counts the successes.
func (s Stats) Answered() int {
	n := 0
	for _, count := range s.By {
		n += count
	}
	return n
}

// Failures counts the failures of all kinds.
func (s Stats) Failures() int { return s.Requests - s.Answered() }

// FailuresText tells the failures by kind: "38 timed out, 2 refused", or
// "0 failed".
func (s Stats) FailuresText() string {
	var parts []string
	for _, kind := range Failures {
		if n := s.Failed[kind]; n > 0 {
			parts = append(parts, count(n)+" "+string(kind))
		}
	}
	if parts == nil {
		return "0 failed"
	}
	return strings.Join(parts, ", ")
}

func (s Stats) String() string {
	return fmt.Sprintf("%s requests, %s, longest gap %s", count(s.Requests), s.FailuresText(), Seconds(s.LongestGap))
}

// Seconds is a duration in seconds, as precise as one cares: "41 s", "2.9 s",
// "0.02 s".
func Seconds(d time.Duration) string {
	s := d.Seconds()
	switch {
	case s >= 99.5:
		return fmt.Sprintf("%.0f s", s)
	case s >= 0.1:
		return fmt.Sprintf("%.1f s", s)
	case s >= 0.01:
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.3f s", s)
}

// count writes a number with commas: 1,203.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
