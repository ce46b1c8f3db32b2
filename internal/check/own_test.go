package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/netlnk/nstest"
)

// Which errors of the system are the server's, and which are this machine's.
func TestOwn(t *testing.T) {
	here := netip.MustParseAddrPort("127.0.0.1:80")
	for errno, mine := range map[syscall.Errno]bool{
		syscall.ECONNREFUSED: false, syscall.ECONNRESET: false, syscall.ETIMEDOUT: false, syscall.EPIPE: false,
		syscall.EHOSTUNREACH: false, syscall.ENETUNREACH: false, // with a route they come from the network
		syscall.EACCES: false, syscall.EHOSTDOWN: false, syscall.EPROTO: false, syscall.ENOPROTOOPT: false,
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOMEM: true, syscall.ENOBUFS: true,
		syscall.EADDRNOTAVAIL: true, syscall.EADDRINUSE: true, syscall.EPERM: true,
		syscall.EAFNOSUPPORT: true, syscall.ENODEV: true, syscall.EINVAL: true,
	} {
		err := Endpoint{Target: here}.own(t.Context(), fmt.Errorf("connect: %w", errno))
		var o *OwnError
		if errors.As(err, &o) != mine {
			t.Errorf("%v: %T, want this machine's: %v", errno, err, mine)
		}
		if !errors.Is(err, errno) || mine && o.Remedy == "" {
			t.Errorf("%v became %v, with remedy %q", errno, err, o.Remedy)
		}
	}
}

// Without a route nothing can be said about a server.
func TestOwnRoute(t *testing.T) {
	far := netip.MustParseAddrPort("[2001:db8:ffff::1]:80")
	if conn, err := net.Dial("udp", far.String()); err == nil {
		conn.Close()
		t.Log("this machine has a route to everywhere in IPv6")
		return
	}
	err := Endpoint{Target: far}.own(t.Context(), syscall.ENETUNREACH)
	if o := (*OwnError)(nil); !errors.As(err, &o) {
		t.Errorf("got %T %v, want an OwnError", err, err)
	}
}

// Where this machine has no IPv6 address, it is told so, and not that its ports are used up.
func TestOwnWithoutIPv6(t *testing.T) {
	ns := nstest.New(t, "no6")
	ns.Batch("link add br0 type bridge", "link set br0 up", "route add default dev br0")
	ns.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
		far := netip.MustParseAddrPort("[2001:db8::31]:80")
		d := Endpoint{Target: far}.dialer("tcp")
		_, err := d.Dial("tcp", far.String())
		var o *OwnError
		if err = (Endpoint{Target: far}).own(t.Context(), err); !errors.As(err, &o) || !strings.Contains(o.Remedy, "disable_ipv6") {
			t.Errorf("got %v, remedy %+v, want disable_ipv6 named", err, o)
		}
	})
}

// broken is a checker that this machine cannot run at times.
type broken struct{ at func() error }

func (broken) String() string { return "TCP_CHECK 192.168.25.32:80" }

func (b broken) Check(context.Context) (Weight, error) { return Weight{}, b.at() }

// This machine's own trouble is no verdict, however long; it is told when it begins, when
// it becomes another, and when it is over.
func TestOwnTroubleIsNoVerdict(t *testing.T) {
	files := &OwnError{syscall.EMFILE, "raise it"}
	for _, tt := range []struct {
		name string
		say  func(n int) error
		want string
	}{
		{"for a while", func(n int) error {
			if n >= 3 && n < 9 {
				return files
			}
			return nil
		}, "19s too many open files, 55s over"},
		{"another one", func(n int) error {
			switch {
			case n < 2:
				return files
			case n < 4:
				return &OwnError{syscall.ENOMEM, "free it"}
			}
			return nil
		}, "1s too many open files, 13s cannot allocate memory, 25s over"},
		{"between failures", func(n int) error {
			if n%2 == 0 {
				return files
			}
			return errRefused
		}, "1s too many open files, 7s over, 7s down, 13s too many open files, 19s over"},
		{"a panic", func(n int) error {
			if n == 1 {
				panic("a mistake")
			}
			return nil
		}, "7s the check has panicked: a mistake, 13s over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, n := time.Now(), -1
				var told []string
				tell := func(what string) {
					told = append(told, time.Since(start).Truncate(time.Second).String()+" "+what)
				}
				r := Runner{
					Checker: broken{func() error { n++; return tt.say(n) }}, Timing: seed(), Log: slog.New(slog.DiscardHandler),
					Report: func(v Verdict) {
						if !v.Up {
							tell("down")
						}
					},
					Trouble: func(o *OwnError) {
						if o == nil {
							tell("over")
							return
						}
						tell(o.Error())
					},
				}
				ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
				defer cancel()
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
				if got := strings.Join(told, ", "); !strings.HasPrefix(got, tt.want) {
					t.Errorf("told %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A check without room is not made, which is this machine's trouble; one with room gives it
// back.
func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := make(chan struct{}, 1)
		r := &Runner{Checker: broken{func() error { return nil }}, Slots: slots, Log: slog.New(slog.DiscardHandler)}
		for range 3 {
			if _, err := r.ask(t.Context()); err != nil || len(slots) != 0 {
				t.Fatalf("with room: %v, %d slots in use", err, len(slots))
			}
		}
		slots <- struct{}{}
		var own *OwnError
		if _, err := r.ask(t.Context()); !errors.As(err, &own) || !errors.Is(err, syscall.EMFILE) || own.Remedy == "" {
			t.Errorf("without room: %v", err)
		}
	})
}
