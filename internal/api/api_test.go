package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director"
)

// picture is who plans and reloads: it notes what it is asked.
type picture struct {
	asked   []string
	refuses error
	state   cluster.Snapshot
	serves  bool // it has a virtual server and a VRRP instance
}

func (p *picture) answer(verb string, cfg *conf.Config) (director.Changes, error) {
	p.asked = append(p.asked, verb+" "+cfg.Summary())
	if p.serves {
		return director.Changes{
			Services:  []director.ServiceChange{{Service: "TCP 192.0.2.100:80", Kind: director.Removed}},
			Instances: []director.InstanceChange{{Instance: "V", Kind: director.Removed}},
		}, p.refuses
	}
	return director.Changes{Settings: []director.Setting{{Name: "device", From: "", To: "eth0 tc"}}}, p.refuses
}
func (p *picture) Plan(cfg *conf.Config) (director.Changes, error) { return p.answer("plan", cfg) }
func (p *picture) Reload(cfg *conf.Config) (director.Changes, error) {
	return p.answer("reload", cfg)
}
func (p *picture) Snapshot(context.Context) (cluster.Snapshot, error) { return p.state, p.refuses }
func (p *picture) State(context.Context) (director.State, error) {
	return director.State{Devices: []director.DeviceState{{Name: "eth0", Hook: "auto"}}}, p.refuses
}

// newStream is a stream whose log nobody reads.
func newStream() *cluster.Stream { return cluster.NewStream(func(cluster.Event) {}) }

const (
	goodFile   = "virtual_server 192.0.2.100 80 {\n    lb_algo rr\n    lb_kind DR\n    protocol TCP\n    real_server 192.0.2.1 80 {\n    }\n}\n"
	brokenFile = "weir {\n    devise eth0 {\n    }\n}\n"
)

// serve runs a server with a file that runs, until the test ends.
func serve(t *testing.T, p *picture) (runDir, file string, client *Client) {
	t.Helper()
	runDir, file, _ = serveEvents(t, p, newStream())
	return runDir, file, NewClient(runDir)
}

// serveEvents is serve with a stream of the test's own; stop ends the server.
func serveEvents(t *testing.T, p Director, events *cluster.Stream) (runDir, file string, stop func()) {
	t.Helper()
	runDir = t.TempDir()
	file = filepath.Join(runDir, "keepalived.conf")
	write(t, file, goodFile)
	s, err := Listen(runDir, file, new(conf.Loader), p, events)
	if err != nil {
		t.Fatal(err)
	}
	return runDir, file, running(t, s)
}

// running runs a server until the test ends, or stop is called.
func running(t *testing.T, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// One conversation, step by step.
func TestConversation(t *testing.T) {
	p := &picture{}
	runDir, file, client := serve(t, p)
	other := filepath.Join(runDir, "other.conf")
	write(t, other, goodFile)
	broken := filepath.Join(runDir, "broken.conf")
	write(t, broken, brokenFile)
	const summary = " 0 VRRP instances, 1 virtual server, 1 real server"
	for _, step := range []struct {
		what, file string
		verb       func(*Client, context.Context, Request) (Answer, error)
		refuses    error
		asked      string // "" where the director is not asked
		fileOf     string
		want       string // of the error
		says       string // of the diagnostics
	}{
		{"a plan of the file that runs", "", (*Client).Plan, nil, "plan" + summary, file, "", ""},
		{"a plan of another", other, (*Client).Plan, nil, "plan" + summary, other, "", ""},
		{"a reload of the file that runs", "", (*Client).Reload, nil, "reload" + summary, file, "", ""},
		{"a reload that is refused", other, (*Client).Reload, errors.New("no room"), "reload" + summary, other, "no room", ""},
		{"the file that runs is still the first", "", (*Client).Plan, nil, "plan" + summary, file, "", ""},
		{"a reload of another", other, (*Client).Reload, nil, "reload" + summary, other, "", ""},
		{"that one runs now", "", (*Client).Plan, nil, "plan" + summary, other, "", ""},
		{"a broken file", broken, (*Client).Reload, nil, "", broken, "the file has mistakes", broken + ":2:5: error"},
		{"a file that is not there", "/nonexistent", (*Client).Plan, nil, "", "/nonexistent", "the file has mistakes", "cannot be read"},
		{"a relative path", "keepalived.conf", (*Client).Plan, nil, "", "keepalived.conf", "expected an absolute path", ""},
	} {
		p.asked, p.refuses = nil, step.refuses
		a, err := step.verb(client, t.Context(), Request{File: step.file})
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := strings.Join(p.asked, ", "); got != step.asked || a.File != step.fileOf {
			t.Errorf("%s: asked %q of %s, want %q of %s", step.what, got, a.File, step.asked, step.fileOf)
		}
		if (a.Error == "") != (step.want == "") || !strings.Contains(a.Error, step.want) || !strings.Contains(a.Diagnostics, step.says) {
			t.Errorf("%s: error %q, want %q; diagnostics %q, want %q", step.what, a.Error, step.want, a.Diagnostics, step.says)
		}
		if step.want == "" && a.Changes.Empty() {
			t.Errorf("%s: the changes got lost", step.what)
		}
	}
}

// A text that comes with a question is read instead of a file, with its includes, and is
// not what a later reload without a file reads.
func TestTextThatComesWithTheQuestion(t *testing.T) {
	p := &picture{}
	runDir, file, client := serve(t, p)
	write(t, filepath.Join(runDir, "services.conf"), goodFile)
	reload := func(r Request) Answer {
		t.Helper()
		p.asked = nil
		a, err := client.Reload(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	text := filepath.Join(runDir, "(standard input)")
	a := reload(Request{File: text, Text: []byte("include services.conf\n# \xff, 20 °C\n")})
	if a.Error != "" || a.File != text || len(p.asked) != 1 || !strings.Contains(p.asked[0], "1 virtual server") {
		t.Errorf("got %+v, asked %q", a, p.asked)
	}
	if s, err := client.Snapshot(t.Context()); err != nil || s.Director.Config != text {
		t.Errorf("%v: %q runs, want the text", err, s.Director.Config)
	}
	if a := reload(Request{}); a.File != file {
		t.Errorf("a reload without a file reads %s, want %s", a.File, file)
	}
	if a := reload(Request{File: text, Text: []byte(brokenFile)}); !strings.Contains(a.Diagnostics, text+":2:5: error") {
		t.Errorf("a mistake in a text: %q", a.Diagnostics)
	}
	p.serves = true
	if a := reload(Request{File: text, Text: []byte{}}); !strings.Contains(a.Error, "no virtual_server and no vrrp_instance") {
		t.Errorf("a text of nothing: %+v", a)
	}
}

// What is no regular file is another one for the process that runs than for the caller:
// it is not read, nor waited for.
func TestFileThatIsNotRegular(t *testing.T) {
	p := &picture{}
	runDir, _, client := serve(t, p)
	pipe := filepath.Join(runDir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{pipe, "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/fd/0", runDir} {
		a, err := client.Reload(t.Context(), Request{File: file})
		if err != nil {
			t.Fatal(err)
		}
		if a.Error == "" || !strings.Contains(a.Diagnostics, "cannot be read: it is ") || p.asked != nil {
			t.Errorf("%s: %+v", file, a)
		}
	}
}

// A file that asks for nothing is refused while weir does something, unless the question
// says that this is meant.
func TestFileThatAsksForNothing(t *testing.T) {
	p := &picture{serves: true}
	runDir, _, client := serve(t, p)
	file := filepath.Join(runDir, "empty.conf")
	for _, tt := range []struct {
		name, text   string
		serves, says bool
		refused      bool
	}{
		{"empty", "", true, false, true},
		{"only settings", "global_defs {\n}\n", true, false, true},
		{"empty, and meant", "", true, true, false},
		{"empty, while there is nothing", "", false, false, false},
		{"a service", goodFile, true, false, false},
	} {
		write(t, file, tt.text)
		p.serves = tt.serves
		for name, verb := range map[string]func(*Client, context.Context, Request) (Answer, error){"plan": (*Client).Plan, "reload": (*Client).Reload} {
			a, err := verb(client, t.Context(), Request{File: file, Empty: tt.says})
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tt.refused {
				want = file + " has no virtual_server and no vrrp_instance, and weir runs 1 virtual server and 1 VRRP instance: to take all of them away, say weir reload --empty"
			}
			if a.Error != want {
				t.Errorf("%s, %s: error %q, want %q", tt.name, name, a.Error, want)
			}
		}
	}
}

// The socket is for its owner alone, and a dead process's is in nobody's way.
func TestSocket(t *testing.T) {
	runDir, _, _ := serve(t, &picture{})
	info, err := os.Stat(Socket(runDir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	again, err := Listen(runDir, "x", new(conf.Loader), &picture{}, newStream())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestNobodyListens(t *testing.T) {
	dir := t.TempDir()
	_, err := NewClient(dir).Plan(t.Context(), Request{})
	if want := "no weir runs with " + dir + ": start it by weir run -f FILE"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What a caller did not mean is not done: a question is one JSON object of known fields.
func TestBodiesThatAreWrong(t *testing.T) {
	_, _, client := serve(t, &picture{})
	for _, body := range []string{"file", "", "[]", `{"fiel": "/etc/keepalived/other.conf"}`, `{"file": 5}`, `{} {}`, `{"text": "no base64!"}`} {
		response, err := client.http.Post("http://weir/v1/plan", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %s, want 400", body, response.Status)
		}
	}
}

// pipes is a listener whose clients are ends of net.Pipe.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error {
	close(p)
	return nil
}
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// A client that sends a question by and by is answered when its time is over, whatever it asks:
// those whose number bounds all clients do not stay.
func TestSlowQuestions(t *testing.T) {
	for _, path := range []string{"/v1/plan", "/v1/reload", "/v1/rules"} {
		t.Run(path, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "weir.sock") // which is there, and nobody asks
			idle, err := listen(file)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			synctest.Test(t, func(t *testing.T) {
				clients := make(pipes)
				s := &Server{path: file, director: &picture{}, events: newStream(), rules: new(table), listener: clients}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				here, there := net.Pipe()
				clients <- there
				begun, gone := time.Now(), make(chan struct{})
				go func() {
					defer close(gone)
					fmt.Fprintf(here, "POST %s HTTP/1.1\r\nHost: weir\r\nContent-Length: 1000\r\n\r\n", path)
					for range 1000 {
						if _, err := here.Write([]byte{' '}); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				response, err := http.ReadResponse(bufio.NewReader(here), nil)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took != readWithin || response.StatusCode != http.StatusBadRequest {
					t.Errorf("status %s after %v, want 400 after %v", response.Status, took, readWithin)
				}
				here.Close()
				<-gone
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A socket that somebody removes, with its folder, or replaces by a file, is there again.
func TestSocketIsMadeAgain(t *testing.T) {
	runDir, _, client := serve(t, &picture{})
	path := Socket(runDir)
	for _, spoil := range []func() error{
		func() error { return os.RemoveAll(runDir) },
		func() error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("x"), 0o600)) },
		func() error { return errors.Join(os.Remove(path), os.Symlink("nowhere", path)) },
		func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := client.Snapshot(t.Context()); err == nil {
				break
			} else if time.Now().After(end) {
				t.Fatal(err)
			}
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
		}
	}
}

// Readers of events, of whom each stays, are bounded: others get through.
func TestReadersAreBounded(t *testing.T) {
	_, _, client := serve(t, &picture{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range mostReaders {
		begun := make(chan bool, 1)
		go func() {
			for told, err := range client.Events(ctx, 0) {
				if told.Begin != nil {
					begun <- err == nil
				}
			}
		}()
		if !<-begun {
			t.Fatal("a reader was refused")
		}
	}
	for _, err := range client.Events(ctx, 0) {
		if err == nil || !strings.Contains(err.Error(), "clients read events already") {
			t.Errorf("one more reader: %v", err)
		}
		break
	}
	if _, err := client.Snapshot(ctx); err != nil {
		t.Errorf("a snapshot meanwhile: %v", err)
	}
}

// Mistakes of an included file are told without its text: it may be none of weir's.
func TestIncludedFileIsNotEchoed(t *testing.T) {
	events := newStream()
	runDir, file, _ := serveEvents(t, &picture{}, events)
	secret := filepath.Join(runDir, "secrets")
	write(t, secret, "root:topsecret:1\ndaemon:alsosecret:2\n")
	write(t, file, "include secrets\nnonsense\n"+goodFile)
	if a, err := NewClient(runDir).Reload(t.Context(), Request{}); err != nil || a.Error == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	var told []string
	for sub := events.Subscribe(0); ; {
		e, _, ok := sub.Held()
		if !ok {
			break
		}
		if e.Kind == cluster.ConfigurationFlaw {
			told = append(told, fmt.Sprint(e.Details))
		}
	}
	all := strings.Join(told, "\n")
	if len(told) != 2 || strings.Contains(all, "secret:") || !strings.Contains(all, secret) || !strings.Contains(all, "nonsense") {
		t.Errorf("told\n%s", all)
	}
}
