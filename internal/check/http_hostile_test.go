package check_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
)

// hostile is what a server does with a connection, behind the request where asked is set,
// and the failure that this is.
type hostile struct {
	name  string
	asked bool
	do    func(net.Conn)
	want  string
}

// endless is whether only the time-out ends the check, or may end it.
func (h hostile) endless() bool {
	return strings.HasSuffix(h.want, noAnswer) || strings.HasSuffix(h.want, ": ")
}

// noAnswer is the failure of a check that its time-out has ended.
const noAnswer = "no answer within 300ms"

// wants is whether a failure is the one that this is. On a slow machine the time-out may be over
// in the handshake before.
func (h hostile) wants(failure string) bool {
	return strings.HasPrefix(failure, h.want) || h.endless() && failure == "TLS handshake: "+noAnswer
}

const ok = "HTTP/1.0 200 OK\r\n"

// say sends a text, and then closes the connection.
func say(text string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, text) } }

// stay sends a text, and then keeps the connection open.
func stay(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

// halfClose sends a text and that there is no more, and then keeps the connection open.
func halfClose(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}
}

// flood sends a text over and over.
func flood(begin, again string) func(net.Conn) {
	again = strings.Repeat(again, max(1, 16384/len(again)))
	return func(c net.Conn) {
		_, err := io.WriteString(c, begin)
		for err == nil {
			_, err = io.WriteString(c, again)
		}
	}
}

// drip sends a text byte by byte, with a pause before each.
func drip(begin, slowly string) func(net.Conn) {
	return func(c net.Conn) {
		_, err := io.WriteString(c, begin)
		for i := 0; err == nil; i++ {
			time.Sleep(20 * time.Millisecond)
			_, err = c.Write([]byte{slowly[i%len(slowly)]})
		}
	}
}

// hostiles are answers of a web server that is broken, or means harm.
var hostiles = []hostile{
	{"closes", true, say(""), "/: the server closed the connection without an answer"},
	{"says nothing", true, stay(""), "/: no answer within 300ms"},
	{"one byte", true, say("H"), "/: the answer ended within its header"},
	{"one byte, and waits", true, stay("H"), "/: no answer within 300ms"},
	{"half a header", true, say(ok + "Server: x"), "/: the answer ended within its header"},
	{"half a header, and waits", true, stay(ok + "Server: x"), "/: no answer within 300ms"},
	{"no blank line", true, say(ok + "\r\n"[:1]), "/: the answer ended within its header"},
	{"blank lines of LF", true, say("HTTP/1.0 200 OK\n\nhello"), "/: the answer ended within its header"},
	{"an endless status line", true, flood("HTTP/1.0 200 ", "a"), "/: the header has more than 64 KB"},
	{"endless headers", true, flood(ok, "X: y\r\n"), "/: the header has more than 64 KB"},
	{"an endless header", true, flood(ok+"X: ", "y"), "/: the header has more than 64 KB"},
	{"endless zeros", true, flood("", "\x00"), "/: the header has more than 64 KB"},
	{"headers byte by byte", true, drip(ok, "X: y\r\n"), "/: no answer within 300ms"},
	{"a status line byte by byte", true, drip("", "HTTP/1.0 200 "), "/: no answer within 300ms"},
	{"an endless body", true, flood(ok+"\r\n", "body"), "/: "},
	{"a body byte by byte", true, drip(ok+"\r\n", "body"), "/: no answer within 300ms"},
	{"a body that stops", true, stay(ok + "Content-Length: 10\r\n\r\nbody"), "/: no answer within 300ms"},
	{"a body without an end", true, stay(ok + "\r\nbody"), "/: no answer within 300ms"},
	{"a huge length", true, stay(ok + "Content-Length: 99999999999999999999\r\n\r\nbody"), "/: no answer within 300ms"},
	{"a negative length", true, stay(ok + "Content-Length: -1\r\n\r\nbody"), "/: no answer within 300ms"},
	{"another protocol", true, say("SSH-2.0 200 OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"a greeting", true, say("220 mail.example.org ESMTP\r\n\r\n"), "/: the answer is not HTTP"},
	{"no status", true, say("HTTP/1.0\r\n\r\n"), "/: the answer is not HTTP"},
	{"a status of words", true, say("HTTP/1.0 OK OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"a short status", true, say("HTTP/1.0 20 OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"a long status", true, say("HTTP/1.0 2000 OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"a negative status", true, say("HTTP/1.0 -20 OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"status 000", true, say("HTTP/1.0 000 OK\r\n\r\n"), "/: the answer is not HTTP"},
	{"status 999", true, say("HTTP/1.0 999 OK\r\n\r\n"), "/: status 999, expected 200-299"},
	{"only blank lines", true, say("\r\n\r\n\r\n\r\n"), "/: the answer is not HTTP"},
	{"a redirect to itself", true, say("HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n"), "/: status 302, expected 200-299"},
	{"a failure before the answer", true, say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n\r\n"), "/: status 100, expected 200-299"},
	{"half-closed", true, halfClose(""), "/: the server closed the connection without an answer"},
	{"half-closed in its header", true, halfClose(ok + "Server: x"), "/: the answer ended within its header"},
	{"redirects without an end", true, say("HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n" + strings.Repeat("HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 100)), "/: status 301, expected 200-299"},
	{"a reset", true, func(c net.Conn) { reset(c) }, "/: connection reset by peer"},
	{"a reset in the body", true, func(c net.Conn) { say(ok + "\r\nbody")(c); time.Sleep(20 * time.Millisecond); reset(c) }, "/: "},
}

// reset ends a connection by a reset.
func reset(c net.Conn) {
	if secure, is := c.(*tls.Conn); is {
		c = secure.NetConn()
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// beforeTLS are those of a server that is to speak TLS.
var beforeTLS = []hostile{
	{"half-closed", false, halfClose(""), "TLS handshake: the server closed the connection without an answer"},
	{"closes", false, say(""), "TLS handshake: the server closed the connection without an answer"},
	{"says nothing", false, stay(""), "TLS handshake: no answer within 300ms"},
	{"plain HTTP", false, say(ok + "\r\n"), "TLS handshake: tls: first record does not look like a TLS handshake"},
	{"garbage", false, say(strings.Repeat("\xff", 1000)), "TLS handshake: "},
	{"endless garbage", false, flood("", "\xff"), "TLS handshake: "},
	{"endless records", false, flood("", "\x16\x03\x03\x40\x00"+strings.Repeat("\x02", 1<<14)), "TLS handshake: "},
	{"an endless handshake message", false, flood("\x16\x03\x03\x40\x00\x02\xff\xff\xff"+strings.Repeat("\x00", 1<<14-4), "\x16\x03\x03\x40\x00"+strings.Repeat("\x00", 1<<14)), "TLS handshake: "},
	{"half a record", false, stay("\x16\x03\x03\x40\x00\x02"), "TLS handshake: no answer within 300ms"},
	{"records byte by byte", false, drip("\x16\x03\x03\x40\x00", "\x02"), "TLS handshake: no answer within 300ms"},
	{"empty records", false, flood("", "\x16\x03\x03\x00\x00"), "TLS handshake: "},
	{"warnings", false, flood("", "\x15\x03\x03\x00\x02\x01\x5a"), "TLS handshake: "},
	{"an alert", false, say("\x15\x03\x03\x00\x02\x02\x28"), "TLS handshake: remote error: tls: handshake failure"},
	{"an old version", false, say("\x15\x03\x00\x00\x02\x02\x46"), "TLS handshake: "},
	{"a reset", false, func(c net.Conn) { reset(c) }, ""},
}

// Every one of 60 and more hostile answers is a failure with its reason, within the
// time-out and in little memory.
func TestHostileWebServers(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", "key", "-out", "cert", "-subj", "/CN=www.example.org")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	secure := func(c net.Conn) net.Conn {
		return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	plain := func(c net.Conn) net.Conn { return c }
	tried := 0
	try := func(kind conf.CheckKind, all []hostile, wrap func(net.Conn) net.Conn) {
		for _, h := range all {
			tried++
			most := watchMemory()
			err := against(t, kind, h, wrap)
			took := most()
			if err == nil || !h.wants(err.Error()) {
				t.Errorf("%s, %s: %v, want %q", kind, h.name, err, h.want)
			}
			if own := (*check.OwnError)(nil); errors.As(err, &own) {
				t.Errorf("%s, %s: this machine's own trouble: %v", kind, h.name, err)
			}
			if took > 32<<20 {
				t.Errorf("%s, %s: it took %d MB", kind, h.name, took>>20)
			}
		}
	}
	try(conf.CheckHTTP, hostiles, plain)
	try(conf.CheckSSL, hostiles, secure)
	try(conf.CheckSSL, beforeTLS, plain)
	if tried < 60 {
		t.Errorf("%d hostile answers were tried, want at least 60", tried)
	}
}

// watchMemory begins to look at how much the heap grows; most ends it, and returns the
// most bytes that it had grown by.
func watchMemory() (most func() int64) {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	before, peak, stop := int64(now.HeapAlloc), int64(0), make(chan chan int64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				runtime.ReadMemStats(&now)
				peak = max(peak, int64(now.HeapAlloc)-before)
			case told := <-stop:
				told <- peak
				return
			}
		}
	}()
	return func() int64 {
		told := make(chan int64)
		stop <- told
		return <-told
	}
}

// against is one check of a hostile server.
func against(t *testing.T, kind conf.CheckKind, h hostile, wrap func(net.Conn) net.Conn) error {
	target, l := listen(t, "127.0.0.1:0")
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c = wrap(c)
		defer c.Close()
		if h.asked {
			r := bufio.NewReader(c)
			for line := "."; line != "\r\n" && line != ""; {
				line, _ = r.ReadString('\n')
			}
		}
		if kind == conf.CheckSSL && !h.asked {
			// Otherwise its end may be a reset, since it has not read all.
			_, _ = c.Read(make([]byte, 4096))
		}
		h.do(c)
	}()
	words := "connect_timeout 60\n" // no machine is late by so much
	if h.endless() {
		words = "connect_timeout 0.3\n"
	}
	if kind != conf.CheckSMTP {
		words += "url {\npath /\n}"
	}
	c := checkOf(t, kind, target.Addr().String()+" "+fmt.Sprint(target.Port()), words)
	_, err := c.Check(t.Context())
	l.Close()
	<-served // the check has closed its connection
	return err
}

// The body of 1.1 with Content-Length ends there, whether or not the server closes.
func TestHTTPEndsWithItsLength(t *testing.T) {
	err := against(t, conf.CheckHTTP, hostile{asked: true, do: stay(ok + "content-length: 4\r\n\r\nbody")}, func(c net.Conn) net.Conn { return c })
	if err != nil {
		t.Errorf("%v, want up", err)
	}
}
