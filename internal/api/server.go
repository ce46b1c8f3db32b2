package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/director"
	"weir/lvs"
)

// Director is who plans, reloads and tells its state. All may be called from any
// goroutine; an error of the first two says that nothing was done. Snapshot leaves
// Director.Config empty.
type Director interface {
	Plan(*conf.Config) (director.Changes, error)
	Reload(*conf.Config) (director.Changes, error)
	Snapshot(context.Context) (cluster.Snapshot, error)
	State(context.Context) (director.State, error)
}

// Server answers for a running weir.
type Server struct {
	director Director
	rules    Rules // nil where nobody asks for them
	events   *cluster.Stream
	listener net.Listener
	path     string          // of the socket
	readers  atomic.Int32    // of events
	ending   context.Context // of Run
	// Stop ends the process: it returns at once. It is set before Run.
	Stop func()
	// StopTakes, unless it is nil, says how long shutdown_script may take. It is set before Run.
	StopTakes func() time.Duration
	// OtherVRRP, unless it is nil, lists the other programs of this machine that speak VRRP, and the
	// virtual routers that those were heard to advertise. It is
	// set before Run.
	OtherVRRP func() (programs []string, routers []lvs.InstanceID)
	// Tables, unless it is nil, lists the data plane's tables. It is set before Run.
	Tables func() []Table

	mu    sync.Mutex // one plan or reload at a time; it is not held while files are read
	begun uint64     // the number of the last reload that is in force

	loaderMu sync.Mutex
	loader   *conf.Loader // of the last reading; nil while somebody uses it
	linter   conf.Linter
	asked    uint64 // numbers reloads as they are asked for

	fileMu  sync.Mutex // a snapshot does not wait for a reload
	file    string     // that a reload without one reads
	running string     // what runs: that file, or a text that came with a reload
}

// Listen opens the socket. Whoever calls it holds the run folder's lock, so that
// a socket that is there is a dead process's. The file that runs was read by the
// loader. What the server does is published in events, and readers read them there.
func Listen(runDir, file string, loader *conf.Loader, d Director, events *cluster.Stream) (*Server, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	path := Socket(runDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a dead weir's socket: %w", err)
	}
	listener, err := listen(path)
	if err != nil {
		return nil, err
	}
	return &Server{path: path, director: d, events: events, listener: listener, file: file, running: file, loader: loader, linter: loader.Linter}, nil
}

func listen(path string) (net.Listener, error) {
	before := unix.Umask(0o177)
	listener, err := net.Listen("unix", path)
	unix.Umask(before)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	return listener, nil
}

// mostClients bounds the clients that are connected at a time; those that come then wait.
const mostClients = 128

func (s *Server) limited(l net.Listener) net.Listener { return netutil.LimitListener(l, mostClients) }

// lookEvery is how often it is looked whether the socket is still there.
const lookEvery = 2 * time.Second

// keepSocket makes the socket again, with its folder, where somebody has removed it, or has put
// a file in its place.
func (s *Server) keepSocket(ctx context.Context, server *http.Server) {
	look := time.NewTimer(beat.Until(lookEvery))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			look.Reset(beat.Until(lookEvery))
		}
		if at, err := os.Lstat(s.path); err == nil && at.Mode()&os.ModeSocket == 0 {
			_ = os.Remove(s.path) // it stands where the socket was
		} else if !errors.Is(err, os.ErrNotExist) {
			continue
		}
		l, err := s.listenAgain()
		if err != nil {
			continue // the next look tries again
		}
		s.events.Publish(cluster.SocketMade(s.path))
		go server.Serve(s.limited(l)) // it ends with the other one's
	}
}

func (s *Server) listenAgain() (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return nil, err
	}
	return listen(s.path)
}

// Run answers until ctx ends. Readers of events get those that have happened by then.
func (s *Server) Run(ctx context.Context) error {
	s.ending = ctx
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/plan", s.answer(s.Plan))
	mux.HandleFunc("POST /v1/reload", s.answer(s.Reload))
	mux.HandleFunc("POST /v1/stop", s.stop)
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /v1/state", s.state)
	mux.HandleFunc("GET /v1/events", s.stream)
	if s.rules != nil {
		mux.HandleFunc("GET /v1/rules", s.listRules)
		mux.HandleFunc("POST /v1/rules", s.changeRule)
		mux.HandleFunc("DELETE /v1/rules", s.changeRule)
	}
	if s.Tables != nil {
		mux.HandleFunc("GET /v1/tables", s.tables)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, r.Method+" "+r.URL.Path+
			": expected GET /v1/snapshot, GET /v1/state, GET /v1/tables, GET /v1/events, POST /v1/plan, POST /v1/reload, POST /v1/stop, or GET, POST or DELETE /v1/rules")
	})
	server := &http.Server{Handler: s.careful(mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go s.keepSocket(ctx, server)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWithin)
		defer cancel()
		if server.Shutdown(within) != nil {
			server.Close()
		}
	})
	err := server.Serve(s.limited(s.listener))
	if !stop() {
		<-closed
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// careful answers a call that panics with status 500, and tells of it.
func (s *Server) careful(calls http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caught := cluster.Carefully(r.Method+" "+r.URL.Path, func() { calls.ServeHTTP(w, r) }); caught != nil {
			s.events.Publish(cluster.PanicCaught(caught))
			fail(w, http.StatusInternalServerError, caught.Error()) // where the answer had begun, the reader finds it broken
		}
	})
}

// stopping is the answer to a stop.
type stopping struct {
	// Script is how many seconds shutdown_script may take.
	Script float64 `json:"shutdown_script_seconds"`
}

// stop answers POST /v1/stop.
func (s *Server) stop(w http.ResponseWriter, _ *http.Request) {
	if s.Stop == nil {
		fail(w, http.StatusServiceUnavailable, "this weir cannot be stopped by its socket")
		return
	}
	var answer stopping
	if s.StopTakes != nil {
		answer.Script = s.StopTakes().Seconds()
	}
	reply(w, http.StatusOK, answer)
	s.Stop()
}

// Close closes the socket of a server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

// maxBody bounds a question, in bytes: the longest text, as base64, and a name.
const maxBody = conf.MaxFile/3*4 + 1<<16

// readWithin is how long a question may take to arrive.
const readWithin = 30 * time.Second

// readBody reads a question of at most that many bytes, which is all of the body. A field that is
// not known is an error: it is what a caller meant, and would not happen.
func readBody(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(readWithin))
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the end of the JSON")
	}
	return nil
}

func (s *Server) answer(do func(Request) Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request Request
		status := http.StatusOK
		var answer Answer
		if err := readBody(w, r, maxBody, &request); err != nil {
			answer.Error = fmt.Sprintf(`the body: %v; expected JSON such as {"file": "/etc/keepalived/keepalived.conf"}`, err)
			status = http.StatusBadRequest
		} else if answer = do(request); answer.Error != "" {
			status = http.StatusUnprocessableEntity
		}
		reply(w, status, answer)
	}
}

// Plan tells what a reload would change.
func (s *Server) Plan(r Request) Answer { return s.do(r, s.director.Plan) }

// Reload does it. The file is the one that runs from then on.
func (s *Server) Reload(r Request) (a Answer) {
	if caught := cluster.Carefully("a reload", func() { a = s.reload(r) }); caught != nil { // SIGHUP comes by no call
		s.events.Publish(cluster.PanicCaught(caught))
		a = Answer{File: r.File, Error: caught.Error()}
	}
	return a
}

func (s *Server) reload(r Request) Answer {
	begun, number := time.Now(), s.number()
	var reading time.Duration
	a := s.do(r, func(cfg *conf.Config) (director.Changes, error) {
		reading = time.Since(begun)
		if number < s.begun {
			return director.Changes{}, errLater
		}
		s.begun = number
		return s.director.Reload(cfg)
	})
	if a.Error != "" {
		s.events.Publish(cluster.ReloadFailed(a.File, a.Error))
		return a
	}
	s.fileMu.Lock()
	s.running = a.File
	if r.Text == nil {
		s.file = a.File
	}
	s.fileMu.Unlock()
	s.events.Publish(cluster.ReloadDone(a.File, len(a.Changes.Services), len(a.Changes.Instances), a.Touched, time.Since(begun), reading))
	for _, w := range a.Changes.Restart {
		s.events.Publish(cluster.RestartNeeded(w.Name, w.From, w.To))
	}
	return a
}

// errLater is the error of a reload whose files took so long that another overtook it.
var errLater = errors.New("a reload that was asked for later is in force already")

// number is that of a reload that is asked for now.
func (s *Server) number() uint64 {
	s.loaderMu.Lock()
	defer s.loaderMu.Unlock()
	s.asked++
	return s.asked
}

// read reads what a question asks for. Readings do not wait for each other: while a disk
// hangs, the next one has a loader of its own, and reads everything anew.
func (s *Server) read(r Request) (*conf.Config, conf.Diagnostics, error) {
	s.loaderMu.Lock()
	loader := s.loader
	s.loader = nil
	s.loaderMu.Unlock()
	if loader == nil {
		loader = &conf.Loader{Linter: s.linter}
	}
	defer func() {
		s.loaderMu.Lock()
		defer s.loaderMu.Unlock()
		if s.loader == nil {
			s.loader = loader
		}
	}()
	return readAsked(loader, r)
}

// runs is what runs, and the file that a reload reads where none is named.
func (s *Server) runs() (running, file string) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.running, s.file
}

func (s *Server) do(r Request, act func(*conf.Config) (director.Changes, error)) (a Answer) {
	if r.File == "" {
		_, r.File = s.runs()
	}
	a.File = r.File
	if !filepath.IsAbs(a.File) {
		a.Error = fmt.Sprintf("file %s: expected an absolute path", a.File)
		return a
	}
	cfg, diagnostics, err := s.read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	if e := diagnostics.Render(&text, r.Colour); e != nil {
		err = e
	}
	a.Diagnostics = text.String()
	if r.unseen {
		s.tellRemarks(diagnostics)
	}
	if err != nil {
		s.tellMistakes(a.File, diagnostics)
	} else if a.Changes, err = s.mayBeEmpty(r, cfg); err == nil {
		a.Changes, err = act(cfg)
	}
	a.Touched = a.Changes.Touched()
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// mayBeEmpty refuses a configuration that asks for nothing while weir runs services: a
// file that was cut off, or a pipe that nothing came by, looks like that. Changes are those
// that are refused.
func (s *Server) mayBeEmpty(r Request, cfg *conf.Config) (director.Changes, error) {
	if r.Empty || len(cfg.VirtualServers)+len(cfg.VRRPInstances) > 0 {
		return director.Changes{}, nil
	}
	changes, err := s.director.Plan(cfg)
	if err != nil || len(changes.Services) == 0 {
		return director.Changes{}, err
	}
	return changes, fmt.Errorf("%s has no virtual_server and no vrrp_instance, and weir runs %s and %s: to take all of them away, say weir reload --empty",
		r.File, count(len(changes.Services), "virtual server"), count(len(changes.Instances), "VRRP instance"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ReloadUnseen is Reload of the file that runs for a signal, whose answer nobody reads.
func (s *Server) ReloadUnseen() { s.Reload(Request{unseen: true}) }

// tellRemarks says of what in a file weir warns, where nobody is shown that.
func (s *Server) tellRemarks(diagnostics conf.Diagnostics) {
	for _, d := range diagnostics.All() {
		if d.Severity == conf.Warning {
			s.events.Publish(cluster.RemarkFound(d.File, d.Line, d.Column, d.Message, d.Hint))
		}
	}
}

// tellMistakes says where a file is wrong: with SIGHUP nobody else does.
func (s *Server) tellMistakes(file string, diagnostics conf.Diagnostics) {
	told, more := 0, 0
	for _, d := range diagnostics.ForLog(file).All() {
		switch {
		case d.Severity != conf.Error:
		case d.File == file && told >= mostTold:
			more++
		default:
			if d.File == file {
				told++
			}
			s.events.Publish(cluster.MistakeFound(d.File, d.Line, d.Column, d.Message, d.Hint))
		}
	}
	if more > 0 {
		s.events.Publish(cluster.MistakeFound(file, 0, 0, fmt.Sprintf("%d more mistakes", more), "weir check shows them"))
	}
}

// mostTold bounds how many mistakes of a file are told one by one.
const mostTold = 20
