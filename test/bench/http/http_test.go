// Package http measures HTTP through weir, through the proxies that people use for it, and
// without a balancer. wrk sends requests to an nginx, both from Debian, with Linux's default
// offloads.
package http

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
	"weir/test/binary"
)

// executable is the weir binary that is measured.
var executable string

func TestMain(m *testing.M) { binary.Main(m, &executable) }

const (
	directorIP = "10.0.0.1"
	serverIP   = "10.0.0.11"
	vip        = "10.0.0.100"

	seconds = 2 // of each measurement by wrk
)

// BenchmarkHTTP is `make bench-http`. First, requests are sent as fast as possible: a figure
// is the average time in microseconds of a request on a connection that is kept, of a
// request with its connection, and of a megabyte to or from the client. Latency means
// nothing then, since each client sends its next request once it has an answer, so that with
// a faster balancer more requests wait for nginx. Latency is therefore measured at the same
// rate for all, a quarter of what the slowest one serves: the paced client takes more CPU
// for a request than wrk does.
func BenchmarkHTTP(b *testing.B) {
	n := build(b)
	slowest := math.Inf(1)
	for _, way := range ways {
		b.Run("saturated/"+way.name, func(b *testing.B) {
			n.open(b, way)
			kept, closed := n.wrk(b, way.addr), n.wrk(b, way.addr, "-H", "Connection: close")
			slowest = min(slowest, kept)
			report(b, "request", 1e6/kept, "us/request")
			report(b, "connection", 1e6/closed, "us/connection")
			report(b, "down", n.bulk(b, way.addr, 'd'), "us/MB")
			report(b, "up", n.bulk(b, way.addr, 'u'), "us/MB")
		})
	}
	for _, way := range ways {
		b.Run("paced/"+way.name, func(b *testing.B) {
			n.open(b, way)
			p50, p99 := n.paced(b, way.addr, slowest/4)
			report(b, "p50", p50, "us")
			report(b, "p99", p99, "us")
		})
	}
}

// A way is what is measured: what stands between the client and the server.
type way struct {
	name, addr string
	setUp      func(b *testing.B, n *network)
}

var ways = []way{
	{"none", serverIP, func(*testing.B, *network) {}},
	{"weir", vip, weir},
	{"haproxy", directorIP, haproxy},
	{"nginx", directorIP, nginxStream},
}

// open sets a way up until the benchmark ends.
func (n *network) open(b *testing.B, w way) {
	b.Helper()
	w.setUp(b, n)
	n.waitFor(b, w.addr)
}

func report(b *testing.B, name string, figure float64, unit string) {
	b.Run(name, func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(figure, unit)
	})
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

// nginx runs an nginx with two workers.
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
	n.start(b, ns, "nginx", "-c", n.file(name+".conf"))
}

// weir balances at tc, by direct routing. Like the proxies it is a separate process.
func weir(b *testing.B, n *network) {
	config := "weir {\n    device eth0 {\n        hook tc\n    }\n}\n"
	for _, port := range []int{80, bulkPort} {
		config += fmt.Sprintf(`virtual_server %s %d {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server %s %d {
        weight 1
    }
}
`, vip, port, serverIP, port)
	}
	n.write(b, "weir.conf", config)
	place := []string{"--run-dir", n.file("weir"), "--pin-dir", fmt.Sprintf("/sys/fs/bpf/weirt-%d-http", os.Getpid())}
	running := n.start(b, n.director, executable, append([]string{"run", "-f", n.file("weir.conf")}, place...)...)
	b.Cleanup(func() { // the data plane of a process that has ended stays
		stop := n.start(b, n.director, executable, append([]string{"stop", "--remove"}, place...)...)
		if err := errors.Join(stop.Wait(), running.Wait()); err != nil {
			b.Error(err)
		}
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
	n.start(b, n.director, "haproxy", "-db", "-f", n.file("haproxy.cfg"))
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

// start runs a program in a namespace until the benchmark ends, and shows its output where
// the benchmark fails.
func (n *network) start(b *testing.B, ns *nstest.Namespace, name string, args ...string) *exec.Cmd {
	b.Helper()
	var said bytes.Buffer
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.Stderr = &said
	var err error
	ns.Do(func() { err = c.Start() })
	if err != nil {
		b.Fatalf("start %s: %v", name, err)
	}
	b.Cleanup(func() {
		syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // and its workers
		c.Wait()
		if b.Failed() {
			b.Logf("%s: %s", name, said.String())
		}
	})
	return c
}

// waitFor waits until the address accepts a connection.
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

var (
	ratePattern    = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	failurePattern = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)
)

// wrk sends requests on 64 connections, and returns how many a second are answered.
func (n *network) wrk(b *testing.B, addr string, more ...string) (rate float64) {
	b.Helper()
	args := append([]string{"-t2", "-c64", "-d" + strconv.Itoa(seconds) + "s"}, more...)
	c := exec.Command("wrk", append(args, "http://"+addr+"/")...)
	var out []byte
	var err error
	n.client.Do(func() { out, err = c.CombinedOutput() })
	found := ratePattern.FindSubmatch(out)
	if err != nil || found == nil {
		b.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	if failed := failurePattern.Find(out); failed != nil {
		b.Fatalf("%v: %s", c.Args, failed)
	}
	rate, err = strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	return rate
}
