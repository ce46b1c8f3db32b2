package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/director"
)

// Director is who plans and reloads. Both may be called from any goroutine; an
// error says that nothing was done.
type Director interface {
	Plan(*conf.Config) (director.Changes, error)
	Reload(*conf.Config) (director.Changes, error)
}

// Server answers for a running weir.
type Server struct {
	director Director
	log      *slog.Logger
	listener net.Listener

	mu     sync.Mutex // one plan or reload at a time
	file   string     // that runs
	loader *conf.Loader
}

// Listen opens the socket. Whoever calls it holds the run folder's lock, so that
// a socket that is there is a dead process's. The file that runs was read by the
// loader.
func Listen(runDir, file string, loader *conf.Loader, d Director, log *slog.Logger) (*Server, error) {
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
		return nil, fmt.Errorf("listen for plan and reload: %w", err)
	}
	return &Server{director: d, log: log, listener: listener, file: file, loader: loader}, nil
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/plan", s.answer(s.Plan))
	mux.HandleFunc("POST /v1/reload", s.answer(s.Reload))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
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
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(answer) // whom it does not reach has gone
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
		s.log.Error("reload refused, everything is as it was", "file", a.File, "error", a.Error)
		return a
	}
	s.file = a.File
	s.log.Info("reloaded", "file", a.File, "services", len(a.Changes.Services), "vrrp_instances", len(a.Changes.Instances),
		"connections_touched", a.Touched, "took", time.Since(begun).String(), "of_it_reading", reading.String())
	for _, w := range a.Changes.Restart {
		s.log.Warn("takes a restart", "setting", w.Name, "from", w.From, "to", w.To)
	}
	return a
}

func (s *Server) do(r Request, act func(*conf.Config) (director.Changes, error)) (a Answer) {
	if a.File = r.File; a.File == "" {
		a.File = s.file
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
		s.logMistakes(diagnostics)
	} else {
		a.Changes, err = act(cfg)
		a.Touched = a.Changes.Touched()
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// logMistakes says where a file is wrong: with SIGHUP nobody else does.
func (s *Server) logMistakes(diagnostics conf.Diagnostics) {
	for _, d := range diagnostics.All() {
		if d.Severity == conf.Error {
			s.log.Error("mistake in the configuration", "file", d.File, "line", d.Line, "column", d.Column, "what", d.Message, "hint", d.Hint)
		}
	}
}
