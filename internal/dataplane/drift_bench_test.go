package dataplane

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/lvs"
)

// BenchmarkCompare is one comparison of everything: its time on a CPU, and for how
// long it keeps others from the lock at most.
func BenchmarkCompare(b *testing.B) {
	for _, size := range []struct{ services, servers int }{{1, 2}, {4096, 10}} {
		b.Run(fmt.Sprintf("%d services of %d servers", size.services, size.servers), func(b *testing.B) {
			withPlane(b, planOfSize(size.services, size.servers), func(p *bench) {
				longest := longestWait(func() { p.Serving(lvs.ServiceKey{}) })
				p.repairContents()
				begun := cpuTime()
				b.ResetTimer()
				for range b.N {
					p.repairContents()
				}
				b.StopTimer()
				b.ReportMetric(float64((cpuTime()-begun).Microseconds())/1000/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(longest().Microseconds())/1000, "longest-wait-ms")
				if stats, err := p.Stats(); err != nil || len(stats.Drift) > 0 {
					b.Errorf("drift: %v, %v", stats.Drift, err)
				}
			})
		})
	}
}

func planOfSize(services, servers int) lvs.Plan {
	var plan lvs.Plan
	schedulers := []lvs.Scheduler{lvs.RoundRobin, lvs.WeightedRoundRobin, lvs.LeastConnection}
	for i := range services {
		vs := virtual(lvs.TCP, vip4, schedulers[i%len(schedulers)])
		vs.Port = uint16(1000 + i)
		for n := range servers {
			rs := real(fmt.Sprintf("192.0.2.1%d", 1+n%serverCount), 1+n)
			rs.Port = uint16(1000 + n)
			vs.RealServers = append(vs.RealServers, rs)
		}
		plan.Services = append(plan.Services, vs)
	}
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
	return plan
}

// longestWait asks again and again, and tells how long it had to wait for an answer at
// most.
func longestWait(ask func()) (longest func() time.Duration) {
	stop, result := make(chan bool), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(200 * time.Microsecond):
			}
			begun := time.Now()
			ask()
			most = max(most, time.Since(begun))
		}
	}()
	return func() time.Duration { close(stop); return <-result }
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot fail on Linux
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
