package conf

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cluster is a configuration of so many virtual servers and real servers each.
func cluster(services, servers int) []byte {
	var b bytes.Buffer
	for s := range services {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n    delay_loop 6\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n", s/250, s%250)
		for r := range servers {
			fmt.Fprintf(&b, "    real_server 172.%d.%d.%d 80 {\n        weight %d\n        TCP_CHECK {\n            connect_timeout 3\n            retry 2\n            delay_before_retry 1\n        }\n    }\n", 16+s/250, s%250, r+1, r+1)
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// BenchmarkCheck reads 2,000 virtual servers with 20 real servers each as weir check does, and
// tells how much of a CPU that takes.
func BenchmarkCheck(b *testing.B) {
	content := cluster(2000, 20)
	has := func(string) bool { return true }
	options := Options{Linter: TestLinter, Here: &Here{Interface: has, User: has, Program: has}}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if cfg, diags := options.Parse("cluster.conf", content); cfg == nil {
			b.Fatal(diags.All()[0])
		}
	}
	b.ReportMetric((cpu()-before).Seconds()/float64(b.N), "cpu-s/op")
}

// TestScale holds 2,000 virtual servers with 40,000 real servers to a second.
func TestScale(t *testing.T) {
	text := cluster(2000, 20)
	took, memory := measure(func() {
		if cfg, diags := parseLinted("cluster.conf", text); cfg == nil || len(cfg.VirtualServers) != 2000 {
			t.Errorf("not read: %v", diags.All()[:1])
		}
	})
	t.Logf("%d MB of text: %v, %d MB of memory", len(text)>>20, took.Round(time.Millisecond), memory>>20)
	if took > slow(time.Second) {
		t.Errorf("took %v, want 1 s", took)
	}
}

// slow is how much of the CPU may be used for what takes so long alone: a busy
// machine is slower, and two CPUs collect garbage.
func slow(d time.Duration) time.Duration { return 5 * d }

// measure tells how long do takes, and how much memory at once, at most.
func measure(do func()) (took time.Duration, memory uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapInuse-min(now.HeapInuse, before.HeapInuse))
			}
		}
	}()
	start := cpu()
	do()
	took = cpu() - start
	close(done)
	return took, <-peak
}

// cpu is what this process has used of its CPU, collecting garbage included: what
// others do on the machine does not count.
func cpu() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestTenMegabytes reads or refuses 10 MB of any shape in 2 s and 320 MB: a configuration that
// is right takes the most.
func TestTenMegabytes(t *testing.T) {
	const size = 10 << 20
	repeated := func(text string) string { return strings.Repeat(text, size/len(text)) }
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	texts := map[string]string{
		"a configuration":   string(cluster(3000, 20)),
		"words":             repeated("a b "),
		"one line":          repeated("x"),
		"lines":             repeated("\n"),
		"comments":          repeated("# x\n"),
		"braces":            repeated("{"),
		"closing braces":    repeated("}"),
		"blocks":            repeated("a{ }\n"),
		"unknown keywords":  numbered("keyword%d\n"),
		"near keywords":     repeated("virtual_sever x\n"),
		"keywords":          repeated("global_defs {\nrouter_id a\n}\n"),
		"nested blocks":     repeated("virtual_server 1.2.3.4 80 {\n"),
		"small services":    numbered("virtual_server fwmark %d {\n}\n"),
		"services, no end":  string(cluster(2200, 20)) + "virtual_server 1.2.3.4 80 {\n",
		"quotes":            repeated(`"a" `),
		"open quotes":       repeated("\"\n"),
		"definitions":       numbered("$A%d=1\n"),
		"uses":              "$A=1\n" + repeated("x ${A}\n"),
		"uses on a line":    "$A=1\n" + repeated("${A} "),
		"undefined names":   repeated("${A} "),
		"dollars":           repeated("$"),
		"open uses":         repeated("${"),
		"repetitions":       repeated("~SEQ(i,9) a$i\n"),
		"other hosts":       repeated("@x a\n"),
		"virtual addresses": "vrrp_instance V {\nvirtual_ipaddress {\n" + numbered("10.0.0.1 dev e%d\n"),
		"peers":             "vrrp_instance V {\nunicast_peer {\n" + numbered("10.0.0.%d\n"),
		"curly quotes":      repeated("“ "),
		"commas":            repeated(", "),
		"odd blanks":        repeated("\u00a0a"),
		"conflicts":         repeated("<<<<<<< a\n=======\n"),
		"heredocs":          repeated("a <<B\n"),
		"misspelled blocks": repeated("virtual_sever 1.2.3.4 80 {\n}\n"),
		"foreign words":     repeated("global {\nhostname a\n}\n"),
		"a long value":      "$A=" + repeated("x \\\n") + "\n$A\n",
		"inner definitions": "$A=\\\n" + repeated("$B=1 \\\n") + "x\n$A\n",
		"uses at ends":      "$A=a \\\nb\n" + repeated("x $A\n"),
		"quoted lines":      repeated("> x\n"),
		"semicolons":        repeated("a;\n"),
		"groups":            numbered("virtual_server_group G%d {\n10.0.0.1 80\n}\n"),
		"tracked":           "vrrp_instance V {\ntrack_script {\n" + numbered("s%d\n"),
		"binary":            repeated("\x00\xff"),
		"no UTF-8":          repeated("\xff\xfe "),
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			text = text[:min(len(text), size)]
			took, memory := measure(func() {
				_, diags := newParser(refusing{}, Options{ID: "host"}).parse("big.conf", text)
				var shown bytes.Buffer
				if err := diags.Render(&shown, false); err != nil {
					t.Error(err)
				}
			})
			t.Logf("%v, %d MB", took.Round(time.Millisecond), memory>>20)
			if took > slow(2*time.Second) || memory > 320<<20 {
				t.Errorf("took %v and %d MB, want 2 s and 320 MB", took, memory>>20)
			}
		})
	}
}

// refusing has no file.
type refusing struct{ memory }

// TestManyWords reads a file with more words than any other shape of its length may have.
func TestManyWords(t *testing.T) {
	cfg, diags := parseLinted("cluster.conf", cluster(3600, 20))
	if cfg == nil || len(cfg.VirtualServers) != 3600 {
		t.Fatalf("not read: %v", diags.All()[:1])
	}
}

// BenchmarkReload reads 10,000 virtual servers with 20 real servers each again, one weight of which
// has changed.
func BenchmarkReload(b *testing.B) {
	texts := [2][]byte{cluster(10000, 20), nil}
	texts[1] = bytes.Replace(texts[0], []byte("weight 1\n"), []byte("weight 3\n"), 1)
	l := &Loader{Linter: TestLinter}
	if cfg, diags := l.Parse("cluster.conf", texts[0]); cfg == nil {
		b.Fatal(diags.All()[0])
	}
	b.SetBytes(int64(len(texts[0])))
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		if cfg, diags := l.Parse("cluster.conf", texts[n%2]); cfg == nil {
			b.Fatal(diags.All()[0])
		}
	}
}
