# weir: run as root. `make lab` shows it, `make test` tests it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go

# What the tests need beside Go: the real keepalived to compare with, and the
# pinned clang that the committed BPF objects were built with.
PACKAGES = iproute2 nftables iptables keepalived clang-19 llvm-19 libbpf-dev linux-libc-dev
SUM = $(GO) tool gotestsum --format testname
TESTS = $(SUM) -- -count=1
# Tests with real processes, timers of protocols and sockets. One that fails is run once more,
# and fails the run if it fails again. Both results are printed, and the summary at the end
# has the first one, too. More than six failures are run no second time.
TWICE = $(SUM) --rerun-fails=1 --rerun-fails-max-failures=6

.PHONY: help lab test quick packets packets-a-l packets-m-z long whole guest test-vm record random fuzz interop conf-diff lint generate generated bench bench-scale bench-checks bench-failover bench-instances bench-hits bench-pps bench-vm bench-http bench-packages reloads restarts hostile packages peers root clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

weir: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o weir ./cmd/weir
FORCE:

lab: root weir ## the seed's cluster, its story told live
	./weir lab seed

test: root packages bench-packages peers ## everything that must hold, and how long each part took
	@took=; trap 'echo "$$took"' EXIT; \
	for part in quick packets long generated; do \
		SECONDS=0; $(MAKE) --no-print-directory $$part; \
		took+=$$(printf '\n%-9s %3d min %2d s' $$part $$((SECONDS / 60)) $$((SECONDS % 60))); \
	done

# The times after which tests are ended are for a machine on which much else runs.
quick: lint ## the tests of the rooms, but for the data plane's
	$(TWICE) --packages "$$(echo $$($(GO) list ./... | grep -vE '/test/|/internal/dataplane'))" -- -count=1 -timeout 60m

# In two halves side by side: a test of it keeps one core busy.
packets: ## the data plane: packets through its programs, beside the models
	@$(MAKE) --no-print-directory -k -j2 packets-a-l packets-m-z
HALF = ^(Test|Fuzz)[A-L]
packets-a-l:
	@$(TESTS) -timeout 90m -run '$(HALF)' ./internal/dataplane/...
packets-m-z:
	@$(TESTS) -timeout 90m -skip '$(HALF)' ./internal/dataplane/...

# Side by side: the guest keeps one core busy, and clusters wait most of the time.
long: ## whole clusters, and the guest
	@$(MAKE) --no-print-directory -k -j2 whole guest

# One package after the other: clusters have deadlines to keep. The packages of random
# scenarios run once: a second run would have other scenarios.
SEEDED = /test/(conformance|surround)
whole: ## whole clusters in network namespaces
	@status=0; \
	$(TWICE) --packages "$$(echo $$($(GO) list ./test/... | grep -vE '/test/vm|$(SEEDED)'))" -- -count=1 -p 1 -timeout 90m || status=$$?; \
	$(TESTS) -p 1 -timeout 90m $$($(GO) list ./test/... | grep -E '$(SEEDED)') || status=$$?; \
	exit $$status

SEED ?= $(shell od -An -N4 -tu4 /dev/urandom) $(shell od -An -N4 -tu4 /dev/urandom)
N ?= 100
guest: ## a few scenarios, packets and network devices in the guest; test-vm has more of them
	N=3 $(TESTS) -timeout 90m ./test/vm
test-vm: root packages ## weir beside the real IPVS in a guest with kernel 6.1; SEED="1 2" N=100
	DEVICES=all SEED="$(strip $(SEED))" N=$(N) $(GO) test -count=1 -v -timeout 4h ./test/vm

record: root packages ## record random scenarios of the real IPVS in the guest, and replay them here; SEED="1 2" N=100
	test/vm/build
	CGO_ENABLED=0 $(GO) build -o build/guest/play ./test/vm/play
	rm -rf build/recorded; mkdir -p build/recorded
	for seed in $(SEED); do \
		test/vm/run -c 1 -t 7200 . "build/guest/play -record -seed $$seed -n $(N) >build/recorded/$$seed.txt"; \
	done
	$(GO) test -count=1 -timeout 1h -run '^TestRecordedScenarios$$' ./internal/dataplane -args -recorded $(CURDIR)/build/recorded/'*.txt'

conf-diff: root packages ## what the real keepalived has understood of 5,000 files of VRRP and 1,000 of LVS, beside weir; SEED="1" for one run again
	$(GO) test ./cmd/weir -count=1 -v -timeout 2h -run '^TestValues$$' -args -dump-files 5000 -dump-seed $(firstword $(SEED))
	$(GO) test ./test/vm -count=1 -v -timeout 4h -run '^TestValues$$' -args -value-files 1000 -value-seed $(firstword $(SEED))

interop: root packages peers ## weir beside the real keepalived and FRR: all modes, events and stories; a million hostile packets
	$(GO) test ./test/interop -count=1 -v -timeout 2h -run '^(TestMatrix|TestFRR|TestWholeWeir)$$' -args -all-cells
	$(GO) test ./test/interop -count=1 -v -timeout 1h -run '^Test((Stories|Tells|Addresses|Answers|DownTimer|LifeScripts)LikeKeepalived|LifeScripts.*|.*ScriptIsEnded|WeirsWithHMAC)$$' -args -all
	$(GO) test ./vrrp -count=1 -timeout 1h -run '^TestHostilePackets$$' -args -hostile-packets 1000000
	STORIES=all $(GO) test -count=1 -v -timeout 90m -run '^TestStories$$' ./test/vm

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)" || { echo 'these files are not formatted: run gofmt -w'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# A number of inputs, not a time: go test at times takes the end of the time that it
# was given for a failure ("context deadline exceeded"). "make test" has other forms of
# it, the same in every run: mutations of the targets' corpora (test/mutate), and whole's
# short sequences.
FUZZTIME ?= 200000x
SEQUENCES ?= 500
fuzz: ## each fuzz target for a while, and 500 random sequences of changes of a machine; FUZZTIME=10000000x for long
	@for target in $$(grep -rHoE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' . | sed -E 's|/[^/]*:func |:|'); do \
		echo "fuzz $$target for $(FUZZTIME)"; \
		$(GO) test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime $(FUZZTIME) "$${target%:*}"; \
	done
	@test $(SEQUENCES) = 0 || $(GO) test ./test/surround -count=1 -v -timeout 2h -run '^TestConvergence$$' -args -sequences $(SEQUENCES) -seed $(firstword $(SEED))

generate: ## rebuild the BPF objects and their Go types with clang-19
	$(GO) generate ./...

generated: generate ## fail where the committed objects are not what the source gives
	@git diff --exit-code --stat -- '*_bpfel.go' '*_bpfel.o' || { echo 'the committed BPF objects differ from their source: run make generate and commit'; exit 1; }

ROUNDS ?= 15
bench: root bench-packages ## all benchmarks in one table; JSON=1 for programs, ROUNDS=5 for fewer
	@$(GO) run ./test/bench -rounds $(ROUNDS)
	@$(MAKE) --no-print-directory random restarts
random: root ## 10 million random packets through the program; SEED=N repeats one run
	$(GO) test ./internal/dataplane -count=1 -v -run '^TestRandomPackets$$' -args -packets 10000000 -seed $(firstword $(SEED))
sorry-server: root ## the quorum lost and gained 20 times under 1,000 requests a second: none fails
	$(GO) test ./test/cluster -count=1 -v -run '^TestSorryServerUnderLoad$$' -args -quorum-turns 20 -quorum-rate 1000
reloads: root ## 60 s of 2,000 requests a second while 50 reloads change the cluster
	$(GO) test ./test/cluster -count=1 -v -run '^TestReloadUnderLoad$$' -args -reloads 50 -reload-time 60s -reload-rate 2000
# Three forward methods, 100 steps each: 0.6 s, and a restart of 0.5 s, or of 4 s with another data
# plane. That is 11 minutes, or up to 45 on a machine with a load of 25; the streams of one method
# last up to 15.
restarts: root ## 100 restarts, kills, upgrades and reloads under 2,000 requests a second and 500 streams
	$(GO) test ./test/cluster -count=1 -v -timeout 120m -run '^TestRestartUnderLoad$$' -args -restarts 100 -restart-streams 500 -reload-rate 2000 -reload-time 30m $(if $(SEED),-restart-seed $(firstword $(SEED)))
hostile: root ## 60 s of 2,000 frames a second from a hostile neighbour; SEED=N repeats one run
	$(GO) test ./test/cluster -count=1 -v -run '^TestHostileNeighbour$$' -args -hostile-time 60s $(if $(SEED),-hostile-seed $(firstword $(SEED)))
bench-scale: root ## rest, memory, check, start and reload of up to 10,000 virtual servers with 20 real servers each; a master of 2,000 VIPs
	$(GO) test ./internal/director -count=1 -run '^$$' -bench '^BenchmarkLargeReloads$$' -benchtime 1x
	$(GO) test ./test/cluster -count=1 -run '^$$' -bench '^Benchmark(Scale|ManyVIPs|AtRest)$$' -benchtime 1x -timeout 60m
bench-checks: root ## 6,667 TCP and 10,000 ICMP checks a second, and 40,000 servers beside two CPU hogs: their CPU, how late they begin, beside bare timers; PERCENT=10 for fewer
	@$(GO) test -c -o /tmp/weir-check.test ./internal/check && unshare -n sh -c 'ip link set lo up && sysctl -qw net.core.somaxconn=65535 && exec /tmp/weir-check.test -test.run "^$$" -test.bench "^BenchmarkScale$$" -test.benchtime 1x -scale-percent $(or $(PERCENT),100)'; status=$$?; rm -f /tmp/weir-check.test; exit $$status
	$(GO) test ./test/cluster -count=1 -v -timeout 20m -run '^TestChecksOfManyServers$$' -args -checked-servers 40000 -checked-loop 12 -checked-time 5m -checked-hogs 2
PARTS ?= hits new live persist expiry templates
bench-hits: root ## nanoseconds a packet, new connections, expiry; AGAINST=COMMIT beside that commit, PARTS=hits for fewer
	@$(GO) run ./test/bench -rounds $(ROUNDS) $(if $(AGAINST),-against $(AGAINST)) $(PARTS)
bench-failover: root ## what a client waits for when the master's machine dies: weir and keepalived, each with its like; ROUNDS=30
	$(GO) test ./test/interop -count=1 -v -timeout 2h -run '^TestFailover$$' -args -failovers $(if $(filter command line,$(origin ROUNDS)),$(ROUNDS),30)
bench-instances: root packages ## 200 VRRP instances with 20 VIPs each at advert_int 0.1 beside two CPU hogs for 5 minutes: no election; their CPU beside keepalived's
	$(GO) test ./test/interop -count=1 -v -timeout 1h -run '^TestManyInstances$$' -args -many-instances 200 -many-vips 20 -many-time 5m -many-hogs 2 -many-beside
bench-pps: root bench-packages ## packets a second through namespaces, and what the kernel's routing of others' traffic costs more
	@$(GO) run ./test/bench -rounds $(ROUNDS) pps routed
bench-vm: root ## in a guest with kernel 6.1: packets a second and new connections beside the real IPVS, TCP_CHECK beside the real keepalived; PARTS=vm-new for fewer
	@$(GO) run ./test/bench $(if $(filter command line,$(origin PARTS)),$(PARTS),vm vm-new vm-checks)
bench-http: root bench-packages ## HTTP and bulk beside HAProxy, nginx and no balancer
	@$(GO) run ./test/bench -rounds $(if $(filter command line,$(origin ROUNDS)),$(ROUNDS),5) http

# What weir is measured beside.
bench-packages:
	@test/bench/install

# The servers that health checks are tested with.
peers:
	@test/peers/install

packages:
	@dpkg -s $(PACKAGES) >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); }

root:
	@test "$$(id -u)" = 0 || { echo 'weir works with network namespaces and BPF: run this as root'; exit 1; }
	@command -v $(GO) >/dev/null || { echo 'weir is built with Go 1.26 or later (https://go.dev/dl): none was found'; exit 1; }

clean: ## what was built, and what any lab left
	@test ! -x weir || ./weir lab down
	rm -rf weir build
