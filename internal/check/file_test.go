package check_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
)

// fileCheck is a FILE_CHECK as the configuration has it, with words of its own.
func fileCheck(t *testing.T, path, tracked, own string) check.Source {
	t.Helper()
	text := fmt.Sprintf("track_file drain {\nfile %s\n%s\n}\nvirtual_server 192.0.2.1 80 {\nprotocol TCP\nreal_server 192.0.2.2 80 {\nFILE_CHECK {\ntrack_file drain\n%s\n}\n}\n}\n", path, tracked, own)
	cfg, diags := conf.Parse("k.conf", []byte(text))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	c := cfg.VirtualServers[0].RealServers[0].Checks[0]
	row, _ := check.RowOf(c.Kind)
	return row.Follow(c, &check.Shared{})
}

// What the file's number says follows from the weight: that of the check, or else that of
// the track_file. A number that means the same is no new verdict.
func TestFileCheck(t *testing.T) {
	type step struct {
		number string
		want   string // empty where there is no new verdict
	}
	for name, tt := range map[string]struct {
		tracked, own string
		steps        []step
	}{
		"the default weight of 1": {"", "", []step{{"5", "up +5"}, {"-2147483648", "down: track_file drain has the number -2147483648"}, {"-7", "up -7"}}},
		"the track_file's weight": {"weight -2", "", []step{{"5", "up -10"}, {"0", "up +0"}}},
		"turned round":            {"weight -2 reverse", "", []step{{"5", "up +10"}}},
		"a weight of its own":     {"weight -2 reverse", "weight 3", []step{{"5", "up +15"}, {"6", "up +18"}}},
		"weight 0":                {"", "weight 0", []step{{"0", "up +0"}, {"5", "down: track_file drain has the number 5"}, {"6", ""}, {"0", "up +0"}}},
		"weight 0 of the file":    {"weight 0", "", []step{{"5", "down: track_file drain has the number 5"}, {"0", "up +0"}}},
		"weight 0 turned round":   {"", "weight 0 reverse", []step{{"0", "down: track_file drain has the number 0"}, {"5", "up +0"}, {"6", ""}, {"0", "down: track_file drain has the number 0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "drain")
			put := func(number string) {
				if err := os.WriteFile(path+".new", []byte(number+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			}
			put(tt.steps[0].number)
			verdicts := followed(t, fileCheck(t, path, tt.tracked, tt.own))
			for i, s := range tt.steps {
				if i > 0 {
					put(s.number)
				}
				if s.want == "" {
					continue
				}
				if got := verdictText(t, verdicts); got != s.want {
					t.Fatalf("number %s: %s, want %s", s.number, got, s.want)
				}
			}
		})
	}
}

// followed runs a source until the test ends.
func followed(t *testing.T, s check.Source) <-chan check.Verdict {
	t.Helper()
	verdicts := make(chan check.Verdict, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(v check.Verdict) { verdicts <- v }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return verdicts
}

// verdictText waits for a verdict.
func verdictText(t *testing.T, verdicts <-chan check.Verdict) string {
	t.Helper()
	select {
	case v := <-verdicts:
		if !v.Up {
			return fmt.Sprintf("down: %v", v.Reason)
		}
		return fmt.Sprintf("up %+d", v.Weight.N)
	case <-time.After(time.Minute):
		t.Fatal("no verdict within a minute")
		return ""
	}
}
