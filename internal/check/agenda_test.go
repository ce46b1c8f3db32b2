package check

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// due is what an agenda has handed over at an instant, in the order of the alphabet.
type due struct {
	at  time.Duration
	all string
}

// followed runs an agenda for two minutes, and returns what it handed over.
func followed(t *testing.T, instant func(at, wait time.Duration) time.Duration, fill func(a *agenda[string])) (got []due) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex // instants that follow each other may have two goroutines
		a := newAgenda(instant, func(all []string) {
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(all)
			got = append(got, due{time.Since(began), strings.Join(all, "")})
		})
		time.Sleep(3 * time.Millisecond)
		fill(a)
		time.Sleep(2 * time.Minute)
		a.end()
	})
	return got
}

// Turns of an instant are due together: up to a twentieth of their wait earlier. One of less than
// a second stays as it is. Deadlines are up to 20 ms later.
func TestAgenda(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	waits := []struct {
		name string
		wait time.Duration
	}{
		{"a", time.Minute}, {"b", 0}, {"c", ms(999)}, {"d", ms(1000)}, {"e", ms(1001)}, {"f", ms(1049)},
		{"g", ms(2000)}, {"h", ms(5000)}, {"i", ms(60190)}, {"j", ms(300)},
	}
	for _, of := range []struct {
		instant func(at, wait time.Duration) time.Duration
		want    []due
	}{
		{earlier, []due{
			{ms(3), "b"}, {ms(303), "j"}, {ms(1000), "de"}, {ms(1002), "c"}, {ms(1050), "f"}, {ms(2000), "g"},
			{ms(5000), "h"}, {ms(60000), "ai"},
		}},
		{later, []due{
			{ms(20), "b"}, {ms(320), "j"}, {ms(1020), "cde"}, {ms(1060), "f"}, {ms(2020), "g"},
			{ms(5020), "h"}, {ms(60020), "a"}, {ms(60200), "i"},
		}},
	} {
		got := followed(t, of.instant, func(a *agenda[string]) {
			for _, e := range waits {
				a.put(&entry[string]{of: e.name}, e.wait)
			}
		})
		if !slices.Equal(got, of.want) {
			t.Errorf("got %v, want %v", got, of.want)
		}
	}
}

// An entry that is removed is not due, whatever its place among those of its instant.
func TestAgendaRemoves(t *testing.T) {
	for _, removed := range []string{"a", "b", "c", "d", "abc", "bd", "abcd"} {
		got := followed(t, earlier, func(a *agenda[string]) {
			all := map[string]*entry[string]{}
			for _, name := range []string{"a", "b", "c", "d"} {
				all[name] = &entry[string]{of: name}
				wait := 10 * time.Second
				if name == "d" {
					wait /= 2
				}
				a.put(all[name], wait)
			}
			for _, name := range strings.Split(removed, "") {
				if !a.remove(all[name]) {
					t.Errorf("%s was not in the agenda", name)
				}
				if a.remove(all[name]) {
					t.Errorf("%s was in the agenda twice", name)
				}
			}
		})
		var want []due
		for at, names := range map[time.Duration]string{5 * time.Second: "d", 10 * time.Second: "abc"} {
			left := strings.Map(func(r rune) rune {
				if strings.ContainsRune(removed, r) {
					return -1
				}
				return r
			}, names)
			if left != "" {
				want = append(want, due{at, left})
			}
		}
		slices.SortFunc(want, func(a, b due) int { return int(a.at - b.at) })
		if !slices.Equal(got, want) {
			t.Errorf("without %s: got %v, want %v", removed, got, want)
		}
	}
}
