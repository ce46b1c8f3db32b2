package main

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// weirGenhash is what weir's genhash prints, and its exit code.
func weirGenhash(t *testing.T, args ...string) (out, complaints string, code int) {
	t.Helper()
	var o, c bytes.Buffer
	err := genhash(t.Context(), "genhash", args, &o, &c)
	var exit exitCode
	if errors.As(err, &exit) {
		code = int(exit)
	} else if err != nil {
		t.Fatal(err)
	}
	return o.String(), c.String(), code
}

// theirs is what keepalived's genhash prints, and its exit code.
func theirs(t *testing.T, args ...string) (out, complaints string, code int) {
	t.Helper()
	var o, c bytes.Buffer
	cmd := exec.Command("genhash", args...)
	cmd.Stdout, cmd.Stderr = &o, &c
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v: install keepalived (make packages)", err)
		}
		code = exit.ExitCode()
	}
	return o.String(), c.String(), code
}

// raw is a server that answers each connection with a text, in pieces.
func raw(t *testing.T, header string, body []byte, pieces int) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, header+"\r\n")
				for i := range pieces {
					_, _ = c.Write(body[len(body)*i/pieces : len(body)*(i+1)/pieces])
					if pieces > 1 {
						time.Sleep(time.Millisecond)
					}
				}
			}()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// 50 and more bodies: weir's digest, genhash's and that of the bytes are the same.
func TestGenhashOfBodies(t *testing.T) {
	tried := 0
	for _, size := range []int{0, 1, 15, 16, 17, 1000, 4094, 4095, 4096, 5000, 65536, 10 << 20} {
		body := bytes.Repeat([]byte("weir\x00\r\n\xff 0123456789"), size/19+1)[:size]
		chunked := []byte(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body))
		for _, version := range []string{"1.0", "1.1"} {
			for name, answer := range map[string]struct {
				header string
				body   []byte
				pieces int
			}{
				"with its length":    {fmt.Sprintf("Content-Length: %d\r\n", size), body, 1},
				"up to the end":      {"", body, 1},
				"in pieces":          {fmt.Sprintf("Content-Length: %d\r\n", size), body, 20},
				"chunked":            {"Transfer-Encoding: chunked\r\n", chunked, 1},
				"as gzip":            {"Content-Encoding: gzip\r\n", body, 1},
				"of status 404":      {"", body, 1},
				"a length too great": {fmt.Sprintf("Content-Length: %d\r\n", size+10), body, 1},
			} {
				status := "200 OK"
				if name == "of status 404" {
					status = "404 Not Found"
				}
				port := raw(t, "HTTP/"+version+" "+status+"\r\nServer: raw\r\n"+answer.header, answer.body, answer.pieces)
				args := []string{"-s", "127.0.0.1", "-p", port, "-u", "/", "-P", version}
				want := fmt.Sprintf("%x\n", md5.Sum(answer.body))
				got, complaints, code := weirGenhash(t, args...)
				real, realComplaints, realCode := theirs(t, args...)
				if got != want || real != want || complaints+realComplaints != "" || code+realCode != 0 {
					t.Errorf("%d bytes %s, HTTP/%s: md5 %q, weir %q %q %d, genhash %q %q %d", size, name, version, want, got, complaints, code, real, realComplaints, realCode)
				}
				tried++
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d bodies were tried, want at least 50", tried)
	}
}

// Options, complaints, exit codes and what -v prints are genhash's.
func TestGenhashLikeKeepalived(t *testing.T) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		fmt.Fprintf(w, "%s %s %s of %s by %s, %s\n", r.Method, r.URL, r.Proto, r.Host, r.UserAgent(), r.Header.Get("Connection"))
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, closed, _ := net.SplitHostPort(func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}())
	took := regexp.MustCompile(`= \d+ usecs`)
	for _, line := range []string{
		"-s 127.0.0.1 -p PORT -u /",
		"-s 127.0.0.1 -p PORT -u /a?b=c",
		"-s127.0.0.1 -pPORT -u/ -P1.1",
		"-s 127.0.0.1 -p PORT -u / -P 1.0c",
		"-s 127.0.0.1 -p PORT -u / -P 1.0C -V www.example.org",
		"--server 127.0.0.1 --port=PORT --url / --use-virtualhost www.example.org --protocol 1.1",
		"--serv 127.0.0.1 --po PORT --ur /",
		"-s 127.0.0.1 -p PORT -u / -v",
		"-vs 127.0.0.1 -p PORT -u /longer/path/to/a/page -t 5",
		"-s 127.0.0.1 -p CLOSED -u /",
		"-s 127.0.0.1 -p CLOSED -u / -v",
		"-S -s 127.0.0.1 -p CLOSED -u /",
		"-S -s 127.0.0.1 -p PORT -u /",
		"", "-h", "-h -v", "--help --verbose", "-s 127.0.0.1 -u /", "-s 127.0.0.1 -p PORT", "-p PORT -u /",
		"-s localhost -p PORT -u /",
		"-s 127.0.0.1 -p 0 -u /", "-s 127.0.0.1 -p 65536 -u /", "-s 127.0.0.1 -p x -u /",
		"-s 127.0.0.1 -p PORT -u / -x", "-s 127.0.0.1 -p PORT -u / --nonsense", "-s 127.0.0.1 -p PORT -u / more words",
		"-s 127.0.0.1 -p PORT -u / -P 2", "-s 127.0.0.1 -p PORT -u / -t x", "-s 127.0.0.1 -p PORT -u / -m x", "-s 127.0.0.1 -u / -p",
	} {
		args := strings.Fields(strings.NewReplacer("PORT", port, "CLOSED", closed).Replace(line))
		out, complaints, code := weirGenhash(t, args...)
		realOut, realComplaints, realCode := theirs(t, args...)
		out, realOut = took.ReplaceAllString(out, "= N usecs"), took.ReplaceAllString(realOut, "= N usecs")
		complaints = strings.Replace(complaints, "   --conf                     Print the url block for HTTP_GET (weir only).\n", "", 1)
		if out != realOut || complaints != realComplaints || code != realCode {
			t.Errorf("genhash %s:\nweir    %d %q %q\ngenhash %d %q %q", line, code, out, complaints, realCode, realOut, realComplaints)
		}
	}
}

// --conf prints the block that expects the page.
func TestGenhashConf(t *testing.T) {
	for _, tt := range []struct{ status, more, want string }{
		{"200 OK", "", "url {\n    path /a\n    digest 5d41402abc4b2a76b9719d911017c592\n}\n"},
		{"503 No", "-V www.example.org", "url {\n    path /a\n    digest 5d41402abc4b2a76b9719d911017c592\n    status_code 503\n    virtualhost www.example.org\n}\n"},
	} {
		port := raw(t, "HTTP/1.0 "+tt.status+"\r\n", []byte("hello"), 1)
		args := append([]string{"-s", "127.0.0.1", "-p", port, "-u", "/a", "--conf"}, strings.Fields(tt.more)...)
		if got, _, code := weirGenhash(t, args...); got != tt.want || code != 0 {
			t.Errorf("%d %q, want %q", code, got, tt.want)
		}
	}
}
