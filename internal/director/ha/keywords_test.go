package ha

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/conf/conftest"
	"weir/internal/netlnk/fakenet"
)

// After a reload that changes any one keyword, an instance's state machine and transport
// are those of a fresh start with the new file, but for what counts at a start only.
func TestReloadTakesUpEveryKeyword(t *testing.T) {
	seen := 0
	for _, r := range conftest.Reloads() {
		if r.Nothing != "" {
			continue
		}
		was, now := instancesOf(t, r.Was), instancesOf(t, r.Now)
		if len(conf.CompareVRRPInstance(&was[0], &now[0])) == 0 {
			continue
		}
		seen++
		t.Run(strings.TrimSpace(r.Block+" "+r.Keyword), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, fresh := newBed(t, machine(), was...), newBed(t, machine(), now...)
				defer b.run()()
				defer fresh.run()()
				if err := b.reload(now...); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				got, want := b.inForce(), fresh.inForce()
				if got != want {
					t.Errorf("after the reload\n%s\na fresh start\n%s", got, want)
				}
			})
		})
	}
	if seen < 15 {
		t.Errorf("only %d keywords change an instance", seen)
	}
}

func machine() *fakenet.Machine {
	m := fakenet.NewSegment().Machine("10.1.2.1/8")
	m.Plug("eth1", 3, "10.2.0.1/8")
	m.Give("eth0", netip.MustParsePrefix("10.1.2.2/8")) // a source that the rows name
	return m
}

func instancesOf(t *testing.T, content string) []conf.VRRPInstance {
	t.Helper()
	cfg, diags := conf.Parse("main.conf", []byte(content))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	return cfg.VRRPInstances
}

// inForce is what the instances go by.
func (b *bed) inForce() (text string) {
	for _, in := range b.list {
		c := in.machine.Snapshot().Config
		c.Resume, c.StartMaster = false, false // they are past
		text += fmt.Sprintf("%+v\n%+v\n%+v\n", c, linkOf(in.cfg), Wanted([]conf.VRRPInstance{in.cfg}))
	}
	return text
}
