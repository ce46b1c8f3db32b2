package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/cluster"
)

// bed is a notifier with a stream, a FIFO, a mail relay, and a program that notes how it was run.
type bed struct {
	*testing.T
	dir      string
	stream   *cluster.Stream
	notifier *Notifier
	relay    *fakeRelay
	stop     func()
	logs     *lockedText
}

// lockedText is text that several goroutines write.
type lockedText struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *lockedText) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// newBed makes one by a file, in which DIR, PROGRAM and PORT are those of the bed.
func newBed(t *testing.T, file string) *bed {
	t.Helper()
	b := &bed{T: t, dir: t.TempDir(), logs: &lockedText{}}
	for d := b.dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755) // a program may run as keepalived_script
	}
	must(t, os.WriteFile(b.dir+"/program", []byte("#!/bin/sh\necho \"$*\" >>"+b.dir+"/told\n"), 0o755))
	must(t, os.WriteFile(b.dir+"/told", nil, 0o666))
	must(t, os.Chmod(b.dir+"/told", 0o666))
	b.relay = newRelay(t)
	b.stream = cluster.NewStream(func(cluster.Event) {})
	b.notifier = New(b.parse(file), slog.New(slog.NewTextHandler(b.logs, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	events := b.stream.Subscribe(0)
	go func() {
		defer close(done)
		b.notifier.Run(ctx, events)
	}()
	b.stop = func() { cancel(); <-done }
	t.Cleanup(b.stop)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bed) parse(file string) *conf.Config {
	b.Helper()
	file = strings.NewReplacer("DIR", b.dir, "PROGRAM", b.dir+"/program", "PORT", fmt.Sprint(b.relay.port)).Replace(file)
	cfg, diags := conf.Parse("test.conf", []byte(file))
	if cfg == nil {
		b.Fatalf("%v\n%s", diags.All(), file)
	}
	return cfg
}

// told waits until the program has been run as these lines say. With sorted their order does not
// count: those of several subjects run side by side.
func (b *bed) told(want ...string) {
	b.Helper()
	wait(b.T, func() (string, bool) {
		text, _ := os.ReadFile(b.dir + "/told")
		got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		slices.Sort(got)
		slices.Sort(want)
		return fmt.Sprintf("the programs were run as\n%s\nwant\n%s\nlog:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), b.logs.text()), slices.Equal(got, want)
	})
}

// wait waits for a condition, and fails with what it says.
func wait(t *testing.T, is func() (string, bool)) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		what, ok := is()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// fifo reads a FIFO of the bed to the lines that come.
func (b *bed) fifo(name string) func(want ...string) {
	b.Helper()
	var got lockedText
	wait(b.T, func() (string, bool) {
		_, err := os.Stat(b.dir + "/" + name)
		return "there is no FIFO", err == nil
	})
	f, err := os.OpenFile(b.dir+"/"+name, os.O_RDWR, 0)
	must(b.T, err)
	b.Cleanup(func() { f.Close() })
	go func() {
		for s := bufio.NewScanner(f); s.Scan(); {
			fmt.Fprintln(&got, s.Text())
		}
	}()
	return func(want ...string) {
		b.Helper()
		wait(b.T, func() (string, bool) {
			return fmt.Sprintf("the FIFO has\n%s\nwant\n%s", got.text(), strings.Join(want, "\n")), got.text() == strings.Join(want, "\n")+"\n"
		})
	}
}

// state publishes that an instance has entered a state.
func (b *bed) state(instance, to string) {
	b.stream.Publish(cluster.Event{Kind: cluster.VRRPState, Instance: instance, To: to})
}

const vrrpFile = `global_defs {
    router_id LB1
    notification_email {
        "One <one@example.org>"
        two@example.org
    }
    notification_email_from "weir <weir@example.org>"
    smtp_server 127.0.0.1 PORT
    smtp_helo_name lb1.example.org
    vrrp_notify_fifo DIR/fifo
}
vrrp_instance V1 {
    interface eth0
    virtual_router_id 1
    priority 150
    smtp_alert
    notify "PROGRAM 'any of' V1"
    notify_master "PROGRAM master \"a b\""
    notify_backup "PROGRAM backup"
    notify_fault "PROGRAM fault"
    notify_stop "PROGRAM stop"
    notify_deleted "PROGRAM deleted"
    notify_master_rx_lower_pri "PROGRAM lower"
    notify_priority_changes on
    virtual_ipaddress {
        10.0.0.1
    }
}
`

// What an instance tells: programs with their arguments, lines, mails.
func TestInstance(t *testing.T) {
	b := newBed(t, vrrpFile)
	b.state("V1", "backup") // an instance may begin before the director says that it runs
	lines := b.fifo("fifo")
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	b.state("V1", "master")
	b.stream.Publish(cluster.Event{Kind: cluster.LowerMaster, Instance: "V1"})
	b.state("V1", "init")
	b.told("any of V1 INSTANCE V1 BACKUP 150", "any of V1 INSTANCE V1 MASTER 150", "backup", "lower", "master a b")
	lines(`INSTANCE "V1" BACKUP 150`, `INSTANCE "V1" MASTER 150`, `INSTANCE "V1" MASTER_RX_LOWER_PRI 150`)
	b.relay.wantSubjects("[LB1] VRRP Instance V1 - Entering BACKUP state", "[LB1] VRRP Instance V1 - Entering MASTER state")
	first := b.relay.mails()[1]
	for _, want := range []string{
		"HELO lb1.example.org\nMAIL FROM:<weir@example.org>\nRCPT TO:<one@example.org>\nRCPT TO:<two@example.org>\nDATA\nDate: ",
		"\nFrom: weir <weir@example.org>\nSubject: [LB1] VRRP Instance V1 - Entering MASTER state\nX-Mailer: Keepalived\nTo: One <one@example.org>, two@example.org\n\n=> VRRP Instance is now owning VRRP VIPs <=\n\n.\nQUIT\n",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the mail is\n%s\nwant in it\n%s", first, want)
		}
	}
	b.notifier.Set(b.parse(strings.Replace(vrrpFile, "priority 150", "priority 151", 1)))
	lines(`INSTANCE "V1" BACKUP 150`, `INSTANCE "V1" MASTER 150`, `INSTANCE "V1" MASTER_RX_LOWER_PRI 150`, `INSTANCE "V1" MASTER_PRIORITY 151`)
	b.stop()
	b.told("any of V1 INSTANCE V1 BACKUP 150", "any of V1 INSTANCE V1 MASTER 150", "backup", "lower", "master a b",
		"any of V1 INSTANCE V1 STOP 151", "stop")
	b.relay.wantSubjects("[LB1] VRRP Instance V1 - Entering BACKUP state", "[LB1] VRRP Instance V1 - Entering MASTER state", "[LB1] VRRP Instance V1 - Stopping")
	if _, err := os.Stat(b.dir + "/fifo"); err == nil {
		t.Error("the FIFO is left behind")
	}
}

// Lines and programs have the priority that trackers make, and each change of it is told, also
// that of an instance in FAULT. Of what a reload does to it an event tells.
func TestPriorities(t *testing.T) {
	b := newBed(t, vrrpFile)
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	lines := b.fifo("fifo")
	priority := func(to string) {
		b.stream.Publish(cluster.Event{Kind: cluster.PriorityChanged, Instance: "V1", To: to})
	}
	priority("140") // before it has a state
	b.state("V1", "backup")
	b.state("V1", "master")
	priority("130")
	b.state("V1", "fault")
	priority("145")
	want := []string{
		`INSTANCE "V1" BACKUP 140`, `INSTANCE "V1" MASTER 140`, `INSTANCE "V1" MASTER_PRIORITY 130`,
		`INSTANCE "V1" FAULT 130`, `INSTANCE "V1" BACKUP_PRIORITY 145`,
	}
	lines(want...)
	b.notifier.Set(b.parse(strings.Replace(vrrpFile, "priority 150", "priority 160", 1)))
	lines(want...)
	priority("155")
	lines(append(want, `INSTANCE "V1" BACKUP_PRIORITY 155`)...)
	run := []string{"any of V1 INSTANCE V1 BACKUP 140", "any of V1 INSTANCE V1 FAULT 130", "any of V1 INSTANCE V1 MASTER 140", "backup", "fault", "master a b"}
	b.told(slices.Clone(run)...) // the end drops those that wait
	b.stop()
	b.told(append(run, "any of V1 INSTANCE V1 STOP 155", "stop")...)
}

// An instance that a reload takes away is DELETED where it has the word, and FAULT otherwise,
// for which notify_fault is not run.
func TestDeleted(t *testing.T) {
	for word, want := range map[string][]string{
		"    notify_deleted \"PROGRAM deleted\"\n": {"any of V1 INSTANCE V1 DELETED 150", "deleted"},
		"    notify_deleted\n":                     {"any of V1 INSTANCE V1 DELETED 150"},
		"":                                         {"any of V1 INSTANCE V1 FAULT 150"},
	} {
		b := newBed(t, strings.Replace(vrrpFile, "    notify_deleted \"PROGRAM deleted\"\n", word, 1))
		b.stream.Publish(cluster.DirectorStarted(0, 1))
		b.fifo("fifo") // it has begun
		b.notifier.Set(b.parse("global_defs {\nrouter_id LB1\n}\n"))
		b.told(want...)
	}
}

const lvsFile = `global_defs {
    router_id LB1
    notification_email {
        one@example.org
    }
    smtp_server 127.0.0.1 PORT
    notify_fifo DIR/fifo
    lvs_notify_fifo DIR/lvs
}
virtual_server 10.0.0.1 80 {
    lb_kind DR
    protocol TCP
    quorum 2
    omega
    alpha
    smtp_alert
    quorum_up "PROGRAM quorum up"
    quorum_down "PROGRAM quorum down"
    real_server 10.0.0.11 80 {
        notify_up "PROGRAM up 11"
        notify_down "PROGRAM down 11"
        TCP_CHECK {
        }
    }
    real_server 10.0.0.12 80 {
        notify_up "PROGRAM up 12"
        notify_down "PROGRAM down 12"
        smtp_alert off
        TCP_CHECK {
        }
    }
}
`

// What virtual and real servers tell, from alpha to omega.
func TestServers(t *testing.T) {
	const name = "TCP 10.0.0.1:80"
	one, two := netip.MustParseAddrPort("10.0.0.11:80"), netip.MustParseAddrPort("10.0.0.12:80")
	tcp := func(e cluster.Event) cluster.Event { e.Checker = "TCP_CHECK"; return e }
	refused := errors.New("connection refused")
	b := newBed(t, lvsFile)
	b.stream.Publish(cluster.DirectorStarted(1, 0))
	all, lvs := b.fifo("fifo"), b.fifo("lvs")
	for _, e := range []cluster.Event{
		cluster.FirstFailed(name, one, "TCP_CHECK", refused),
		tcp(cluster.ServerUp(name, two)), tcp(cluster.ServerUp(name, one)), cluster.QuorumChanged(name, true, 2, 2),
		tcp(cluster.ServerDown(name, one, refused, 1)), cluster.QuorumChanged(name, false, 1, 2),
	} {
		b.stream.Publish(e)
	}
	lines := []string{
		"RS [10.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN", "RS [10.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 UP", "RS [10.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP",
		"VS [10.0.0.1]:tcp:80 UP", "RS [10.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN", "VS [10.0.0.1]:tcp:80 DOWN",
	}
	all(lines...)
	lvs(lines...)
	run := []string{"down 11", "up 12", "up 11", "quorum up", "down 11", "quorum down"}
	b.told(run...)
	b.relay.wantSubjects("[LB1] Realserver [10.0.0.11]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN",
		"[LB1] Realserver [10.0.0.11]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - UP", "[LB1] Virtualserver [10.0.0.1]:tcp:80 - UP",
		"[LB1] Realserver [10.0.0.11]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN", "[LB1] Virtualserver [10.0.0.1]:tcp:80 - DOWN")
	for i, want := range []string{"=> TCP CHECK failed on service <=", "=> TCP CHECK succeed on service <=", "=> Gained quorum 2+0=2 <= 2 <=", "=> TCP CHECK failed on service <=", "=> Lost quorum 2+0=2 <= 1 <="} {
		if mail := b.relay.mails()[i]; !strings.Contains(mail, "\n"+want+"\n") {
			t.Errorf("mail %d is\n%s\nwant %s", i, mail, want)
		}
	}
	b.stop()
	b.told(append(run, "down 12", "quorum down")...)
}

// Without alpha and omega quorum_up runs at the start, and nothing at the end.
func TestWithoutOmega(t *testing.T) {
	file := strings.Replace(strings.Replace(lvsFile, "    omega\n", "", 1), "    alpha\n", "", 1)
	b := newBed(t, file)
	b.stream.Publish(cluster.DirectorStarted(1, 0))
	b.told("quorum up")
	b.relay.wantSubjects("[LB1] Virtualserver [10.0.0.1]:tcp:80 - UP")
	if mail := b.relay.mails()[0]; !strings.Contains(mail, "=> Starting with quorum up 2+0=2 <= 2 <=") {
		t.Errorf("the mail is %s", mail)
	}
	// A server that a reload takes away is down, and a quorum that goes with it is told of by the
	// director.
	at := strings.Index(file, "    real_server 10.0.0.12 80")
	b.notifier.Set(b.parse(file[:at] + "}\n"))
	b.told("quorum up", "down 12")
	b.notifier.Set(b.parse("global_defs {\nrouter_id LB1\n}\n"))
	b.told("quorum up", "down 12", "down 11", "quorum down")
	b.stop()
	b.told("quorum up", "down 12", "down 11", "quorum down")
}

// Programs of a subject run one after the other, in order, and the last state is told though
// others were dropped; a program that hangs keeps no other subject waiting, and ends with weir.
func TestPrograms(t *testing.T) {
	b := newBed(t, strings.Replace(vrrpFile, "notify_fault \"PROGRAM fault\"", "notify_fault \"/bin/sleep 1000\"", 1))
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	b.state("V1", "fault")
	wait(t, func() (string, bool) { // until the program that hangs runs, and notify waits behind it
		s := b.notifier.scripts
		s.mu.Lock()
		defer s.mu.Unlock()
		q := s.queues["INSTANCE V1"]
		return "nothing hangs", q != nil && len(q.jobs) == 1
	})
	for range 200 {
		b.state("V1", "backup")
	}
	wait(t, func() (string, bool) {
		text := b.logs.text()
		return "log:\n" + text, strings.Contains(text, "the oldest that wait are not run")
	})
	begin := time.Now()
	b.stop()
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the end took %v", took)
	}
	b.told("any of V1 INSTANCE V1 STOP 150", "stop")
}

// Under enable_script_security a program that others may write is not run, and the log says so.
func TestScriptSecurity(t *testing.T) {
	b := newBed(t, strings.Replace(vrrpFile, "router_id LB1", "router_id LB1\n    enable_script_security\n    script_user root", 1))
	must(t, os.Chmod(b.dir+"/program", 0o777))
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	b.state("V1", "backup")
	wait(t, func() (string, bool) {
		text := b.logs.text()
		return "log:\n" + text, strings.Contains(text, "may be written by others than root")
	})
}

// A FIFO that nobody reads takes what the pipe holds; the rest is lost, and nothing waits.
func TestFIFOWithoutReader(t *testing.T) {
	b := newBed(t, vrrpFile)
	must(t, os.Remove(b.dir+"/program")) // not what this is about
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	f := b.notifier.fifos
	wait(t, func() (string, bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return "it is not open", f.byKind[forVRRP] != nil
	})
	wide := strings.Repeat("x", 4000)
	for range 100000 {
		f.write(forVRRP, wide)
	}
	if text := b.logs.text(); strings.Count(text, "a FIFO has no room") != 1 {
		t.Errorf("log:\n%s\nwant one line about lost lines", text)
	}
}

// A file that is no FIFO is not written, and stays.
func TestNoFIFO(t *testing.T) {
	b := newBed(t, strings.Replace(vrrpFile, "DIR/fifo", "DIR/told", 1))
	b.stream.Publish(cluster.DirectorStarted(0, 1))
	wait(t, func() (string, bool) {
		text := b.logs.text()
		return "log:\n" + text, strings.Contains(text, "it is no FIFO")
	})
	b.stop()
	if _, err := os.Stat(b.dir + "/told"); err != nil {
		t.Error(err)
	}
}

// fakeRelay takes mails, and notes the dialogue of each.
type fakeRelay struct {
	t    *testing.T
	port int
	mu   sync.Mutex
	all  []string
}

func newRelay(t *testing.T) *fakeRelay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	r := &fakeRelay{t: t, port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.take(c)
		}
	}()
	return r
}

func (r *fakeRelay) take(c net.Conn) {
	defer c.Close()
	var text strings.Builder
	data := false
	fmt.Fprint(c, "220-there\r\n220 are two lines\r\n")
	for s := bufio.NewScanner(c); s.Scan(); {
		fmt.Fprintln(&text, s.Text())
		switch word, _, _ := strings.Cut(s.Text(), " "); {
		case data && s.Text() == ".":
			data = false
			fmt.Fprint(c, "250 taken\r\n")
		case data:
		case word == "DATA":
			data = true
			fmt.Fprint(c, "354 go on\r\n")
		case word == "QUIT":
			r.mu.Lock()
			r.all = append(r.all, text.String())
			r.mu.Unlock()
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 good\r\n")
		}
	}
}

func (r *fakeRelay) mails() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// wantSubjects waits until mails with these subjects have come, in their order.
func (r *fakeRelay) wantSubjects(want ...string) {
	r.t.Helper()
	wait(r.t, func() (string, bool) {
		var got []string
		for _, m := range r.mails() {
			_, rest, _ := strings.Cut(m, "\nSubject: ")
			subject, _, _ := strings.Cut(rest, "\n")
			got = append(got, subject)
		}
		return fmt.Sprintf("mails %q, want %q", got, want), slices.Equal(got, want)
	})
}

// Many who get a mail are named in several lines, none of which is too long for a mail.
func TestManyRecipients(t *testing.T) {
	var to []string
	for n := range 100 {
		to = append(to, fmt.Sprintf("somebody%d@example.org", n))
	}
	got := recipients(to)
	if strings.Join(strings.Split(got, ",\n "), ", ") != strings.Join(to, ", ") {
		t.Errorf("%q", got)
	}
	for line := range strings.SplitSeq(got, "\n") {
		if len("To: "+line) > 998 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if got := recipients([]string{"one@example.org\r\nBcc: two@example.org"}); got != "one@example.org  Bcc: two@example.org" {
		t.Errorf("a line end in an address: %q", got)
	}
}

// A FIFO that weir makes has the mode that umask leaves of 0644, and another one after a reload; one
// that was there keeps its own.
func TestFIFOMode(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	f := newFIFOs(newScripts(log), log)
	defer f.close()
	made, there := filepath.Join(t.TempDir(), "made"), filepath.Join(t.TempDir(), "there")
	if err := unix.Mkfifo(there, 0o600); err != nil {
		t.Fatal(err)
	}
	for mask, want := range map[uint32]os.FileMode{0o177: 0o600, 0: 0o644, 0o027: 0o640} {
		cfg := &conf.Config{}
		cfg.Global.Umask = mask
		cfg.Global.FIFO.Command, cfg.Global.VRRPFIFO.Command = made, there
		f.set(cfg)
		for path, want := range map[string]os.FileMode{made: want, there: 0o600} {
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %#o: %s: %v, %v, want %v", mask, filepath.Base(path), info.Mode(), err, want)
			}
		}
	}
}
