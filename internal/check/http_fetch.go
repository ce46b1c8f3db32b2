package check

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Bounds of an answer. keepalived has no room for a header of more than 4 KB.
const (
	maxHTTPHeader = 64 << 10
	maxHTTPBody   = 256 << 20
)

// Answer is what a web server answers.
type Answer struct {
	// Header is the status line and the header, with the blank line at its end.
	Header []byte
	Status int
	// Size is the length of the body, as it came: a transfer coding is not undone.
	Size int64
	// Sum is the MD5 sum of the body, of no more than Content-Length.
	Sum []byte
	// Body is its beginning, as much as was to be kept.
	Body []byte
}

// Stage is how far an exchange with a web server came before it failed.
type Stage int

// The stages behind the connection, whose own failure is no ExchangeError.
const (
	Handshake Stage = iota + 1 // of TLS
	Exchange                   // of request and answer
)

// ExchangeError is why an exchange failed behind the connection.
type ExchangeError struct {
	Stage Stage
	// What is what was asked for: the page's path, or "TLS handshake".
	What string
	// Err wraps io.EOF where the server has not answered at all, and
	// os.ErrDeadlineExceeded where it did not answer in time.
	Err error
}

func (e *ExchangeError) Error() string { return e.What + ": " + e.Err.Error() }

func (e *ExchangeError) Unwrap() error { return e.Err }

// Fetch asks for a page and returns the answer as it comes, be it HTTP or not, with so
// many bytes of its body. The errors are those of Check.
func (h *HTTP) Fetch(ctx context.Context, page Page, keep int) (*Answer, error) {
	return h.fetch(ctx, page, reading{md5.New(), keep, true})
}

// fetch asks for a page. The server has the time-out to connect, with TLS, and once more
// to answer.
func (h *HTTP) fetch(ctx context.Context, page Page, how reading) (*Answer, error) {
	deadline := h.deadline()
	tcp, err := h.dial(ctx, "tcp")
	if err != nil {
		return nil, err
	}
	defer h.hangUp(tcp)
	release, err := bound(ctx, tcp, deadline)
	if err != nil {
		return nil, h.reason(ctx, err)
	}
	defer func() { release() }()
	conn := tcp
	if h.Shared != nil {
		secure := tls.Client(tcp, h.Shared.clientOf(page))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, h.broken(ctx, Handshake, "TLS handshake", err)
		}
		if page.CloseNotify {
			defer secure.Close()
		}
		conn = secure
	}
	release()
	if release, err = bound(ctx, tcp, h.deadline()); err != nil {
		return nil, h.reason(ctx, err)
	}
	return h.exchange(ctx, conn, page, how)
}

// exchange sends the request and reads the answer.
func (h *HTTP) exchange(ctx context.Context, conn net.Conn, page Page, how reading) (*Answer, error) {
	if _, err := io.WriteString(conn, h.request(page)); err != nil {
		return nil, h.broken(ctx, Exchange, page.Path, err)
	}
	answer, err := readAnswer(conn, how)
	if err != nil {
		return nil, h.broken(ctx, Exchange, page.Path, err)
	}
	return answer, nil
}

// request is keepalived's, letter by letter.
func (h *HTTP) request(page Page) string {
	version, closes := "1.0", ""
	if h.Protocol == "1.1" {
		version = "1.1"
	}
	if h.Protocol != "1.0" {
		closes = "Connection: close\r\n"
	}
	host := page.Host
	if host == "" {
		host = h.Target.String()
	}
	return "GET " + page.Path + " HTTP/" + version + "\r\nUser-Agent: KeepAliveClient\r\n" + closes + "Host: " + host + "\r\n\r\n"
}

// broken is the reason of a failure while something was exchanged.
func (h *HTTP) broken(ctx context.Context, stage Stage, what string, err error) error {
	err = h.reason(ctx, err)
	var own *OwnError
	switch {
	case ctx.Err() != nil || errors.As(err, &own):
		return err
	case errors.Is(err, io.EOF):
		err = as("the server closed the connection without an answer", io.EOF)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the connection broke off")
	}
	return &ExchangeError{stage, what, err}
}

// readRoom has buffers to read by.
var readRoom = sync.Pool{New: func() any {
	room := make([]byte, 16<<10)
	return &room
}}

// reading is how an answer is read: the sum of its body, how much of that is kept, and
// whether it may be anything.
type reading struct {
	sum      hash.Hash
	keep     int
	anything bool
}

// readAnswer reads an answer up to its end: that of Content-Length, or of the connection.
// The error is io.EOF where nothing has come.
func readAnswer(r io.Reader, how reading) (*Answer, error) {
	room := readRoom.Get().(*[]byte)
	defer readRoom.Put(room)
	a := &Answer{}
	body, err := a.readHeader(r, *room)
	if err != nil {
		return nil, err
	}
	if a.Status, err = statusOf(a.Header); err != nil && !how.anything {
		return nil, err
	}
	length := contentLength(a.Header)
	for {
		if length >= 0 && a.Size+int64(len(body)) > length {
			body = body[:length-a.Size]
		}
		how.sum.Write(body)
		a.Body = append(a.Body, body[:min(len(body), how.keep-len(a.Body))]...)
		if a.Size += int64(len(body)); a.Size > maxHTTPBody {
			return nil, fmt.Errorf("the body has more than %d MB", maxHTTPBody>>20)
		}
		if a.Size == length {
			break
		}
		n, err := r.Read(*room)
		if body = (*room)[:n]; n == 0 && errors.Is(err, io.EOF) {
			break
		} else if n == 0 && err != nil {
			return nil, err
		}
	}
	a.Sum = how.sum.Sum(nil)
	return a, nil
}

// readHeader reads up to the blank line, and returns what came behind it, in room.
func (a *Answer) readHeader(r io.Reader, room []byte) ([]byte, error) {
	for {
		n, err := r.Read(room)
		from := max(0, len(a.Header)-3)
		a.Header = append(a.Header, room[:n]...)
		if i := bytes.Index(a.Header[from:], []byte("\r\n\r\n")); i >= 0 {
			end := from + i + 4
			body := room[n-(len(a.Header)-end) : n]
			a.Header = a.Header[:end]
			return body, nil
		}
		switch {
		case len(a.Header) > maxHTTPHeader:
			return nil, fmt.Errorf("the header has more than %d KB", maxHTTPHeader>>10)
		case errors.Is(err, io.EOF) && len(a.Header) > 0:
			return nil, errors.New("the answer ended within its header")
		case err != nil:
			return nil, err
		}
	}
}

// statusOf is the number in the status line: HTTP/1.1 200 OK.
func statusOf(header []byte) (int, error) {
	line, _, _ := bytes.Cut(header, []byte("\r\n"))
	version, rest, _ := strings.Cut(string(line), " ")
	digits, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(digits)
	if !strings.HasPrefix(version, "HTTP/") || err != nil || len(digits) != 3 || status < 100 {
		return 0, errors.New("the answer is not HTTP")
	}
	return status, nil
}

// contentLength is that of a header, -1 where it has none that can be read.
func contentLength(header []byte) int64 {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err == nil && n >= 0 {
			return n
		}
		return -1
	}
	return -1
}
