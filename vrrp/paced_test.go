package vrrp

import (
	"testing"
	"time"

	"weir/vrrp/pace"
)

// A Link sends by itself what the other takes, in every way of authentication, and goes on behind
// it with Send.
func TestLinkPaced(t *testing.T) {
	a, b := twoHosts(t)
	for name, change := range map[string]func(*LinkConfig, *Advertisement){
		"plain":   func(*LinkConfig, *Advertisement) {},
		"unicast": func(l *LinkConfig, _ *Advertisement) {},
		"AH": func(l *LinkConfig, ad *Advertisement) {
			l.Auth = Key("1111")
			ad.Auth = l.Auth.onWire()
		},
		"auth_hmac": func(l *LinkConfig, ad *Advertisement) {
			l.HMAC = testHMAC
			ad.Version, ad.Auth, ad.Interval = Version3, Authentication{}, 10*time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			advert := seedAdvert(51, 100)
			links := map[*host]*Link{}
			for _, h := range []*host{a, b} {
				cfg := LinkConfig{Interface: "ens160", VRID: 51, Source: h.addr}
				if name == "unicast" {
					cfg.UnicastPeers = append(cfg.UnicastPeers, map[*host]*host{a: b, b: a}[h].addr)
				}
				change(&cfg, &advert)
				within(t, h.ns, func() (err error) {
					links[h], err = OpenLink(cfg, discard())
					return err
				})
				t.Cleanup(func() { links[h].Close() })
			}
			from, to := links[a], links[b]
			var sent uint64
			for round := range 2 {
				must(t, from.Send(advert))
				if !from.Pace(Pacing{Advert: advert, Last: time.Now(), Every: 10 * time.Millisecond, Limit: time.Hour}) {
					t.Fatal("it cannot send by itself")
				}
				for sent = 0; sent < 20; time.Sleep(5 * time.Millisecond) {
					r, ok := from.Paced(false)
					if sent = r.Sent; !ok || r.Ended || r.Err != nil || r.Failed != 0 {
						t.Fatalf("%+v, %t", r, ok)
					}
				}
				r, ok := from.Paced(true)
				if _, again := from.Paced(true); !ok || !r.Ended || r.Err != nil || again {
					t.Errorf("%+v, %t, %t", r, ok, again)
				}
				for range 1 + r.Sent {
					if p := receive(t, to); p.Err != nil || p.Source != a.addr || p.Advertisement.Priority != 100 {
						t.Fatalf("round %d: got %+v", round, p)
					}
				}
			}
			// A backup that takes over goes on behind it.
			must(t, to.Send(advert))
			if p := receive(t, from); p.Err != nil || p.Source != b.addr {
				t.Errorf("got %+v", p)
			}
		})
	}
}

// What changes a Link's sockets ends what it sends by itself, and the instance hears so.
func TestLinkPacedEnds(t *testing.T) {
	a, _ := twoHosts(t)
	l := a.open(t, 51)
	begin := func() {
		t.Helper()
		if !l.Pace(Pacing{Advert: seedAdvert(51, 100), Last: time.Now(), Every: time.Minute, Limit: time.Hour}) {
			t.Fatal("it cannot send by itself")
		}
	}
	begin()
	within(t, a.ns, l.Reopen)
	if r, ok := l.Paced(false); !ok || !r.Ended {
		t.Errorf("after Reopen: %+v, %t", r, ok)
	}
	begin()
	must(t, l.Close())
	if r, ok := l.Paced(false); !ok || !r.Ended {
		t.Errorf("after Close: %+v, %t", r, ok)
	}
	if l.Pace(Pacing{Advert: seedAdvert(51, 100), Last: time.Now(), Every: time.Minute, Limit: time.Hour}) {
		t.Error("a closed Link sends by itself")
	}
	if r, ok := l.Paced(true); ok || r != (pace.Report{}) {
		t.Errorf("%+v, %t", r, ok)
	}
}
