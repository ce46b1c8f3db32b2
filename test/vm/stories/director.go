package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/test/postbox"
)

// director is one of the two that are told a story.
type director struct {
	name, dir, ns string
	// table lists the virtual server and its real servers as ipvsadm does; look is the same,
	// for those who look often.
	table, look func() (string, error)
	end         func()

	// mails are those that it has sent to its own port.
	mails postbox.Box
	relay net.Listener

	mu    sync.Mutex // guards what follows
	lines []heard
}

// heard is a line that came out of a director's FIFO.
type heard struct {
	line string
	at   time.Time
}

// prepare makes a director's folder, with its configuration and what is up at the start, and
// listens to its FIFO and for its mails.
func prepare(name, ns string, p place, s story) (*director, error) {
	d := &director{name: name, dir: p.dir() + "/" + name, ns: ns}
	if _, err := run(fmt.Sprintf(`mkdir -p %[1]s/up; : >%[1]s/told`, d.dir)); err != nil {
		return nil, err
	}
	d.change(s.steps[0].change)
	if err := unix.Mkfifo(d.dir+"/fifo", 0o600); err != nil {
		return nil, err
	}
	// For writing, too: it has no end, whoever closes it.
	fifo, err := os.OpenFile(d.dir+"/fifo", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	go d.listen(fifo)
	relay, err := net.Listen("tcp", "10.0.0.3:0")
	if err != nil {
		return nil, err
	}
	go d.mails.Serve(relay)
	d.relay = relay
	return d, os.WriteFile(d.dir+"/conf", []byte(s.conf(d.dir, relay.Addr().(*net.TCPAddr).Port)), 0o600)
}

// listen takes in the lines of the FIFO. keepalived has a NUL behind each.
func (d *director) listen(fifo *os.File) {
	for lines := bufio.NewScanner(fifo); lines.Scan(); {
		d.mu.Lock()
		d.lines = append(d.lines, heard{strings.Trim(lines.Text(), "\x00"), time.Now()})
		d.mu.Unlock()
	}
}

// since lists what the FIFO has told behind its first lines.
func (d *director) since(mark int) []heard {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines[mark:])
}

// change has checks pass ("+11") and fail ("-11"). Other words are for the real server.
func (d *director) change(words string) {
	for _, word := range strings.Fields(words) {
		switch path := d.dir + "/up/" + word[1:]; word[0] {
		case '+':
			os.WriteFile(path, nil, 0o600)
		case '-':
			os.Remove(path)
		}
	}
}

// startKeepalived begins the real keepalived.
func (d *director) startKeepalived() error {
	log, err := os.Create(d.dir + "/log")
	if err != nil {
		return err
	}
	cmd := exec.Command("nsenter", "--net=/run/netns/"+d.ns, "keepalived", "-C", "-n", "-l", "-D", "-f", d.dir+"/conf", "-p", d.dir+"/pid", "-c", d.dir+"/cpid")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.table, d.look = d.ipvsTable, func() (string, error) { return d.ipvsLook(cmd.Process.Pid) }
	d.end = func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	return nil
}

// ipvsTable is what ipvsadm shows, but for the counts of connections.
func (d *director) ipvsTable() (string, error) {
	out, err := exec.Command("nsenter", "--net=/run/netns/"+d.ns, "ipvsadm", "-Ln").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ipvsadm: %w\n%s", err, out)
	}
	return parseTable(string(out), func(address string) string { return address })
}

// ipvsLook is ipvsTable as the kernel's file has it, which costs the guest less.
func (d *director) ipvsLook(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/ip_vs", pid))
	if err != nil {
		return "", err
	}
	return parseTable(string(text), func(address string) string {
		n, err := strconv.ParseUint(strings.Replace(address, ":", "", 1), 16, 64)
		if err != nil {
			return address
		}
		return fmt.Sprintf("%d.%d.%d.%d:%d", byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), uint16(n))
	})
}

// parseTable reads a table, whose addresses are read by this function.
func parseTable(text string, address func(string) string) (string, error) {
	service, all := "", []string(nil)
	for _, line := range strings.Split(text, "\n") {
		switch f := strings.Fields(line); {
		case len(f) >= 3 && f[0] == "TCP":
			f[1] = address(f[1])
			service = strings.Join(f, " ")
		case service != "" && len(f) >= 4 && f[0] == "->":
			f[1] = address(f[1])
			all = append(all, strings.Join(f[1:4], " "))
		}
	}
	if service == "" {
		return "", fmt.Errorf("there is no service: %s", text)
	}
	return tableOf(service, all), nil
}

// tableOf is a table as text, the servers in no order.
func tableOf(service string, servers []string) string {
	slices.Sort(servers)
	return service + "\n" + strings.Join(servers, "\n")
}

// short is the servers of a table, without what all addresses have: "11=1 12=0".
func short(table string) string {
	var all []string
	for _, line := range strings.Split(table, "\n")[1:] {
		if f := strings.Fields(line); len(f) == 3 {
			host, _, _ := strings.Cut(strings.TrimPrefix(f[0], "10.0.0."), ":")
			all = append(all, host+"="+f[2])
		}
	}
	return strings.Join(all, " ")
}

// told lists the programs that a director has run: keepalived begins those of different
// subjects at once, so that only those of one subject have an order.
func (d *director) told() []string {
	text, _ := os.ReadFile(d.dir + "/told")
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(subject(a), subject(b)) })
	return lines
}

// subject is "q" in "q,up", and "1" in "1,down".
func subject(line string) string {
	name, _, _ := strings.Cut(line, ",")
	return name
}
