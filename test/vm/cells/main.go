// Command cells tries, in the guest, a director between network devices of many kinds: a
// client behind a device of each kind, a server behind one of each, all forward methods,
// IPv4 and IPv6, with one weir whose hooks are its own choice. Each cell is a connection
// of real sockets that carries half a megabyte there and back; and each client asks for
// services without a server. It prints the hooks and the cells, and exits with status 1
// where one fails.
//
//	cells -weir PATH -clients KIND,... -servers KIND,... [-pairs]
//
// The kinds are veth, bridge, bond, vlan, ipip, gre and wireguard, which it makes; any other
// kind is a card's, or with -vlan behind it that of a VLAN on the card: the guest's cards are
// taken in their order, two for each such kind, which are joined, the first the director's.
// With -pairs it tries only the first client with the first server, the second with the
// second, and so on.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/director"
)

func main() {
	weir := flag.String("weir", "", "the binary")
	clients := flag.String("clients", "", "kinds of the devices that clients come by")
	servers := flag.String("servers", "", "kinds of the devices that lead to servers")
	pairs := flag.Bool("pairs", false, "the first client with the first server only, and so on")
	flag.Parse()
	failed, err := run(*weir, strings.Split(*clients, ","), strings.Split(*servers, ","), *pairs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cells:", err)
		os.Exit(1)
	}
	if failed > 0 {
		fmt.Printf("%d cells failed\n", failed)
		os.Exit(1)
	}
	fmt.Println("every cell passed")
}

func run(weir string, clients, servers []string, pairs bool) (failed int, err error) {
	n, err := build(clients, servers)
	if err != nil {
		return 0, err
	}
	for _, s := range n.servers {
		if err := serve(s); err != nil {
			return 0, err
		}
	}
	d, err := start(weir, n.config())
	if err != nil {
		return 0, err
	}
	defer d.stop()
	if err := d.wait(n); err != nil {
		return 0, err
	}
	for _, c := range n.clients {
		failed += tryRefused(c)
		for _, s := range n.servers {
			if !pairs || c.number == s.number {
				failed += try(c, s)
			}
		}
	}
	return failed, nil
}

// try tries a client with a server by all methods; it prints the cells, and returns how
// many failed.
func try(c, s end) (failed int) {
	for _, m := range methods {
		for _, f := range families {
			if err := ask(c, s, m, f); err != nil {
				failed++
				fmt.Printf("FAIL %s to %s, %s, %s: %v\n", c.kind, s.kind, m, f, err)
				continue
			}
			fmt.Printf("pass %s to %s, %s, %s\n", c.kind, s.kind, m, f)
		}
	}
	return failed
}

// tryRefused tries a client with the services without a server; it prints the cells, and
// returns how many failed.
func tryRefused(c end) (failed int) {
	for _, f := range families {
		for _, network := range []string{"tcp", "udp"} {
			what := fmt.Sprintf("%s refused, %s, %s", c.kind, network, f)
			if err := refused(c, network, net.JoinHostPort(nobody[f], "80")); err != nil {
				failed++
				fmt.Printf("FAIL %s: %v\n", what, err)
				continue
			}
			fmt.Printf("pass %s\n", what)
		}
	}
	return failed
}

// running is a weir that runs.
type running struct {
	*exec.Cmd
	client *api.Client
}

// start runs weir, and prints the hooks that it chooses.
func start(weir, config string) (d *running, err error) {
	dir, err := os.MkdirTemp("", "cells")
	if err != nil {
		return nil, err
	}
	path, runDir := filepath.Join(dir, "weir.conf"), filepath.Join(dir, "run")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return nil, err
	}
	d = &running{exec.Command(weir, "run", "-f", path, "--run-dir", runDir, "--pin-dir", "/sys/fs/bpf/cells"), api.NewClient(runDir)}
	log, err := d.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.Start(); err != nil {
		return nil, err
	}
	started := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if line := lines.Text(); strings.Contains(line, "msg=started") {
				started <- true
			} else if _, what, found := strings.Cut(line, " level="); found {
				fmt.Println("weir:", what)
			}
		}
		started <- false
	}()
	if !<-started {
		return nil, fmt.Errorf("weir did not start: %w", d.Wait())
	}
	return d, nil
}

// wait waits until weir is on all devices that lead to an end, and has a next hop to each
// server. A neighbour that is not found yet costs a client's first packet, which it repeats.
func (d *running) wait(n *network) error {
	var missing []string
	for end := time.Now().Add(startPatience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s, err := d.client.State(context.Background())
		if err != nil {
			return err
		}
		missing = nil
		for _, e := range slices.Concat(n.clients, n.servers) {
			if !slices.ContainsFunc(s.Devices, func(d director.DeviceState) bool { return d.Name == e.device() }) {
				missing = append(missing, "the device "+e.device())
			}
		}
		for _, server := range s.Servers {
			if server.Device == "" {
				missing = append(missing, fmt.Sprintf("a next hop to %s", server.Addr))
			}
		}
		if len(missing) == 0 {
			return nil
		}
	}
	return fmt.Errorf("weir does not have %s", strings.Join(missing, ", "))
}

// startPatience is how long weir may take to be on all devices; the guest may be emulated.
const startPatience = 2 * time.Minute

func (d *running) stop() {
	_ = d.Process.Signal(os.Interrupt)
	_ = d.Wait()
}
