package conf

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"weir/conf/text"
	"weir/test/mutate"
)

// fuzzSeeds are texts for the fuzzers to begin with.
func fuzzSeeds(t testing.TB) mutate.Seeds {
	return mutate.Of(
		seedText(t),
		"", "\ufeff", "{", "}", "a{", "a \\\r\n{\r\n}", `"`, "'", `"\x`, `"\c`, "${", "x${a b}",
		"vrrp_instance V {\nvirtual_ipaddress {\n1.2.3.4/24 dev eth0\n}\n}",
		"virtual_server 1.2.3.4 80 {\nreal_server ::1 {\nTCP_CHECK\n}\n",
		"include a\ninclude {a,b}*\n", "$A=1\n@x y {\n~SEQ(i,2) $A\n}", "weir { device e0 { hook tc } }",
		"global_defs { notification_email { a@b 'c d' } } }", "\xff\xfe{\x00",
	)
}

// FuzzParse reads a text that may include itself and others.
func FuzzParse(f *testing.F) { mutate.Fuzz(f, fuzzSeeds(f), checkParse) }

func TestParseMutations(t *testing.T) { mutate.Test(t, "FuzzParse", fuzzSeeds(t), checkParse) }

func checkParse(t *testing.T, input string) {
	texts := memory{"main": input, "a": "weight 1\n}\ninclude b", "b": "include a\ninclude main\n{"}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(t)
	cfg, diags := parseMemory(texts, "main")
	var shown bytes.Buffer
	if err := diags.Render(&shown, false); err != nil {
		t.Fatal(err)
	}
	// A second for each 16 KiB is twenty times what the slowest texts take.
	if took := threadTime(t) - start; mutate.Fuzzing() && took > time.Second*time.Duration(1+len(input)>>14) {
		t.Errorf("%d bytes took %v", len(input), took)
	}
	if (cfg == nil) != diags.HasErrors() {
		t.Errorf("a Config is there: %v, errors are there: %v", cfg != nil, diags.HasErrors())
	}
	for _, d := range diags.All() {
		checkPlace(t, texts[d.File], d.Line, d.Column)
		if strings.HasPrefix(d.Message, weirFailed) {
			t.Error(d.Message, d.Notes)
		}
		if d.Message == "" || strings.ContainsAny(d.Message, "\n\x1b") {
			t.Errorf("message %q", d.Message)
		}
	}
	if strings.Contains(shown.String(), "\x1b") {
		t.Error("an escape of the text reached the terminal")
	}
}

// threadTime is the time of a processor that the thread has had.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// checkPlace wants a line and column inside the text, or just behind its end.
func checkPlace(t *testing.T, input string, line, column int) {
	t.Helper()
	// A line of the text at a time, so that long texts stay cheap.
	rest := input
	for n := 1; n < line; n++ {
		_, after, found := strings.Cut(rest, "\n")
		if !found {
			t.Fatalf("line %d is outside the text", line)
		}
		rest = after
	}
	own, _, _ := strings.Cut(rest, "\n")
	if runes := len([]rune(own)); column < 1 || column > runes+1 {
		t.Fatalf("column %d is outside line %d of %d runes", column, line, runes)
	}
}

// FuzzFormat wants the same meaning, and the same again.
func FuzzFormat(f *testing.F) { mutate.Fuzz(f, fuzzSeeds(f), checkFormat) }

func TestFormatMutations(t *testing.T) { mutate.Test(t, "FuzzFormat", fuzzSeeds(t), checkFormat) }

func checkFormat(t *testing.T, input string) {
	once, diags := text.Format("main", []byte(input))
	if diags.HasErrors() {
		return
	}
	twice, diags := text.Format("main", once)
	if diags.HasErrors() || string(twice) != string(once) {
		t.Fatalf("%q became %q and then %q: %v", input, once, twice, diags.All())
	}
	before, diags := parseMemory(memory{"main": input}, "main")
	after, _ := parseMemory(memory{"main": string(once)}, "main")
	if (before == nil) != (after == nil) {
		t.Fatalf("%q is right: %v; formatted %q: %v; %v", input, before != nil, once, after != nil, diags.All())
	}
	if diff := cmp.Diff(before, after, comparers...); diff != "" {
		t.Fatalf("%q became %q (-before +after):\n%s", input, once, diff)
	}
}
