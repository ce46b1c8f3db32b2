package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/pool"
	"weir/internal/notify"
	programs "weir/internal/script"
	"weir/lvs"
)

// methods are as ipvsadm has them.
var methods = map[lvs.ForwardMethod]string{lvs.Masquerade: "Masq", lvs.DirectRoute: "Route", lvs.Tunnel: "Tunnel"}

// startWeir begins weir's pools with their checks, and a notifier.
func (d *director) startWeir() error {
	cfg, diags := (&conf.Loader{}).Load(d.dir + "/conf")
	if cfg == nil {
		return fmt.Errorf("%v", diags.All())
	}
	log, err := os.Create(d.dir + "/log")
	if err != nil {
		return err
	}
	stream := cluster.NewStream(cluster.Log(slog.NewTextHandler(log, nil)))
	ctx, stop := context.WithCancel(context.Background())
	notifier := notify.New(cfg, stream.Logger())
	told := make(chan struct{})
	events := stream.Subscribe(0)
	go func() {
		defer close(told)
		notifier.Run(ctx, events)
	}()
	var mu sync.Mutex // the loop's
	pools := pool.Pools{}
	for _, vs := range cfg.VirtualServers {
		pools = append(pools, pool.New(vs))
	}
	shared := &check.Shared{}
	shared.Scripts.Store(programs.RulesOf(&cfg.Global))
	crew := check.NewCrew(ctx)
	checks := pool.Checks{
		New:     func(c conf.Check) check.Checker { return pool.FromRow(c, shared) },
		Start:   func(r *check.Runner) context.CancelFunc { return r.Start(crew) },
		Trouble: func(_ *pool.Checker, own *check.OwnError) { stream.Logger().Warn("a check fails here", "error", own) },
		Here:    here,
		Loud:    &atomic.Bool{}, Log: stream.Logger(),
		Report: func(c *pool.Checker, v check.Verdict) {
			mu.Lock()
			defer mu.Unlock()
			turned, e, quorum := c.Turned(v), c.Judge(v), c.Quorum()
			if e == nil {
				e = turned
			}
			for _, e := range []*cluster.Event{e, quorum} {
				if e != nil {
					stream.Publish(*e)
				}
			}
		},
	}
	stream.Publish(cluster.DirectorStarted(len(pools), 0))
	checks.Set(nil, pools)
	d.table = func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		var all []string
		service := pools[0].Services()[0]
		for _, rs := range service.RealServers {
			all = append(all, fmt.Sprintf("%s %s %d", rs.AddrPort(), methods[rs.Method], rs.Weight))
		}
		return tableOf(fmt.Sprintf("%s %s:%d %s", service.Protocol, service.Addr, service.Port, service.Scheduler), all), nil
	}
	d.look = d.table
	d.end = func() {
		stop()
		crew.Wait()
		<-told
	}
	return nil
}

// here says whether the namespace has an address.
func here(addr netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr {
			return true
		}
	}
	return err != nil
}
