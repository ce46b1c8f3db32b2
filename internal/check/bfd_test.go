package check_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/bfd"
	"weir/internal/check"
)

// speaker speaks BFD on the pair's director as these bfd_instances say, until the test ends.
func (p pair) speaker(t *testing.T, text string) *bfd.Speaker {
	t.Helper()
	s := &bfd.Speaker{Log: slog.New(slog.DiscardHandler)}
	p.reconfigure(t, s, text)
	t.Cleanup(func() { s.Close() })
	return s
}

func (p pair) reconfigure(t *testing.T, s *bfd.Speaker, text string) {
	t.Helper()
	cfg, diags := conf.Parse("k.conf", []byte(text))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	p.director.Do(func() {
		if err := s.Set(check.SessionsOf(cfg.BFDs)); err != nil {
			t.Fatal(err)
		}
	})
}

// bird starts BIRD on the pair's server, which speaks BFD with the director at both its
// addresses.
func (p pair) bird(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	config := write(t, dir, "bird.conf", fmt.Sprintf(`
router id 1.1.1.1;
protocol device {}
protocol bfd {
	interface "ens160" { interval 50 ms; idle tx interval 1 s; multiplier 4; };
	neighbor %s dev "ens160" local %s;
	neighbor %s dev "ens160" local %s;
}
`, directorIP, serverIP, directorIP6, serverIP6))
	return p.serve(t, "bird", "-f", "-c", config, "-s", dir+"/ctl")
}

// BFD_CHECK beside BIRD: up within the three-way handshake at a packet a second, down within
// the detection time after BIRD is gone or its packets are lost, and up again.
func TestBFDWithBIRD(t *testing.T) {
	const detection = 4 * 50 * time.Millisecond // BIRD's multiplier and interval, which is longer than min_rx
	for family, addr := range map[string]string{"IPv4": serverIP, "IPv6": serverIP6} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			instance := fmt.Sprintf("bfd_instance west {\nneighbor_ip %s\nmin_rx 20.5\nmin_tx 20.5\nmultiplier 3\n%%s\n}\n", addr)
			s := p.speaker(t, fmt.Sprintf(instance, ""))
			verdicts := followed(t, check.BFD{Name: "west", Sessions: s})
			router := p.bird(t)
			if got := verdictText(t, verdicts); got != "up +0" {
				t.Fatalf("with BIRD: %s, want up", got)
			}

			at := time.Now()
			router.stop()
			v := nextVerdict(t, verdicts)
			if v.Up || v.Reason.Error() != "BFD session is down: control detection time expired" {
				t.Fatalf("BIRD is killed: %+v", v)
			}
			if took := v.At.Sub(at); took < detection/2 {
				t.Errorf("down %s after BIRD's end, want no earlier than the detection time, %s, less the time since its last packet", took, detection)
			}
			router.start()
			if got := verdictText(t, verdicts); got != "up +0" {
				t.Fatalf("BIRD is back: %s, want up", got)
			}

			p.server.Batch("link set ens160 down")
			if got := verdictText(t, verdicts); got != "down: BFD session is down: control detection time expired" {
				t.Fatalf("the link is cut: %s", got)
			}
			p.server.Batch("link set ens160 up")
			if addr == serverIP6 {
				p.server.Batch("address add " + serverIP6 + "/64 dev ens160 nodad")
			}
			if got := verdictText(t, verdicts); got != "up +0" {
				t.Fatalf("the link is back: %s, want up", got)
			}

			// Other times leave the session up; another end makes it another one.
			p.reconfigure(t, s, fmt.Sprintf(instance, "idle_tx 2000\npassive"))
			p.reconfigure(t, s, "")
			p.reconfigure(t, s, fmt.Sprintf(instance, "max_hops 1\nttl 255"))
			if got := verdictText(t, verdicts); got != "up +0" {
				t.Fatalf("the session has begun anew: %s, want up", got)
			}
			select {
			case v := <-verdicts:
				t.Errorf("one more verdict: %+v", v)
			default:
			}
		})
	}
}

func nextVerdict(t *testing.T, verdicts <-chan check.Verdict) check.Verdict {
	t.Helper()
	select {
	case v := <-verdicts:
		return v
	case <-time.After(time.Minute):
		t.Fatal("no verdict within a minute")
		return check.Verdict{}
	}
}

// Two of weir's speakers come up with each other over several hops, both passive or not,
// and a packet that has come too far does not count.
func TestBFDHops(t *testing.T) {
	for name, tt := range map[string]struct {
		own, other string
		up         bool
	}{
		"one hop":                       {"", "", true},
		"passive":                       {"passive", "", true},
		"several hops":                  {"multihop on", "multihop on", true},
		"several hops and one":          {"multihop on", "", false},
		"both passive":                  {"passive", "passive", false},
		"too far":                       {"", "ttl 254", false},
		"too far, and max_hops":         {"max_hops 1", "ttl 254", true},
		"from anywhere":                 {"max_hops -1", "ttl 1\nmax_hops 1", true},
		"a source":                      {"source_ip " + directorIP, "source_ip " + serverIP, true},
		"a source that is not there":    {"source_ip 192.168.25.99", "", false},
		"another source than is spoken": {"", "source_ip 192.168.25.99", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			instance := "bfd_instance west {\nneighbor_ip %s\nmin_rx 10\nmin_tx 10\n%s\n}\n"
			s := p.speaker(t, fmt.Sprintf(instance, serverIP, tt.own))
			q := pair{p.server, p.director}
			q.speaker(t, fmt.Sprintf(instance, directorIP, tt.other))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if !tt.up {
				ctx, cancel = context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
			}
			up := false
			s.Follow(ctx, "west", func(st bfd.Status) {
				if st.Up {
					up = true
					cancel()
				}
			})
			if up != tt.up {
				t.Errorf("the session is up: %v, want %v", up, tt.up)
			}
		})
	}
}

// A port that another program has is an error, and what runs goes on.
func TestBFDPortTaken(t *testing.T) {
	p := newPair(t)
	other := p.speaker(t, "bfd_instance a {\nneighbor_ip 192.0.2.1\n}\n")
	var s bfd.Speaker
	defer s.Close()
	p.director.Do(func() {
		err := s.Set([]bfd.Config{{Name: "b"}})
		if err == nil || !strings.Contains(err.Error(), "listen for BFD: listen udp4 :3784: bind: address already in use") {
			t.Errorf("%v, want that the address is in use", err)
		}
		other.Close()
		if err := s.Set([]bfd.Config{{Name: "b"}}); err != nil {
			t.Errorf("once the other has ended: %v", err)
		}
	})
}
