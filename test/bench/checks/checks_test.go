// Package checks measures what health checks take of a CPU and of memory, beside the real
// keepalived.
package checks

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/netlnk/nstest"
	"weir/test/cpu"
)

// size is how many real servers there are, with which delay_loop, and for how long each round
// measures: 100 checks a second, which an emulated CPU can still make.
type size struct {
	servers      int
	loop, window time.Duration
}

var sizes = []size{{200, 2 * time.Second, 8 * time.Second}, {2000, 20 * time.Second, 20 * time.Second}}

const rounds = 3

// BenchmarkBesideKeepalived is the last part of `make bench-vm`: weir and the real keepalived
// run one after the other, with the same file, in the same network namespace. All real servers
// have TCP_CHECK and are up. The figures are those of whole processes, with all that they do
// besides, and the kernel's part in a check, which is the same. Each is the median of
// interleaved rounds.
func BenchmarkBesideKeepalived(b *testing.B) {
	if out, err := exec.Command("modprobe", "ip_vs").CombinedOutput(); err != nil { // before the namespaces are made
		b.Fatalf("this kernel has no IPVS, which keepalived needs; make bench-vm starts a guest that has: %v\n%s", err, out)
	}
	director, servers := nstest.New(b, "director"), nstest.New(b, "servers")
	nstest.Veth(director, "eth0", servers, "eth0")
	director.IP("addr", "add", "192.168.25.1/24", "dev", "eth0")
	servers.IP("addr", "add", "192.168.25.2/24", "dev", "eth0")
	director.IP("route", "add", "172.16.0.0/12", "via", "192.168.25.2")
	servers.IP("route", "add", "local", "172.16.0.0/12", "dev", "lo")
	s := serve(b, servers)
	b.Cleanup(func() {
		if err := os.RemoveAll(pins()); err != nil { // weir leaves its data plane
			b.Error(err)
		}
	})
	for _, z := range sizes {
		dir := b.TempDir()
		file := filepath.Join(dir, "keepalived.conf")
		if err := os.WriteFile(file, []byte(config(z)), 0o600); err != nil {
			b.Fatal(err)
		}
		figures := map[string][]float64{}
		for range rounds {
			for name, command := range commands(dir, file) {
				for figure, value := range measure(b, director, s, z, command) {
					figures[name+"/"+figure] = append(figures[name+"/"+figure], value)
				}
			}
		}
		b.Run(strconv.Itoa(z.servers), func(b *testing.B) {
			for _, name := range slices.Sorted(maps.Keys(figures)) {
				b.Run(name, func(b *testing.B) {
					unit := "MB"
					if filepath.Base(name) == "cpu" {
						unit = "us/check"
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(slices.Sorted(slices.Values(figures[name]))[rounds/2], unit)
				})
			}
		})
	}
}

// config has so many real servers, 20 of each virtual server.
func config(z size) string {
	var b strings.Builder
	for v := range z.servers / 20 {
		fmt.Fprintf(&b, "virtual_server 10.0.%d.1 80 {\n    delay_loop %d\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n", v, int(z.loop.Seconds()))
		for r := range 20 {
			fmt.Fprintf(&b, "    real_server 172.16.%d.%d 80 {\n        weight 1\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }\n", v, r+1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// commands are what runs with the file, by name. weir lies beside this program.
func commands(dir, file string) map[string][]string {
	weir := filepath.Join(filepath.Dir(os.Args[0]), "weir")
	return map[string][]string{
		"keepalived": {"keepalived", "-C", "-n", "-l", "-f", file, "-p", dir + "/pid", "-c", dir + "/cpid"},
		"weir":       {weir, "run", "-f", file, "--run-dir", dir + "/run", "--pin-dir", pins()},
	}
}

func pins() string { return fmt.Sprintf("/sys/fs/bpf/weirt-%d-checks", os.Getpid()) }

// measure runs a director, and returns what each of its checks takes of a CPU, in microseconds,
// and its memory, in MB, that of its children included.
func measure(b *testing.B, ns *nstest.Namespace, s *server, z size, command []string) map[string]float64 {
	log := new(strings.Builder)
	c := exec.Command("nsenter", append([]string{"--net=/run/netns/" + ns.Name}, command...)...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	stop := sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	defer stop()
	s.forget()
	begun := time.Now()
	for s.seen() < z.servers {
		select {
		case err := <-ended:
			ended <- err
			b.Fatalf("%s: %v\n%s", command, err, end(log))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(begun) > 3*time.Minute {
			stop()
			b.Fatalf("%d of %d servers were checked within 3 minutes\n%s", s.seen(), z.servers, end(log))
		}
	}
	time.Sleep(time.Second) // what follows the last first check
	made, used := s.accepted.Load(), cpu.WithChildren(b, c.Process.Pid)
	time.Sleep(z.window)
	made, used = s.accepted.Load()-made, cpu.WithChildren(b, c.Process.Pid)-used
	if least := int64(z.servers) * int64(z.window/z.loop) * 9 / 10; made < least {
		stop()
		b.Fatalf("%d checks within %s, want at least %d\n%s", made, z.window, least, end(log))
	}
	figures := map[string]float64{"cpu": float64(used.Nanoseconds()) / 1000 / float64(made)}
	for figure, field := range map[string]string{"rss": "Rss:", "pss": "Pss:"} {
		figures[figure] = memory(b, c.Process.Pid, field)
	}
	b.Logf("%s, %d servers: %d checks, %v", filepath.Base(command[0]), z.servers, made, figures)
	return figures
}

// end is the end of a log.
func end(log *strings.Builder) string {
	text := log.String()
	return text[max(0, len(text)-2000):]
}

// memory is what a process and its children take of memory, in MB.
func memory(b *testing.B, pid int, field string) (all float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == field {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				b.Fatal(err)
			}
			all += float64(kb) / 1024
		}
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, word := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			b.Fatal(err)
		}
		all += memory(b, child, field)
	}
	return all
}

// server is all real servers.
type server struct {
	accepted atomic.Int64
	mu       sync.Mutex
	by       map[string]bool // guarded by mu: the addresses that were connected to
}

func (s *server) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by)
}

func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by = map[string]bool{}
}

// serve accepts connections to all addresses of the namespace's port 80, and closes each when the
// other side has.
func serve(b *testing.B, ns *nstest.Namespace) *server {
	s := &server{by: map[string]bool{}}
	var l net.Listener
	ns.Do(func() {
		if err := os.WriteFile("/proc/sys/net/core/somaxconn", []byte("65535"), 0o644); err != nil {
			b.Fatal(err)
		}
		var err error
		if l, err = net.Listen("tcp4", ":80"); err != nil {
			b.Fatal(err)
		}
	})
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			s.mu.Lock()
			s.by[c.LocalAddr().String()] = true
			s.mu.Unlock()
			go func() {
				_, _ = c.Read(make([]byte, 1)) // until the other side ends it, by a FIN or a reset
				c.Close()
			}()
		}
	}()
	return s
}
