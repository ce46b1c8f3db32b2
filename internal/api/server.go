package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director"
)

// Director is who plans, reloads and tells its state. All may be called from any
// goroutine; an error of the first two says that nothing was done. Snapshot leaves
// Director.Config empty.
type Director interface {
	Plan(*conf.Config) (director.Changes, error)
	Reload(*conf.Config) (director.Changes, error)
	Snapshot(context.Context) (cluster.Snapshot, error)
}

// Server answers for a running weir.
type Server struct {
	director Director
	rules    Rules // nil where nobody asks for them
	events   *cluster.Stream
	listener net.Listener
	ending   context.Context // of Run

	mu     sync.Mutex // one plan or reload at a time
	loader *conf.Loader

	fileMu sync.Mutex // a snapshot does not wait for a reload
	file   string     // that runs
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
	before := unix.Umask(0o177)
	listener, err := net.Listen("unix", path)
	unix.Umask(before)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket: %w", err)
	}
	return &Server{director: d, events: events, listener: listener, file: file, loader: loader}, nil
}

// Run answers until ctx ends. Readers of events get those that have happened by then.
func (s *Server) Run(ctx context.Context) error {
	s.ending = ctx
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/plan", s.answer(s.Plan))
	mux.HandleFunc("POST /v1/reload", s.answer(s.Reload))
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /v1/events", s.stream)
	if s.rules != nil {
		mux.HandleFunc("GET /v1/rules", s.listRules)
		mux.HandleFunc("POST /v1/rules", s.changeRule)
		mux.HandleFunc("DELETE /v1/rules", s.changeRule)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, r.Method+" "+r.URL.Path+
			": expected GET /v1/snapshot, GET /v1/events, POST /v1/plan, POST /v1/reload, or GET, POST or DELETE /v1/rules")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWithin)
		defer cancel()
		if server.Shutdown(within) != nil {
			server.Close()
		}
	})
	err := server.Serve(s.listener)
	if !stop() {
		<-closed
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close closes the socket of a server that does not run.
func (s *Server) Close() error { return s.listener.Close() }

func (s *Server) answer(do func(Request) Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request Request
		status := http.StatusOK
		var answer Answer
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&request); err != nil {
			answer.Error = fmt.Sprintf(`the body: %v; expected JSON such as {"file": "/etc/keepalived/keepalived.conf"}`, err)
			status = http.StatusBadRequest
		} else if answer = do(request); answer.Error != "" {
			status = http.StatusUnprocessableEntity
		}
		reply(w, status, answer)
	}
}

// Plan tells what a reload would change.
func (s *Server) Plan(r Request) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.do(r, s.director.Plan)
}

// Reload does it. The file is the one that runs from then on.
func (s *Server) Reload(r Request) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := time.Now()
	var reading time.Duration
	a := s.do(r, func(cfg *conf.Config) (director.Changes, error) {
		reading = time.Since(begun)
		return s.director.Reload(cfg)
	})
	if a.Error != "" {
		s.events.Publish(cluster.ReloadFailed(a.File, a.Error))
		return a
	}
	s.fileMu.Lock()
	s.file = a.File
	s.fileMu.Unlock()
	s.events.Publish(cluster.ReloadDone(a.File, len(a.Changes.Services), len(a.Changes.Instances), a.Touched, time.Since(begun), reading))
	for _, w := range a.Changes.Restart {
		s.events.Publish(cluster.RestartNeeded(w.Name, w.From, w.To))
	}
	return a
}

// runs is the file that runs.
func (s *Server) runs() string {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.file
}

func (s *Server) do(r Request, act func(*conf.Config) (director.Changes, error)) (a Answer) {
	if a.File = r.File; a.File == "" {
		a.File = s.runs()
	}
	if !filepath.IsAbs(a.File) {
		a.Error = fmt.Sprintf("file %s: expected an absolute path", a.File)
		return a
	}
	cfg, diagnostics, err := Read(s.loader, a.File)
	var text strings.Builder
	if e := diagnostics.Render(&text, r.Colour); e != nil {
		err = e
	}
	a.Diagnostics = text.String()
	if err != nil {
		s.tellMistakes(diagnostics)
	} else {
		a.Changes, err = act(cfg)
		a.Touched = a.Changes.Touched()
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// tellMistakes says where a file is wrong: with SIGHUP nobody else does.
func (s *Server) tellMistakes(diagnostics conf.Diagnostics) {
	for _, d := range diagnostics.All() {
		if d.Severity == conf.Error {
			s.events.Publish(cluster.MistakeFound(d.File, d.Line, d.Column, d.Message, d.Hint))
		}
	}
}
