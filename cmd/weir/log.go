package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/api"
)

// jsonLog is the form of a log of which every line is JSON.
const jsonLog = "json"

// newLog writes records in the form that --log names.
func newLog(w io.Writer, form string) (slog.Handler, error) {
	switch form {
	case "text":
		return slog.NewTextHandler(w, nil), nil
	case jsonLog:
		return slog.NewJSONHandler(w, nil), nil
	}
	return nil, fmt.Errorf("--log %s: expected text or json", form)
}

// openLog is newLog to a queue that makes nobody wait, and that other text may be written to.
// To close it writes what waits in it.
func openLog(w io.Writer, form string) (slog.Handler, *lineQueue, error) {
	q := newLineQueue(w, func(n int) []byte {
		var b bytes.Buffer
		if h, err := newLog(&b, form); err == nil {
			slog.New(h).Warn("lines of the log were dropped: nobody reads them", "lines", n)
		}
		return b.Bytes()
	})
	lines, err := newLog(q, form)
	if err != nil {
		q.close()
	}
	return lines, q, err
}

// ignorePipes keeps the process alive where the reader of its log has ended, and running
// where that is a terminal that lets only its foreground job write (stty tostop). Programs
// that it starts get SIGPIPE as ever.
func ignorePipes() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
}

// version is what was built: the commit, or the release.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}

// readConfig reads the file that is to run, enters its network namespace, and shows its
// diagnostics: as people read them, in one text, or as lines of a log that is JSON. No start
// fails because nobody can read them.
func readConfig(ctx context.Context, loader *conf.Loader, o runOptions, text io.Writer, log *slog.Logger) (*conf.Config, error) {
	cfg, diagnostics, err := api.Read(loader, o.config)
	if cfg != nil {
		if err := o.enter(ctx, cfg); err != nil {
			return nil, err
		}
	}
	diagnostics = diagnostics.ForLog(o.config)
	if o.log == jsonLog {
		for _, d := range diagnostics.All() {
			level := map[conf.Severity]slog.Level{conf.Error: slog.LevelError, conf.Warning: slog.LevelWarn}[d.Severity]
			log.Log(context.Background(), level, "configuration", "file", d.File, "line", d.Line, "column", d.Column, "code", d.Code, "what", d.Message, "hint", d.Hint)
		}
	} else {
		var b bytes.Buffer
		if err := diagnostics.Render(&b, colourful(os.Stderr)); err != nil {
			return nil, err
		}
		text.Write(b.Bytes())
	}
	if errors.Is(err, api.ErrMistakes) {
		return nil, errSilent
	}
	return cfg, err
}
