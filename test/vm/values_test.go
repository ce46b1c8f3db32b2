package vm

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/test/values"
)

var (
	valueFiles = flag.Int("value-files", 24, "how many files TestValues compares; make conf-diff has 1,000")
	valueSeed  = flag.Uint64("value-seed", 1, "the seed of the files that TestValues makes")
)

// dumpScript has the real keepalived's checker process read each file of a folder, some at a
// time, each in a network namespace of its own, and keeps what it shows of it. It is told to
// end when a check begins, which is behind the dump, or nothing more comes: it is killed five
// seconds later, also in the middle of the dump.
const dumpScript = `
export dir=$PWD/%s
one() {
	name=$(basename "$1" .conf) net=n$2
	rm -rf "/tmp/$net"
	mkdir "/tmp/$net"
	ip netns exec "$net" keepalived -n -l -d -C --no_bfd -i node01 -f "$1" -p "/tmp/$net/p" -c "/tmp/$net/c" -b "/tmp/$net/b" >"/tmp/$net/log" 2>&1 &
	pid=$!
	for ((tries = quiet = was = 0; tries < 600 && quiet < 20; tries++)); do
		kill -0 $pid 2>/dev/null || break
		! grep -qsF ' Activating ' "/tmp/$net/log" || break
		size=$(stat -c %%s "/tmp/$net/log")
		if [ "$size" != "$was" ] || ! grep -qsF 'LVS Topology' "/tmp/$net/log"; then quiet=0; else quiet=$((quiet + 1)); fi
		was=$size
		sleep 0.1
	done
	kill $pid 2>/dev/null
	wait $pid
	cat "/tmp/$net/log" >"$dir/$name.dump"
}
worker() {
	ip netns add "n$1"
	ip -n "n$1" link set lo up
	for ((i = $1; i < ${#files[@]}; i += workers)); do one "${files[i]}" "$1"; done
}
files=("$dir"/*.conf) workers=12 # which wait most of the time
for ((n = 0; n < workers; n++)); do worker $n & done
wait
echo "$(ls "$dir"/*.dump | wc -l) dumps"
`

// lvsTexts are the files that are compared: the corpus, and made ones.
func lvsTexts(t *testing.T) (texts []string) {
	paths, err := filepath.Glob(root + "/conf/testdata/corpus/*.conf")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, paths)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "virtual_server") && len(texts) < *valueFiles/2 {
			texts = append(texts, string(content))
		}
	}
	rng := rand.New(rand.NewPCG(*valueSeed, 3))
	for len(texts) < *valueFiles {
		texts = append(texts, values.MakeLVS(rng))
	}
	return texts
}

// TestValues holds what weir has understood of virtual servers to what the real keepalived
// has, value by value. cmd/weir has the same for VRRP.
func TestValues(t *testing.T) {
	dir := filepath.Join(root, "build", "guest", "values")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	texts := lvsTexts(t)
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.conf", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, status := guest(t, 5*time.Minute+time.Duration(len(texts))*10*time.Second, fmt.Sprintf(dumpScript, "build/guest/values")); status != 0 {
		t.Fatalf("status %d", status)
	}
	compared, same, classes := 0, 0, map[string]int{}
	for i, text := range texts {
		count, differences, why := compareDump(t, filepath.Join(dir, fmt.Sprintf("%04d", i)))
		if why != "" {
			classes["left out: "+why]++
			continue
		}
		compared++
		same += count
		for _, one := range differences {
			class := values.Class(one)
			if classes[class]++; class == "" && classes[class] < 40 {
				t.Errorf("%s\nof (-value-seed %d)\n%s", one, *valueSeed, text)
			}
		}
	}
	t.Logf("%d of %d files compared, %d values are the same: %v", compared, len(texts), same, classes)
	if compared < len(texts)*2/3 {
		t.Errorf("%d of %d files could be compared", compared, len(texts))
	}
}

// stamp begins a line of keepalived's log.
var stamp = regexp.MustCompile(`^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}: `)

// compareDump compares the dump of a file; why says why there is nothing to compare.
func compareDump(t *testing.T, path string) (same int, differences []string, why string) {
	cfg, _ := conf.Options{ID: "node01"}.Load(path + ".conf")
	if cfg == nil {
		return 0, nil, "weir refuses it"
	}
	shown, err := values.Shown(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + ".dump")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(string(log), "\n") {
		line = stamp.ReplaceAllString(line, "")
		switch {
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "------<"):
			lines = append(lines, line)
		case values.Newer.MatchString(line):
			return 0, nil, "keepalived: " + values.Newer.FindString(line)
		}
	}
	if cut := "forcing termination"; strings.Contains(string(log), cut) && !strings.Contains(string(log), " Activating ") {
		return 0, nil, "keepalived: " + cut
	}
	if !slices.Contains(lines, "------< LVS Topology >------") { // it has ended before, without the files of SSL, say
		return 0, nil, "keepalived shows nothing"
	}
	same, differences = values.CompareLVS(lines, shown)
	return same, differences, ""
}
