package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// RequestTimeout is how long a client waits for one request, from the first
// SYN to the last byte of the answer. The kernel repeats a lost SYN after one
// second, so a lost SYN is a failed request.
const RequestTimeout = time.Second

// Failure is why a request got no answer.
type Failure string

const (
	Refused  Failure = "refused"     // RST for an answer to the SYN
	Reset    Failure = "reset"       // RST or end in the middle
	TimedOut Failure = "timed out"   // nothing within RequestTimeout
	NoRoute  Failure = "no route"    // ICMP or ARP said there is no way
	Wrong    Failure = "wrong reply" // an answer that is not the page
)

// Failures lists all kinds in the order in which they are told.
var Failures = [...]Failure{Refused, Reset, TimedOut, NoRoute, Wrong}

// Result is one request.
type Result struct {
	Start   time.Time
	Latency time.Duration
	// By is the page: who answered; empty when the request failed.
	By string
	// Failure is empty when the request succeeded; Err has the details.
	Failure Failure
	Err     error
}

// End is when the answer was there, or the failure.
func (r Result) End() time.Time { return r.Start.Add(r.Latency) }

// get makes one HTTP/1.1 request on a connection of its own, from inside a
// namespace.
func get(ctx context.Context, ns *Namespace, address, path string) Result {
	r := Result{Start: time.Now()}
	ctx, cancel := context.WithDeadline(ctx, r.Start.Add(RequestTimeout))
	defer cancel()
	r.By, r.Err = fetch(ctx, ns, address, path)
	r.Latency = time.Since(r.Start)
	r.Failure = classify(r.Err)
	return r
}

func fetch(ctx context.Context, ns *Namespace, address, path string) (string, error) {
	conn, err := dial(ctx, ns, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: weir-lab\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	answer := bufio.NewReader(conn)
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return "", err
	}
	// The server ends the connection, and remembers it: a client that did would not
	// have its source port back for a minute.
	if _, err := answer.WriteTo(io.Discard); err != nil {
		return "", err
	}
	by := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK || by == "" {
		return "", fmt.Errorf("status %s, body %q", response.Status, body)
	}
	return by, nil
}

func classify(err error) Failure {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return NoRoute
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return TimedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Reset
	}
	return Wrong
}

// Requests makes n requests one after the other, each on a connection of its
// own, and tells how they went. It stops early when the context ends.
func Requests(ctx context.Context, ns *Namespace, address string, n int) Stats {
	var results []Result
	start := time.Now()
	for range n {
		r := get(ctx, ns, address, "/")
		if ctx.Err() != nil {
			break
		}
		results = append(results, r)
	}
	return summarise(results, start, time.Now())
}
