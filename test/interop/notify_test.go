package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/test/postbox"
)

// listener is a director that tells of itself, and all that it has told: lines in FIFOs,
// programs with their words, and mails.
type listener struct {
	*stage
	name    string // weir or keepalived
	running *program
	mails   postbox.Box
	ended   bool
	fifos   map[string]*hearing
}

// hearing is the bytes that have come out of a FIFO.
type hearing struct {
	mu   sync.Mutex
	text []byte
}

func (h *hearing) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p...)
	return len(p), nil
}

func (h *hearing) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}

// telling are the words that tell of a subject; each program writes into a file of its own.
func telling(subject string, words ...string) (text string) {
	for _, w := range words {
		text += fmt.Sprintf("%s \"DIR/note DIR/told/%s.%s 'two words'\"\n", w, subject, w)
	}
	return text + "smtp_alert\n"
}

var ofInstances = []string{"notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_deleted", "notify_master_rx_lower_pri"}

// channels are the global words of all that is told.
const channels = `global_defs {
router_id "the director"
notification_email {
one@example.org
two@example.org
}
notification_email_from weir@example.org
smtp_server 127.0.0.1 2525
smtp_helo_name director.example.org
smtp_connect_timeout 20
script_user root
notify_fifo DIR/all
vrrp_notify_fifo DIR/vrrp
vrrp_notify_priority_changes
}
`

// startListener begins a director on a machine of its own.
func startListener(t *testing.T, s *story, name string) *listener {
	t.Helper()
	l := &listener{stage: newStage(t, s), name: name, fifos: map[string]*hearing{}}
	lo, err := l.stage.host.LinkByName("lo")
	must(t, err)
	must(t, l.stage.host.LinkSetUp(lo))
	must(t, within(l.stage.host.ns, func() error {
		relay, err := net.Listen("tcp", "127.0.0.1:2525")
		if err == nil {
			t.Cleanup(func() { relay.Close() })
			go l.mails.Serve(relay)
		}
		return err
	}))
	for _, fifo := range []string{"all", "vrrp"} {
		path := filepath.Join(l.dir, fifo)
		must(t, unix.Mkfifo(path, 0o600))
		f, err := os.OpenFile(path, os.O_RDWR, 0) // for writing, too: so it has no end
		must(t, err)
		heard := &hearing{}
		l.fifos[fifo] = heard
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(heard, f)
		}()
		t.Cleanup(func() { f.Close(); <-ended })
	}
	must(t, os.Mkdir(filepath.Join(l.dir, "told"), 0o755))
	must(t, os.WriteFile(filepath.Join(l.dir, "note"), []byte("#!/bin/bash\nfile=$1\nshift\nIFS=,\necho \"$*\" >>\"$file\"\n"), 0o755))
	l.waitLinks()
	l.running = startProgram(t, l.stage.host, name, l.text(s.conf))
	return l
}

// waitLinks waits until the machine's links are up: keepalived begins in FAULT until then.
func (l *listener) waitLinks() {
	l.t.Helper()
	for _, name := range []string{"ens160", "ens192", "ens224"} {
		eventually(l.t, name+" is up", time.Minute, func() bool {
			link, err := l.stage.host.LinkByName(name)
			must(l.t, err)
			return link.Attrs().OperState == netlink.OperUp
		})
	}
}

// text is a configuration with the paths of this director.
func (l *listener) text(text string) string {
	if l.name == "weir" {
		text = smallTables + text
	}
	return strings.ReplaceAll(text, "DIR", l.stage.dir)
}

// told is all that a director has told so far.
func (l *listener) told(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"all", "vrrp"} {
		fmt.Fprintf(&b, "FIFO %s:\n%s", name, bySubject(l.fifos[name].String()))
	}
	files, err := filepath.Glob(l.stage.dir + "/told/*")
	must(t, err)
	slices.Sort(files)
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		fmt.Fprintf(&b, "program %s:\n%s", filepath.Base(path), text)
	}
	letters := l.mails.Letters()
	if l.ended {
		letters = nil
	}
	for _, letter := range letters {
		fmt.Fprintf(&b, "mail:\n%s", letter)
	}
	return b.String()
}

// bySubject sorts the lines of a FIFO by what they are about, since several instances change at
// once, in no order.
func bySubject(text string) string {
	lines := strings.SplitAfter(text, "\n")
	subject := func(line string) string { return strings.Join(strings.Fields(line + " ? ?")[:2], " ") }
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(subject(a), subject(b)) })
	return strings.Join(lines, "")
}

// tale is a story in which what is told counts.
type tale struct {
	story
	acts []act
}

// act is something that happens, and the lines of the FIFO that follow from it.
type act struct {
	do   func(*listener)
	says string
}

func on(do func(*stage)) func(*listener) { return func(l *listener) { do(l.stage) } }

// again reloads with another text in the story's file.
func again(from, to string) func(*listener) {
	return func(l *listener) {
		text := strings.Replace(l.story.conf, from, to, 1)
		if text == l.story.conf {
			l.t.Fatalf("%q is not in the file", from)
		}
		l.running.reload(l.t, l.text(text))
	}
}

// ends is the end. keepalived does not wait until its mails about it are sent: they do not count.
func ends(l *listener) {
	l.running.stop()
	l.ended = true
}

// tales are told by "make interop", and the short one in other runs.
var tales = []tale{
	{story: story{name: "a device goes and comes back", short: true, conf: channels + instance(1, "ens160", 100, telling("VI_1", ofInstances...))},
		acts: []act{{on(nothing), `"VI_1" MASTER 100`}, {on(down("ens160")), `"VI_1" FAULT 100`}, {on(up("ens160")), `"VI_1" MASTER 100`}}},
	{story: story{name: "an instance", rival: instance(1, "ens160", 200, ""),
		conf: channels + fmt.Sprintf(numberFile, "weight 1\ninit_file 0") +
			instance(1, "ens160", 100, "track_file {\nn\n}\n"+telling("VI_1", ofInstances...)) + instance(2, "ens192", 100, telling("VI_2", ofInstances...))},
		acts: []act{
			{on(nothing), `"VI_1" MASTER 100;"VI_2" MASTER 100`}, {on(down("ens160")), `"VI_1" FAULT 100`}, {on(up("ens160")), `"VI_1" MASTER 100`},
			{on(rivalStarts), `"VI_1" BACKUP 100`}, {on(rivalStops), `"VI_1" MASTER 100`}, {on(write("n", "-10")), `"VI_1" MASTER_PRIORITY 90`},
			{on(down("ens160")), `"VI_1" FAULT 90`}, {on(write("n", "5")), `"VI_1" BACKUP_PRIORITY 105`}, {on(up("ens160")), `"VI_1" MASTER 105`},
		}},
	{story: story{name: "a group", rival: instance(1, "ens160", 200, ""),
		conf: channels + strings.TrimSuffix(inBoth, "}\n") + telling("G", "notify", "notify_master", "notify_backup", "notify_fault", "notify_stop") + "}\n" +
			instance(1, "ens160", 100, telling("VI_1", ofInstances...)) + instance(2, "ens192", 100, telling("VI_2", ofInstances...))},
		acts: []act{
			{on(nothing), `"VI_1" MASTER 100;"VI_2" MASTER 100;"G" MASTER 0`}, {on(down("ens192")), `"G" FAULT 0`}, {on(up("ens192")), `"G" MASTER 0`},
			{on(rivalStarts), `"G" BACKUP 0`}, {on(rivalStops), `"G" MASTER 0`},
		}},
	{story: story{name: "an instance is deleted", conf: channels + instance(1, "ens160", 100, telling("VI_1", ofInstances...)) + instance(2, "ens192", 100, telling("VI_2", ofInstances...))},
		acts: []act{
			{on(nothing), `"VI_1" MASTER 100;"VI_2" MASTER 100`},
			{again(instance(2, "ens192", 100, telling("VI_2", ofInstances...)), ""), `"VI_2" DELETED 100`},
		}},
	{story: story{name: "the end", conf: channels + instance(1, "ens160", 100, telling("VI_1", ofInstances...)) + instance(2, "ens192", 100, telling("VI_2", ofInstances...))},
		acts: []act{{on(nothing), `"VI_1" MASTER 100;"VI_2" MASTER 100`}, {ends, `"VI_1" STOP 100;"VI_2" STOP 100`}}},
}

// TestTellsLikeKeepalived has weir and the real keepalived run the same programs, write the
// same bytes into their FIFOs, and send the same mails.
func TestTellsLikeKeepalived(t *testing.T) {
	t.Parallel()
	for _, s := range tales {
		if s.short || *all {
			t.Run(s.name, func(t *testing.T) { tell(t, s) })
		}
	}
}

func tell(t *testing.T, s tale) {
	t.Parallel()
	both := []*listener{startListener(t, &s.story, "weir"), startListener(t, &s.story, "keepalived")}
	marks := make([]int, len(both))
	for n, a := range s.acts {
		for _, l := range both {
			a.do(l)
		}
		for i, l := range both {
			for want := range strings.FieldsFuncSeq(a.says, func(r rune) bool { return r == ';' }) {
				l.says(t, fmt.Sprintf("step %d", n+1), want, marks[i])
			}
		}
		var ours, theirs string
		for since, deadline := time.Now(), time.Now().Add(time.Minute); time.Since(since) < 2*time.Second; time.Sleep(100 * time.Millisecond) {
			if ours, theirs = both[0].told(t), both[1].told(t); ours != theirs {
				since = time.Now()
			}
			if time.Now().After(deadline) {
				t.Fatalf("step %d: weir has told\n%s\nkeepalived\n%s", n+1, ours, theirs)
			}
		}
		for i, l := range both {
			marks[i] = len(l.fifos["vrrp"].String())
		}
	}
}

// says waits for a line behind those of before.
func (l *listener) says(t *testing.T, step, want string, mark int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text := l.fifos["vrrp"].String()
		if strings.Contains(text[mark:], want+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no %q behind %d bytes of %q", step, want, mark, text)
		}
	}
}
