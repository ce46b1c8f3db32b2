// Package api is how other processes speak with a running weir: JSON over HTTP on a
// unix socket in its run folder, for root alone.
//
//	GET  /v1/snapshot  the state of everything at one moment
//	GET  /v1/state     what has been set up on the machine
//	GET  /v1/tables    how much of the data plane's tables is in use, and their memory
//	GET  /v1/events    what happens, as server-sent events
//	POST /v1/plan      what a reload of a file would change
//	POST /v1/reload    do it
//	POST /v1/stop      hand the masterships over at once, and end
//	GET  /v1/rules     the rules that deny or allow clients
//	POST /v1/rules     add a live one
//	DELETE /v1/rules   remove one
//
// docs/api.md has the fields and the kinds of events. The running process reads a regular
// file itself, with what it includes: what it plans is what it would do. The text of
// anything else, such as a pipe, comes with the question: see Text.
package api

import (
	"errors"
	"fmt"
	"path/filepath"

	"weir/conf"
	"weir/internal/director"
)

// Request is the body of a plan and of a reload.
type Request struct {
	// File is an absolute path; empty is the file that runs.
	File string `json:"file"`
	// Text, unless it is nil, is what is to be read instead of the file's own text, in
	// JSON as base64. File is then what it is called, and where its includes are looked
	// for. The file that runs stays the one of before: a reload without a file reads that.
	Text []byte `json:"text,omitzero"`
	// Empty allows a configuration without a virtual server and a VRRP instance, where
	// there are virtual servers.
	Empty bool `json:"empty,omitempty"`
	// unseen says that nobody reads the answer: warnings are logged.
	unseen bool
	// Colour asks for diagnostics as a terminal shows them.
	Colour bool `json:"colour,omitempty"`
}

// Answer is what comes back.
type Answer struct {
	File    string           `json:"file"`
	Changes director.Changes `json:"changes"`
	// Touched counts the live connections that do not go on.
	Touched int `json:"connections_touched"`
	// Diagnostics are the file's mistakes and warnings, as text.
	Diagnostics string `json:"diagnostics,omitempty"`
	// Error is why nothing was done, or could be.
	Error string `json:"error,omitempty"`
}

// Socket is where a weir with this run folder listens.
func Socket(runDir string) string { return filepath.Join(runDir, "weir.sock") }

// Read reads a configuration that is to be run, by the loader of those before. The
// diagnostics are there with an error, too.
func Read(loader *conf.Loader, file string) (*conf.Config, conf.Diagnostics, error) {
	cfg, diagnostics := loader.Load(file)
	return ready(file, cfg, diagnostics)
}

// readAsked reads what a question asks for.
func readAsked(loader *conf.Loader, r Request) (*conf.Config, conf.Diagnostics, error) {
	var cfg *conf.Config
	var diagnostics conf.Diagnostics
	if r.Text != nil {
		cfg, diagnostics = loader.Parse(r.File, r.Text)
	} else {
		cfg, diagnostics = loader.Reload(r.File)
	}
	return ready(r.File, cfg, diagnostics)
}

func ready(file string, cfg *conf.Config, diagnostics conf.Diagnostics) (*conf.Config, conf.Diagnostics, error) {
	switch {
	case diagnostics.HasErrors():
		return nil, diagnostics, ErrMistakes
	case diagnostics.Unready():
		return nil, diagnostics, fmt.Errorf("%s asks for what weir cannot do yet, see above", file)
	}
	return cfg, diagnostics, nil
}

// ErrMistakes says that the diagnostics have told of errors.
var ErrMistakes = errors.New("the file has mistakes; everything is as it was")
