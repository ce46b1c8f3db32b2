package pool

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"weir/conf"
)

// BenchmarkNext reloads 2,000 virtual servers of 20 real servers each, of which one has
// another weight.
func BenchmarkNext(b *testing.B) {
	var file strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&file, "virtual_server 10.%d.%d.1 80 {\n    delay_loop 6\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n", i/250, i%250)
		for j := range 20 {
			fmt.Fprintf(&file, "    real_server 172.%d.%d.%d 80 {\n        weight 1\n        TCP_CHECK {\n            connect_timeout 3\n            retry 2\n            delay_before_retry 1\n        }\n    }\n", 16+i/250, i%250, j+1)
		}
		file.WriteString("}\n")
	}
	path := b.TempDir() + "/weir.conf"
	loader := &conf.Loader{}
	read := func(content string) *conf.Config {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
		cfg, diags := loader.Load(path)
		if cfg == nil {
			b.Fatal(diags.All())
		}
		return cfg
	}
	var pools Pools
	for _, vs := range read(file.String()).VirtualServers {
		pools = append(pools, New(vs))
	}
	now := read(strings.Replace(file.String(), "weight 1", "weight 7", 1))
	for b.Loop() {
		if _, changes := pools.Next(now.VirtualServers); len(changes) != 1 {
			b.Fatalf("%d changes", len(changes))
		}
	}
}
