package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// checks are stories of one server with a check of each kind: it goes, comes back, falls silent,
// and comes back.
var checks = []story{
	{name: "TCP_CHECK", short: true, servers: "11=1", peer: nginx, check: "TCP_CHECK {\n" + soon + "}", steps: comesAndGoes},
	{name: "HTTP_GET", short: true, servers: "11=1", peer: nginx, check: "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}\n" + soon + "}",
		steps: append([]step{{"", "11=1"}, {"rm pages/index.html", ""}, {"page", "11=1"}}, comesAndGoes[1:]...)},
	{name: "HTTP_GET of a digest", servers: "11=1", peer: nginx, check: "HTTP_GET {\nurl {\npath /\ndigest b1946ac92492d2347c6235b4d2611184\n}\n" + soon + "}",
		steps: []step{{"", "11=1"}, {"echo another >pages/index.html", ""}, {"page", "11=1"}}},
	{name: "HTTP_GET of two pages", servers: "11=1", peer: nginx, check: "HTTP_GET {\nurl {\npath /\n}\nurl {\npath /second\nstatus_code 200 404\n}\n" + soon + "}",
		steps: []step{{"", "11=1"}, {"rm pages/index.html", ""}, {"page", "11=1"}, {"stop", ""}, {"start", "11=1"}}},
	{name: "SSL_GET", short: true, servers: "11=1", peer: nginx, check: "SSL_GET {\nconnect_port 443\nurl {\npath /\nstatus_code 200\n}\n" + soon + "}",
		steps: append([]step{{"", "11=1"}, {"rm pages/index.html", ""}, {"page", "11=1"}}, comesAndGoes[1:]...)},
	{name: "SMTP_CHECK", short: true, servers: "11=1", peer: smtpd, check: "SMTP_CHECK {\nconnect_port 25\nhelo_name director.example.org\n" + soon + "}", steps: comesAndGoes},
	{name: "DNS_CHECK", short: true, servers: "11=1", peer: named, check: "DNS_CHECK {\nconnect_port 53\ntype SOA\nname example.org\n" + soon + "}", steps: comesAndGoes},
	// Where no answer is asked for, one that a server takes along when it stops costs its time-out.
	{name: "UDP_CHECK", servers: "11=1", peer: named, check: "UDP_CHECK {\nconnect_port 53\npayload 123400000001000000000000076578616d706c65036f72670000060001\n" + sooner + "}",
		steps: []step{{"", "11=1"}, {"stop", ""}, {"start", "11=1"}}},
	{name: "UDP_CHECK with a reply", short: true, servers: "11=1", peer: named, check: "UDP_CHECK {\nconnect_port 53\npayload 123400000001000000000000076578616d706c65036f72670000060001\nrequire_reply 1234XXXX\n" + soon + "}", steps: comesAndGoes},
	{name: "PING_CHECK", short: true, servers: "11=1", peer: pings, check: "PING_CHECK {\n" + soon + "}", steps: comesAndGoes},
	{name: "MISC_CHECK", short: true, servers: "11=1", peer: script, check: "MISC_CHECK {\nmisc_path \"DIR/../server/check 'an argument'\"\nmisc_timeout 4\nretry 1\ndelay_before_retry 1\n}", steps: comesAndGoes},
	{name: "a check while the address is elsewhere", servers: "11=1", peer: nginx, words: "ha_suspend", check: "TCP_CHECK {\n" + soon + "}", steps: []step{
		{"", "11=1"}, {"stop", "11=1"}, {"here: ip addr add 10.0.0.1/32 dev eth0", ""}, {"here: ip addr del 10.0.0.1/32 dev eth0", ""},
		{"start", ""}, {"here: ip addr add 10.0.0.1/32 dev eth0", "11=1"}}},
}

// soon has each check end after four seconds, since a busy machine takes a while to answer, and
// be tried again after one.
const soon = "connect_timeout 4\nretry 1\ndelay_before_retry 1\n"

// sooner has it end after one.
const sooner = "connect_timeout 1\nretry 1\ndelay_before_retry 1\n"

// comesAndGoes is a server that stops, starts, falls silent, and is heard again.
var comesAndGoes = []step{{"", "11=1"}, {"stop", ""}, {"start", "11=1"}, {"silent", ""}, {"heard", "11=1"}}

// The real servers: begin makes a server's files in its folder, start and stop are the server's.
// It is up once start has ended, which no check of either director waits for.
const (
	functions = `
run() { setsid "$@" >>out 2>&1 </dev/null & echo $! >pid; }
stop() { kill -KILL -- -$(cat pid); }
listens() { for try in $(seq 600); do (: </dev/tcp/10.0.0.11/$1) 2>/dev/null && return; sleep 0.1; done; return 1; }
silent() { iptables -I INPUT -i br0 -j DROP; }
heard() { iptables -F INPUT; }
`
	nginx = `
page() { echo hello >pages/new; mv pages/new pages/index.html; }
begin() {
	mkdir -p pages
	page
	cat >nginx.conf <<end
daemon off; user root; pid $PWD/nginx.pid; error_log stderr; worker_processes 1;
events { worker_connections 256; }
http {
	access_log off; root $PWD/pages;
	client_body_temp_path $PWD; proxy_temp_path $PWD; fastcgi_temp_path $PWD; uwsgi_temp_path $PWD; scgi_temp_path $PWD;
	ssl_certificate $PWD/cert; ssl_certificate_key $PWD/key;
	server { listen 80; listen 443 ssl; }
}
end
}
start() { run nginx -p $PWD -c $PWD/nginx.conf; listens 80; }
`
	smtpd = `
begin() {
	cat >smtpd.conf <<end
listen on 0.0.0.0 hostname mail.example.org
action "deliver" maildir
match for local action "deliver"
end
}
start() { run smtpd -d -f $PWD/smtpd.conf; listens 25; }
`
	named = `
begin() {
	cat >named.conf <<end
options { directory "$PWD"; pid-file none; listen-on { any; }; listen-on-v6 { none; }; recursion no; allow-query { any; }; dnssec-validation no; };
controls { };
zone "example.org" { type primary; file "zone"; };
end
	cat >zone <<end
\$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
ns A 192.0.2.1
end
}
start() { run named -g -c $PWD/named.conf; listens 53; }
`
	// A machine on which nothing runs, that answers pings.
	pings = `
begin() { :; }
start() { ip addr replace 10.0.0.11/24 dev br0; }
stop() { ip addr del 10.0.0.11/24 dev br0; }
`
	// A program that the directors run.
	script = `
begin() {
	cat >check <<end
#!/bin/bash
[ "\$#-\$1" = "1-an argument" ] || exit 9
read -r code <$PWD/code
[ "\$code" != late ] || exec sleep 1000
exit "\$code"
end
	chmod 755 check
}
now() { echo $1 >new; mv new code; }
start() { now 0; }
stop() { now 3; }
silent() { now late; }
heard() { now 0; }
`
)

// atServer runs a line of shell with these functions where the real server is.
func (st *stage) atServer(line string) error {
	dir := st.dir() + "/server"
	if err := makeCertificate(dir); err != nil {
		return err
	}
	_, err := in(st.server(), "set -e; cd "+dir+functions+st.story.peer+line)
	return err
}

// makeCertificate makes a server's key and certificate, unless they are there.
func makeCertificate(dir string) error {
	if _, err := os.Stat(dir + "/cert"); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	made := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "www.example.org"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &made, &made, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := func(kind string, bytes []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	}
	if err := os.WriteFile(dir+"/key", text("PRIVATE KEY", private), 0o600); err != nil {
		return err
	}
	return os.WriteFile(dir+"/cert", text("CERTIFICATE", cert), 0o644)
}
