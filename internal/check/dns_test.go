package check_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/netlnk/nstest"
)

// A name server that answers, stops, starts again, and falls silent.
func TestDNS(t *testing.T) {
	for _, server := range []string{serverIP, serverIP6} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			named := p.named(t)
			w := p.watch(t, checkOf(t, conf.CheckDNS, server+" 53", "connect_timeout 1\ntype SOA\nname example.org"))
			w.up()
			w.change(named.stop)
			w.down("connection refused")
			named.start()
			w.up()
			w.change(func() { p.server.IP("link", "set", "ens160", "down") })
			w.down("")
		})
	}
}

// Every type of record, and names that the server refuses.
func TestDNSQuestions(t *testing.T) {
	p := newPair(t)
	p.named(t)
	ask := func(words string) (err error) {
		p.director.Do(func() {
			_, err = checkOf(t, conf.CheckDNS, serverIP+" 53", "connect_timeout 60\n"+words).Check(t.Context())
		})
		return err
	}
	nstest.WaitFor(t, "the name server", func() bool { return ask("name example.org") == nil })
	for _, kind := range strings.Fields("A NS CNAME SOA MX TXT AAAA RRSIG DNSKEY soa") {
		for _, name := range []string{"example.org", "www.example.org.", "EXAMPLE.ORG"} {
			if err := ask("type " + kind + "\nname " + name); err != nil {
				t.Errorf("%s of %s: %v, want up", kind, name, err)
			}
		}
	}
	for words, want := range map[string]string{
		"name none.example.org":     "the server answers NameError",
		"name example.com":          "the server answers Refused",
		"":                          "the server answers Refused", // the root
		"name example.org\ntype MX": "<nil>",
	} {
		if err := ask(words); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", words, err, want)
		}
	}
}

// What is no answer to the question is passed over.
func TestDNSPassesOverStrangers(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		room := make([]byte, 512)
		n, from, err := conn.ReadFrom(room)
		if err != nil {
			return
		}
		answer := append([]byte(nil), room[:n]...)
		for _, spoil := range []func([]byte) []byte{
			func(b []byte) []byte { return b[:5] },
			func(b []byte) []byte { return nil },
			func(b []byte) []byte { return b }, // a question
			func(b []byte) []byte { // another identifier
				binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)+1)
				b[2] |= 0x80
				return b
			},
			func(b []byte) []byte { b[2] |= 0x80; b[3] |= 2; return b }, // the answer: server failure
		} {
			_, _ = conn.WriteTo(spoil(append([]byte(nil), answer...)), from)
		}
	}()
	port := conn.LocalAddr().(*net.UDPAddr).Port
	_, err = checkOf(t, conf.CheckDNS, fmt.Sprint("127.0.0.1 ", port), "connect_timeout 60\nname example.org").Check(t.Context())
	if fmt.Sprint(err) != "the server answers ServerFailure" {
		t.Errorf("got %v, want a server failure", err)
	}
	begin := time.Now()
	_, err = checkOf(t, conf.CheckDNS, fmt.Sprint("127.0.0.1 ", port), "connect_timeout 0.3").Check(t.Context())
	if fmt.Sprint(err) != "no answer within 300ms" || time.Since(begin) < 300*time.Millisecond {
		t.Errorf("got %v after %v, want no answer within 300ms", err, time.Since(begin))
	}
}

// Name servers that are broken, or mean harm: one that sends without an end, too, has no
// more than the time-out.
func TestDNSHostileAnswers(t *testing.T) {
	header := func(id uint16, second, third byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, id), second, third, 0, 1, 0, 0, 0, 0, 0, 0)
	}
	for name, tt := range map[string]struct {
		answer func(id uint16) []byte
		want   string
	}{
		"nothing":              {nil, "no answer within 300ms"},
		"empty datagrams":      {func(uint16) []byte { return nil }, "no answer within 300ms"},
		"half a header":        {func(id uint16) []byte { return header(id, 0x80, 0)[:6] }, "no answer within 300ms"},
		"garbage":              {func(uint16) []byte { return []byte(strings.Repeat("\xff", 1000)) }, "no answer within 300ms"},
		"the question":         {func(id uint16) []byte { return header(id, 0, 0) }, "no answer within 300ms"},
		"other identifiers":    {func(id uint16) []byte { return header(id+1, 0x80, 0) }, "no answer within 300ms"},
		"an error":             {func(id uint16) []byte { return header(id, 0x80, 1) }, "the server answers FormatError"},
		"an unknown error":     {func(id uint16) []byte { return header(id, 0x80, 15) }, "the server answers 15"},
		"a header and no more": {func(id uint16) []byte { return header(id, 0x80, 0) }, "<nil>"},
		"64 KB":                {func(id uint16) []byte { return append(header(id, 0x80, 5), make([]byte, 60000)...) }, "the server answers Refused"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				room := make([]byte, 512)
				_, from, err := conn.ReadFrom(room)
				for err == nil && tt.answer != nil {
					_, err = conn.WriteTo(tt.answer(binary.BigEndian.Uint16(room)), from)
				}
			}()
			words := "connect_timeout 60\nname example.org" // no machine is late by so much
			if strings.HasSuffix(tt.want, noAnswer) {
				words = "connect_timeout 0.3\nname example.org"
			}
			most := watchMemory()
			_, err = checkOf(t, conf.CheckDNS, fmt.Sprint("127.0.0.1 ", conn.LocalAddr().(*net.UDPAddr).Port), words).Check(t.Context())
			if took := most(); took > 32<<20 {
				t.Errorf("it took %d MB", took>>20)
			}
			if fmt.Sprint(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
			conn.Close()
			<-ended
		})
	}
}
