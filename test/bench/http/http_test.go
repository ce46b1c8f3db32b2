// Package http measures HTTP through weir beside the proxies that people use for
// it, and beside nothing at all: wrk asks an nginx, both Debian's, with Linux's
// default offloads.
package http

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"weir/internal/dataplane"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

const (
	directorIP = "10.0.0.1"
	serverIP   = "10.0.0.11"
	vip        = "10.0.0.100"

	seconds = 2 // of each measurement by wrk
)

// BenchmarkHTTP is `make bench-http`. A figure is what one takes on average, in
// microseconds: one request on a connection that is kept, one with its connection,
// one megabyte to the client or from it; and the slowest of 100 requests.
func BenchmarkHTTP(b *testing.B) {
	n := build(b)
	for _, way := range []struct {
		name, addr string
		setUp      func(b *testing.B, n *network)
	}{
		{"none", serverIP, func(*testing.B, *network) {}},
		{"weir", vip, weir},
		{"haproxy", directorIP, haproxy},
		{"nginx", directorIP, nginxStream},
	} {
		b.Run(way.name, func(b *testing.B) {
			way.setUp(b, n)
			n.waitFor(b, way.addr)
			kept := n.wrk(b, way.addr)
			closed := n.wrk(b, way.addr, "-H", "Connection: close")
			down, up := n.bulk(b, way.addr, 'd'), n.bulk(b, way.addr, 'u')
			for _, f := range []struct {
				name, unit string
				figure     float64
			}{
				{"request", "us/request", 1e6 / kept.rate},
				{"p50", "us", kept.p50},
				{"p99", "us", kept.p99},
				{"connection", "us/connection", 1e6 / closed.rate},
				{"down", "us/MB", down},
				{"up", "us/MB", up},
			} {
				b.Run(f.name, func(b *testing.B) {
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(f.figure, f.unit)
				})
			}
		})
	}
}

// network is a client, a director and a server on one switch.
type network struct {
	client, director, server *nstest.Namespace
	dir                      string
}

func build(b *testing.B) *network {
	n := &network{nstest.New(b, "cli"), nstest.New(b, "dir"), nstest.New(b, "srv"), b.TempDir()}
	fabric := nstest.New(b, "sw")
	fabric.IP("link", "add", "br0", "up", "type", "bridge")
	for _, m := range []struct {
		ns   *nstest.Namespace
		addr string
	}{{n.client, "10.0.0.9"}, {n.director, directorIP}, {n.server, serverIP}} {
		port := "p" + m.addr[len("10.0.0."):]
		nstest.Veth(m.ns, "eth0", fabric, port)
		fabric.IP("link", "set", port, "master", "br0")
		m.ns.IP("addr", "add", m.addr+"/24", "dev", "eth0")
	}
	n.server.Do(func() {
		for file, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/"+file, []byte(value), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	})
	n.server.IP("addr", "add", vip+"/32", "dev", "lo")
	n.director.IP("addr", "add", vip+"/32", "dev", "eth0")
	n.nginx(b, n.server, "server", `
http {
    access_log off;
    keepalive_requests 1000000000;
    server {
        listen 80 reuseport;
        location = / { return 200 "ok\n"; }
    }
}`)
	n.serveBulk(b)
	n.waitFor(b, serverIP)
	return n
}

func (n *network) file(name string) string { return filepath.Join(n.dir, name) }

func (n *network) write(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(n.file(name), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

// nginx runs one with two workers.
func (n *network) nginx(b *testing.B, ns *nstest.Namespace, name, config string) {
	b.Helper()
	n.write(b, name+".conf", `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
worker_processes 2;
worker_rlimit_nofile 65536;
pid `+n.file(name+".pid")+`;
error_log `+n.file(name+".log")+` error;
events { worker_connections 16384; }
`+config+"\n")
	start(b, ns, "nginx", "-c", n.file(name+".conf"))
}

// weir balances at tc, by direct routing.
func weir(b *testing.B, n *network) {
	n.director.Do(func() {
		plane, err := dataplane.Open(dataplane.Options{
			PinDir:      fmt.Sprintf("/sys/fs/bpf/weirt-%d-http", os.Getpid()),
			Connections: 1 << 20, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := plane.Remove(); err != nil {
				b.Error(err)
			}
		})
		plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}}
		for _, port := range []uint16{80, bulkPort} {
			plan.Services = append(plan.Services, lvs.VirtualServer{
				ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr(vip), Port: port},
				Scheduler:  lvs.RoundRobin,
				RealServers: []lvs.RealServer{
					{Addr: netip.MustParseAddr(serverIP), Port: port, Weight: 1, Method: lvs.DirectRoute},
				},
			})
		}
		if err := plane.Set(plan); err != nil {
			b.Fatal(err)
		}
		go n.director.Do(func() { plane.Run(b.Context()) })
	})
}

func haproxy(b *testing.B, n *network) {
	n.write(b, "haproxy.cfg", `global
    nbthread 2
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen web
    bind `+directorIP+`:80
    server s1 `+serverIP+`:80
listen bulk
    bind `+directorIP+`:81
    server s1 `+serverIP+":81\n")
	start(b, n.director, "haproxy", "-db", "-f", n.file("haproxy.cfg"))
}

func nginxStream(b *testing.B, n *network) {
	n.nginx(b, n.director, "proxy", `
stream {
    server {
        listen `+directorIP+`:80 reuseport;
        proxy_pass `+serverIP+`:80;
    }
    server {
        listen `+directorIP+`:81;
        proxy_pass `+serverIP+`:81;
    }
}`)
}

// start runs a program inside a namespace until the benchmark ends.
func start(b *testing.B, ns *nstest.Namespace, name string, args ...string) {
	b.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.Stderr = os.Stderr
	var err error
	ns.Do(func() { err = c.Start() })
	if err != nil {
		b.Fatalf("start %s: %v", name, err)
	}
	b.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // and its workers
		c.Wait()
	})
}

// waitFor waits until the address takes a connection.
func (n *network) waitFor(b *testing.B, addr string) {
	b.Helper()
	nstest.WaitFor(b, "a connection to "+addr, func() (there bool) {
		n.client.Do(func() {
			conn, err := net.DialTimeout("tcp", addr+":80", time.Second)
			if there = err == nil; there {
				conn.Close()
			}
		})
		return there
	})
}

// measured is what wrk tells: requests a second, and microseconds.
type measured struct{ rate, p50, p99 float64 }

var (
	ratePattern    = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	latencyPattern = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([0-9.]+)(us|ms|s)$`)
	failurePattern = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)
)

// wrk asks on 64 connections.
func (n *network) wrk(b *testing.B, addr string, more ...string) (m measured) {
	b.Helper()
	args := append([]string{"--latency", "-t2", "-c64", "-d" + strconv.Itoa(seconds) + "s"}, more...)
	c := exec.Command("wrk", append(args, "http://"+addr+"/")...)
	var out []byte
	var err error
	n.client.Do(func() { out, err = c.CombinedOutput() })
	rate := ratePattern.FindSubmatch(out)
	if err != nil || rate == nil {
		b.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	if failed := failurePattern.Find(out); failed != nil {
		b.Fatalf("%v: %s", c.Args, failed)
	}
	m.rate, _ = strconv.ParseFloat(string(rate[1]), 64)
	for _, l := range latencyPattern.FindAllSubmatch(out, -1) {
		figure, _ := strconv.ParseFloat(string(l[2]), 64)
		figure *= map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[string(l[3])]
		if string(l[1]) == "50" {
			m.p50 = figure
		} else {
			m.p99 = figure
		}
	}
	return m
}
