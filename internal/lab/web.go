package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// countPath is where a web server tells how many other requests it answered.
const countPath = "/requests"

// Web runs a web server that answers every request with its name on a line,
// until the context ends. It logs "listening" once it accepts connections.
func Web(ctx context.Context, log *slog.Logger, listen, name string) error {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // as a plain web server listens
	listener, err := config.Listen(ctx, networkOf(listen), listen)
	if err != nil {
		return fmt.Errorf("web server %q: %w", name, err)
	}
	var answered atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc(countPath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, answered.Load())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answered.Add(1)
		io.WriteString(w, name+"\n")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Info("listening", "address", listener.Addr().String())
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web server %q: %w", name, err)
	}
	log.Info("stopped", "answered", answered.Load())
	return nil
}

// networkOf keeps an IPv4 address to IPv4: Go would listen to 0.0.0.0 with an
// IPv6 socket that takes both.
func networkOf(listen string) string {
	if addr, err := netip.ParseAddrPort(listen); err == nil && addr.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}
