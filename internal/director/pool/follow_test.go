package pool

import (
	"context"
	"fmt"
	"testing"

	"weir/conf"
	"weir/internal/check"
)

// told is a Source that reports once and then waits.
type told struct{ path string }

func (s told) String() string { return "FILE_CHECK " + s.path }

func (s told) Run(ctx context.Context, report func(check.Verdict)) error {
	report(check.Verdict{Up: true, Weight: check.Weight{N: len(s.path)}})
	<-ctx.Done()
	return nil
}

// A FILE_CHECK is told of its file: another file in the track_file, or another weight where
// it has none of its own, is another check. Nothing else of the track_file is.
func TestFileChecksFollowTheirFiles(t *testing.T) {
	read := func(file string) []conf.VirtualServer {
		text := fmt.Sprintf("track_file F {\n%s\n}\nvirtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 192.0.2.11 80 {\nFILE_CHECK {\ntrack_file F\n}\n}\n}\n", file)
		cfg, diags := conf.Parse("k.conf", []byte(text))
		if cfg == nil {
			t.Fatal(diags.All())
		}
		return cfg.VirtualServers
	}
	var followed []string
	running, verdicts := map[string]bool{}, make(chan check.Verdict, 8)
	k := Checks{
		Follow: func(c conf.Check) check.Source {
			followed = append(followed, fmt.Sprintf("%s weight %d", c.File.Path, c.File.Weight))
			return told{c.File.Path}
		},
		Report: func(_ *Checker, v check.Verdict) { verdicts <- v },
		Run: func(task func(context.Context) error) context.CancelFunc {
			name := followed[len(followed)-1]
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- task(ctx) }()
			running[name] = true
			<-verdicts
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("%s: %v", name, err)
				}
				delete(running, name)
			}
		},
	}
	var pools Pools
	for _, step := range []struct{ file, want string }{
		{"file /a", "/a weight 1"},
		{"file /a\ninit_file 1", "/a weight 1"},
		{"file /b", "/b weight 1"},
		{"file /b\nweight 3", "/b weight 3"},
	} {
		next, _ := pools.Next(read(step.file))
		k.Set(pools, next)
		pools = next
		if len(running) != 1 || !running[step.want] {
			t.Errorf("%q: running are %v, want %s", step.file, running, step.want)
		}
	}
	if len(followed) != 3 {
		t.Errorf("followed were %q, want three", followed)
	}
	k.Set(pools, nil)
}
