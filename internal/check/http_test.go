package check_test

import (
	"crypto/md5"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/netlnk/nstest"
)

// nginx is a web server of the server of a pair: port 80, and TLS on port 443 with one
// certificate by name, which wants a client's certificate for /private. Its pages are the
// files of the folder.
func (p pair) nginx(t *testing.T) (server *program, folder string) {
	t.Helper()
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", "key", "-out", "cert", "-subj", "/CN=www.example.org")
	openssl(t, dir, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", "key2", "-out", "cert2", "-subj", "/CN=other.example.org")
	write(t, dir, "nginx.conf", strings.ReplaceAll(`daemon off; user root; pid DIR/pid; error_log stderr; worker_processes 1;
events { worker_connections 256; }
http {
	log_format asked "$request|$http_user_agent|$http_host|$http_connection|$ssl_server_name|$ssl_client_verify";
	access_log DIR/access asked; root DIR/pages;
	client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
	gzip off; ssl_certificate DIR/cert; ssl_certificate_key DIR/key; ssl_verify_client optional_no_ca;
	server {
		listen 80 default_server; listen [::]:80 default_server; listen 443 ssl default_server; listen [::]:443 ssl default_server;
		location = /found { return 302 /elsewhere; }
		location = /private { if ($ssl_client_verify = NONE) { return 403; } return 200 "come in"; }
	}
	server {
		listen 80; listen 443 ssl; server_name named.example.org;
		location / { return 200 "named"; }
	}
	server { listen 443 ssl; server_name only.example.org; ssl_reject_handshake on; }
}
`, "DIR", dir))
	folder = filepath.Join(dir, "pages")
	mkdir(t, folder)
	write(t, folder, "index.html", "hello\n")
	return p.serve(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf")), folder
}

// httpOf is HTTP_GET of port 80, or SSL_GET of port 443, as a configuration has it.
func httpOf(t *testing.T, kind conf.CheckKind, server, words string) *check.HTTP {
	t.Helper()
	port := "80"
	if kind == conf.CheckSSL {
		port = "443"
	}
	return checkOf(t, kind, server+" "+port, "connect_timeout 1\n"+words).(*check.HTTP)
}

func sum(body string) string { return fmt.Sprintf("%x", md5.Sum([]byte(body))) }

// A web server whose page changes, goes, and comes back; that stops, that falls silent,
// and that comes back.
func TestHTTP(t *testing.T) {
	for _, tt := range []struct {
		kind           conf.CheckKind
		server, silent string
	}{
		{conf.CheckHTTP, serverIP, "/: "}, {conf.CheckHTTP, serverIP6, "/: "},
		{conf.CheckSSL, serverIP, "TLS handshake: "}, {conf.CheckSSL, serverIP6, "TLS handshake: "},
	} {
		t.Run(fmt.Sprint(tt.kind, " ", tt.server), func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			nginx, pages := p.nginx(t)
			w := p.watch(t, httpOf(t, tt.kind, tt.server, "url {\npath /\ndigest "+sum("hello\n")+"\n}"))
			w.up()
			w.change(func() { write(t, pages, "index.html", "error\n") })
			w.down("/: the MD5 sum of the body is " + sum("error\n") + ", expected " + sum("hello\n"))
			w.change(func() { write(t, pages, "index.html", "hello\n") })
			w.up()
			w.change(func() { remove(t, pages, "index.html") })
			w.down("/: status 403, expected 200-299")
			w.change(func() { write(t, pages, "index.html", "hello\n") })
			w.up()
			w.change(nginx.stop)
			w.down("connection refused")
			nginx.start()
			w.up()
			w.change(nginx.pause)
			w.down(tt.silent + "no answer within 1s")
		})
	}
}

// What a web server is asked for, and what its answer has to be, by the words of a file.
func TestHTTPWords(t *testing.T) {
	p := newPair(t)
	nginx, pages := p.nginx(t)
	write(t, pages, "empty", "")
	write(t, pages, "large", strings.Repeat("0123456789abcdef", 10<<16))
	log := filepath.Join(filepath.Dir(pages), "access")
	p.director.Do(func() {
		nstest.WaitFor(t, "nginx", func() bool {
			_, err := httpOf(t, conf.CheckHTTP, serverIP, "url {\npath /\n}").Check(t.Context())
			return err == nil
		})
	})
	for _, tt := range []struct {
		name, words, want, log string
		kind                   conf.CheckKind
		server                 string
	}{
		{name: "plain", words: "url {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|192.168.25.32:80|-|-|-"},
		{name: "1.0C", words: "http_protocol 1.0C\nurl {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|192.168.25.32:80|close|-|-"},
		{name: "1.1", words: "http_protocol 1.1\nurl {\npath /?a=b\n}", log: "GET /?a=b HTTP/1.1|KeepAliveClient|192.168.25.32:80|close|-|-"},
		{name: "IPv6", server: serverIP6, words: "url {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|[fd25::32]:80|-|-|-"},
		{name: "virtualhost", words: "virtualhost named.example.org\nurl {\npath /\ndigest " + sum("named") + "\n}", log: "GET / HTTP/1.0|KeepAliveClient|named.example.org|-|-|-"},
		{name: "virtualhost of a page", words: "virtualhost a\nurl {\npath /\nvirtualhost named.example.org\ndigest " + sum("named") + "\n}"},
		{name: "an empty page", words: "url {\npath /empty\ndigest " + sum("") + "\n}"},
		{name: "10 MB", words: "connect_timeout 60\nurl {\npath /large\ndigest " + sum(strings.Repeat("0123456789abcdef", 10<<16)) + "\n}"},
		{name: "10 MB over TLS", kind: conf.CheckSSL, words: "connect_timeout 60\nurl {\npath /large\ndigest " + sum(strings.Repeat("0123456789abcdef", 10<<16)) + "\n}"},
		{name: "a redirect is not followed", words: "url {\npath /found\n}", want: "/found: status 302, expected 200-299"},
		{name: "a redirect that is wanted", words: "url {\npath /found\nstatus_code 200 301-303\n}"},
		{name: "a page that is not there", words: "url {\npath /none\nstatus_code 200 301-303\n}", want: "/none: status 404, expected 200 301-303"},
		{name: "regex", words: "url {\npath /\nregex ^he(?=llo)\n}"},
		{name: "regex that does not match", words: "url {\npath /\nregex HELLO\n}", want: "/: the body does not match regex"},
		{name: "regex_options", words: "url {\npath /\nregex ^HEL.*$\nregex_options caseless dotall\n}"},
		{name: "regex_no_match", words: "url {\npath /\nregex HELLO\nregex_no_match\n}"},
		{name: "regex_no_match that matches", words: "url {\npath /\nregex hello\nregex_no_match\n}", want: "/: the body matches regex, and regex_no_match is set"},
		{name: "regex_min_offset", words: "url {\npath /\nregex l\nregex_min_offset 4\n}", want: "/: the body does not match regex"},
		{name: "regex_max_offset", words: "url {\npath /\nregex o\nregex_max_offset 3\n}", want: "/: the body does not match regex"},
		{name: "regex between offsets", words: "url {\npath /\nregex l\nregex_min_offset 3\nregex_max_offset 3\n}"},
		{name: "regex and digest", words: "url {\npath /\nregex hello\ndigest " + sum("other") + "\n}", want: "/: the MD5 sum of the body is"},
		{name: "regex on 10 MB", words: "connect_timeout 60\nurl {\npath /large\nregex f0123\n}"},
		{name: "regex behind the first MB", words: "connect_timeout 60\nurl {\npath /large\nregex xyz\n}", want: "/large: the first 1 MB of the body do not match regex"},
		{name: "TLS", kind: conf.CheckSSL, words: "url {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|192.168.25.32:443|-|-|NONE"},
		{name: "SNI of virtualhost", kind: conf.CheckSSL, words: "enable_sni\nvirtualhost named.example.org\nurl {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|named.example.org|-|named.example.org|NONE"},
		{name: "virtualhost without SNI", kind: conf.CheckSSL, words: "virtualhost named.example.org\nurl {\npath /\n}", log: "GET / HTTP/1.0|KeepAliveClient|named.example.org|-|-|NONE"},
		{name: "sni_name", kind: conf.CheckSSL, words: "sni_name named.example.org\nurl {\npath /\nstatus_code 421\n}", log: "GET / HTTP/1.0|KeepAliveClient|192.168.25.32:443|-|named.example.org|NONE"},
		{name: "a name that is refused", kind: conf.CheckSSL, words: "sni_name only.example.org\nurl {\npath /\n}", want: "TLS handshake: remote error: tls: unrecognized name"},
		{name: "tls_compliant", kind: conf.CheckSSL, words: "tls_compliant\nurl {\npath /\n}"},
		{name: "no certificate", kind: conf.CheckSSL, words: "url {\npath /private\n}", want: "/private: status 403, expected 200-299"},
		{name: "no TLS", kind: conf.CheckSSL, words: "connect_port 80\nurl {\npath /\n}", want: "TLS handshake: "},
		{name: "TLS where there is to be none", words: "connect_port 443\nurl {\npath /\n}", want: "/: status 400, expected 200-299"},
	} {
		if tt.kind == "" {
			tt.kind = conf.CheckHTTP
		}
		if tt.server == "" {
			tt.server = serverIP
		}
		c := httpOf(t, tt.kind, tt.server, tt.words)
		c.Timeout = time.Minute
		var err error
		p.director.Do(func() { _, err = c.Check(t.Context()) })
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if tt.log == "" {
			continue
		}
		nstest.WaitFor(t, tt.name+": "+tt.log, func() bool { return slices.Contains(lines(t, log), tt.log) })
	}
	_ = nginx
}

// SSL_GET shows the certificate of the block SSL, also one whose key has a password.
func TestClientCertificate(t *testing.T) {
	p := newPair(t)
	_, pages := p.nginx(t)
	dir := filepath.Dir(pages)
	openssl(t, dir, "pkcs8", "-topk8", "-in", "key2", "-out", "key2.locked", "-passout", "pass:secret")
	openssl(t, dir, "pkcs8", "-topk8", "-in", "key2", "-out", "key2.sha1", "-v2prf", "hmacWithSHA1", "-v2", "des3", "-passout", "pass:secret")
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		name string
		ssl  conf.SSL
		want string // of the error of reading the files
	}{
		{"plain", conf.SSL{Certificate: file("cert2"), Key: file("key2")}, ""},
		{"with a password", conf.SSL{Certificate: file("cert2"), Key: file("key2.locked"), Password: "secret"}, ""},
		{"with old algorithms", conf.SSL{Certificate: file("cert2"), Key: file("key2.sha1"), Password: "secret"}, ""},
		{"without the password", conf.SSL{Certificate: file("cert2"), Key: file("key2.locked")}, "SSL key " + file("key2.locked") + ": the key is encrypted: expected password in the block SSL"},
		{"another key", conf.SSL{Certificate: file("cert2"), Key: file("key")}, "SSL certificate " + file("cert2") + " with key " + file("key") + ": tls: private key does not match public key"},
		{"no such file", conf.SSL{Certificate: file("cert3"), Key: file("key2")}, "SSL certificate: open " + file("cert3") + ": no such file or directory"},
		{"no key", conf.SSL{Certificate: file("cert2")}, "SSL: expected both certificate and key"},
		{"not a key", conf.SSL{Certificate: file("cert2"), Key: file("nginx.conf")}, "SSL key " + file("nginx.conf") + ": the file holds no key in PEM"},
	} {
		client, err := check.LoadClient(&conf.Config{SSL: tt.ssl})
		if err != nil || tt.want != "" {
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			continue
		}
		c := httpOf(t, conf.CheckSSL, serverIP, "url {\npath /private\ndigest "+sum("come in")+"\n}")
		c.Shared.Client.Store(client)
		p.director.Do(func() {
			nstest.WaitFor(t, tt.name, func() bool { _, err = c.Check(t.Context()); return err == nil })
		})
	}
	if _, err := check.LoadClient(&conf.Config{SSL: conf.SSL{Certificate: file("cert2"), Key: file("key2.locked"), Password: "wrong"}}); err == nil {
		t.Error("a wrong password decrypts the key")
	}
}
